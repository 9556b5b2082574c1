"""Choose the number of epochs and the learning rate of a run by its data and its encoder."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tercet._multi_labels import number_label_sets
from tercet.data.labels.numbering import label_values
from tercet.data.tables.dataset_columns import label_ids_of
from tercet.runs.settings import RunSettings

# With fewer sentences per label than this, more and gentler steps are better.
FEW_ROWS_PER_LABEL = 16
EPOCHS_FEW_ROWS = 20.0
# With fewer sentences per label than this, the encoder alone was mostly as good as after a head, or better
# (docs/concepts/measured-quality.md).
ROWS_PER_LABEL_FOR_HEAD = 8
_EPOCHS = 3.0
# A head separates few sentences of a label by the default margin of 0.3 before the encoder is trained, which leaves
# little to learn: a larger one raises MAP@R by 0.01 to 0.03 (dev/LOG.md).
MARGIN_FEW_ROWS_AFTER_HEAD = 0.5
# With a time limit, the limit decides; more epochs than this gain little.
_MAX_EPOCHS = 10.0
# Measured with 384 hidden units: 1e-4. A wider encoder needs a smaller rate: 5e-5 with 768 hidden units.
_RATE_TIMES_WIDTH = 1e-4 * 384
_HIGHEST_RATE = 2e-4
# An adapter has far fewer weights, and starts at 0. One epoch over 30 labels of BANKING77: MAP@R .600 with 1e-4, .775
# with 1e-3, .845 with 3e-3 (and a lower kNN accuracy), .805 with all weights and 1e-4.
_LORA_RATE = 10


def has_few_rows(data: Any, multi_label: str | None = None) -> bool:
    """Return whether half of the labels of a data set have fewer than `FEW_ROWS_PER_LABEL` rows; False for triplets.

    `multi_label` is the separator of the labels, if rows have several.
    """
    return median_rows_per_label(data, multi_label) < FEW_ROWS_PER_LABEL


def median_rows_per_label(data: Any, multi_label: str | None = None) -> float:
    """Return the median number of rows of a label; infinite for triplets and without rows.

    `multi_label` is the separator of the labels, if rows have several.
    """
    if "label" not in data.column_names or len(data) == 0:
        return math.inf
    counts = np.unique(label_ids_of(data), return_counts=True)[1]
    if multi_label is not None:
        sets = number_label_sets(label_values(data), multi_label)[0]
        counts = np.bincount([label for ids in sets for label in ids])
    return float(np.median(counts))


def choose_schedule(settings: RunSettings, *, few_rows: bool, width: int) -> RunSettings:
    """Return settings with a number of epochs and a learning rate. Keep those that are given.

    Args:
        settings: the settings of the run.
        few_rows: whether the labels have few sentences each, see `has_few_rows`.
        width: the number of hidden units of the encoder.

    Example:
        >>> chosen = choose_schedule(RunSettings(), few_rows=False, width=768)
        >>> chosen.epochs, chosen.learning_rate
        (3.0, 5e-05)
    """
    epochs, learning_rate = settings.epochs, settings.learning_rate
    if epochs is None:
        epochs = EPOCHS_FEW_ROWS if few_rows else _EPOCHS if settings.time_limit is None else _MAX_EPOCHS
    if learning_rate is None:
        learning_rate = min(_HIGHEST_RATE, _RATE_TIMES_WIDTH / width) / (2 if few_rows else 1)
        learning_rate *= _LORA_RATE if settings.lora else 1
    return replace(settings, epochs=epochs, learning_rate=learning_rate)
