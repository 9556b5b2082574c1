"""Choose the distance and the margin of a run by the scale of the encoder's embeddings."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from tercet import distances
from tercet._nested_labels import margins_from_finest, num_levels
from tercet.catalogue import DEFAULT_MARGIN, LOSSES
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.encoder.token_stats import collect_token_stats
from tercet.errors import DataError
from tercet.losses.margins import fitting_distance, fitting_margin, have_unit_length
from tercet.runs.settings import DEFAULT_DISTANCE, RunSettings

logger = logging.getLogger(__name__)

# The number of sentences whose embeddings are measured.
NUM_MEASURED = 64


def choose_margin_and_distance(
    settings: RunSettings, model: SentenceTransformer, sentences: Sequence[str], *, unit_length: bool = False
) -> RunSettings:
    """Return settings with a distance and, if the loss has one, a margin. Keep those that are given.

    Embeddings of length 1 get the Euclidean distance with a margin of 0.3. Other embeddings get the cosine distance,
    which does not depend on their length, with the same margin. If only the distance is given, and it grows with the
    length, the margin is a quarter of the mean distance between the sentences. A choice that depends on the encoder is
    logged with its reason.

    Args:
        settings: the settings of the run.
        model: the encoder, before training.
        sentences: training sentences; the first ones are measured.
        unit_length: whether the embeddings that the loss gets have length 1, also if those of the encoder do not.
    """
    has_margin = LOSSES.find(settings.loss, DataError).has_margin
    if settings.distance is not None and (settings.margin is not None or not has_margin):
        return settings if has_margin else replace(settings, margin=None)
    with collect_token_stats():  # The trainer warns of unknown tokens when it tokenizes all sentences.
        embeddings = model.encode(list(sentences[:NUM_MEASURED]), convert_to_tensor=True).float()
    if unit_length:
        embeddings = torch.nn.functional.normalize(embeddings, dim=1)
    unit_length = unit_length or have_unit_length(embeddings)
    norm = float(torch.linalg.vector_norm(embeddings, dim=1).mean())
    distance, margin = settings.distance, settings.margin
    if distance is None:
        # The cosine distance is at most 2, so a given margin above it is meant for another distance.
        largest = max(margin) if isinstance(margin, Sequence) else margin
        bound = distances.COSINE.upper_bound(unit_length=True, dim=1)
        fits_cosine = has_margin and (largest is None or largest < bound)
        distance = fitting_distance(unit_length=unit_length) if fits_cosine else DEFAULT_DISTANCE
        if distance != DEFAULT_DISTANCE:
            logger.info(
                f"distance {distance}: the embeddings of the encoder do not have length 1 (their mean norm is "
                f"{norm:.3g}), so a Euclidean margin would have to be scaled by it"
            )
    if not has_margin:
        margin = None
    elif margin is None:
        margin = DEFAULT_MARGIN
        if settings.distance is not None and _depends_on_scale(distance, unit_length=unit_length):
            x = embeddings.cpu()
            d = distances.matrix(x, x, distance)
            mean = float(d.sum() / max(1, len(x) * (len(x) - 1)))
            margin = fitting_margin(mean) or DEFAULT_MARGIN
            logger.info(f"margin {margin:g}: a quarter of {mean:.3g}, the mean {distance} distance between sentences")
    return replace(settings, distance=distance, margin=margin)


def choose_margins_of_levels(settings: RunSettings, label_names: Sequence[str] | None) -> RunSettings:
    """Return settings with a margin for each level of nested labels, for an encoder that starts from a linear head.

    The finest level gets the margin that was chosen for labels without levels. A smaller one, as for an encoder without
    a head, loses what the head has gained (`dev/LOG.md`). Settings without levels are returned unchanged.
    """
    if settings.label_levels is None or label_names is None or not isinstance(settings.margin, float):
        return settings
    margins = margins_from_finest(settings.margin, num_levels(label_names, settings.label_levels))
    logger.info(f"margins of the levels: {', '.join(f'{margin:g}' for margin in margins)}")
    return replace(settings, margin=margins)


def _depends_on_scale(distance: str, *, unit_length: bool) -> bool:
    """Return whether the size of the distance is not that of unit vectors under the Euclidean or cosine distance."""
    if distance == DEFAULT_DISTANCE:
        return not unit_length
    return distances.get_distance(distance).scales_with_norm
