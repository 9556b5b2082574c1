"""Rows that the encoder was not trained on, which give the temperature and the thresholds."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tercet._display import shown_beside
from tercet._labels import plain_labels
from tercet._nested_labels import normalize_label
from tercet.data.cleaning.copies import first_occurrences
from tercet.decisions.inputs import Embedded, embed, like, read
from tercet.decisions.seen import seen_rows
from tercet.decisions.training_rows import check_label_type, check_length
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)


def read_pair(data: Any, y: Sequence[Any], label_levels: str | None = None) -> tuple[Embedded | list[str], list[Any]]:
    """Return the rows of `calibration_data`, of which nothing is encoded yet, and their labels.

    Args:
        data: what the user passed.
        y: the labels of the training rows.
        label_levels: the separator of the levels of nested labels; None for labels without levels.

    Raises:
        DataError: the data are no pair of rows and as many labels of the type of `y`, or a row is invalid.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DataError("calibration_data must be a pair: sentences (or embeddings) and their labels")
    labels = plain_labels(data[1], "the labels of calibration_data", error=DataError)
    rows = read(data[0], "calibration_data")
    check_length(rows, labels, "calibration_data", "its second part")
    check_label_type(labels, y[0], "calibration_data")
    if label_levels is not None:
        labels = [normalize_label(str(label), label_levels) for label in labels]
    return rows, list(labels)


def calibration_rows(
    data: tuple[Embedded | list[str], list[Any]],
    names: Sequence[Any],
    training: Embedded,
    model: "SentenceTransformer | None",
    *,
    batch_size: int | None = None,
) -> tuple[Embedded, Tensor]:
    """Return the calibration rows that can be used, and their label ids.

    Rows with a label that the training rows do not have, copies of training rows or of earlier rows, and rows that the
    encoder was trained on are left out with a warning.

    Args:
        data: the rows and labels, as `read_pair` returns them.
        names: the labels of the training rows, by label id.
        training: the training rows.
        model: the encoder; None for embeddings.
        batch_size: number of sentences to encode at a time.

    Raises:
        DataError: no row can be used, or the encoder was trained on all of them.
    """
    given, labels = data
    rows = embed(given, "calibration_data", model, batch_size=batch_size, dimension=training.spaces.embeddings.shape[1])
    seen = seen_rows(model, rows.texts)
    if seen is not None and seen.all():
        raise DataError(
            "the encoder was trained on 100% of calibration_data, so they cannot show how sure it is about new "
            "sentences; pass rows that it was not trained on"
        )
    number, copies = {name: at for at, name in enumerate(names)}, set(training.keys)
    kept, why_not = [], Counter[str]()
    first = set(first_occurrences(zip(rows.keys, labels, strict=True)))
    for row, (label, key) in enumerate(zip(labels, rows.keys, strict=True)):
        if label not in number:
            why_not["a label that the training rows do not have"] += 1
        elif key in copies:
            why_not["a text that is also in the training rows"] += 1
        elif seen is not None and seen[row]:
            why_not["a text that the encoder was trained on"] += 1
        elif row not in first:
            why_not["a copy of an earlier row with the same label"] += 1
        else:
            kept.append(row)
    for what, count in sorted(why_not.items()):
        logger.warning(f"{count:,} of {len(labels):,} rows of calibration_data are left out: {what}")
    if not kept:
        raise DataError(
            "no row of calibration_data can be used; pass rows with labels that the training rows have, and with other "
            "texts"
        )
    return like(rows.select(kept), training.spaces, "calibration_data"), torch.tensor(
        [number[labels[row]] for row in kept]
    )


def why_uncalibrated(seen: float | None) -> str:
    """Return a warning that confidences are too high."""
    why = (
        "whether the encoder was trained on the training rows of the classifier cannot be known"
        if seen is None
        else f"the encoder was trained on {'less than 1%' if seen < 0.01 else shown_beside(seen, 1, '.0%')} of the "
        "training rows of the classifier"
    )
    unless_unseen = ", or unseen_rows=True if it was trained on none of the rows" if seen is None else ""
    return (
        f"{why}, so confidences may be too high and no precision can be promised; pass calibration_data, labelled rows "
        f"that it was not trained on{unless_unseen}"
    )
