"""From what a user names (a file, a data set on the hub, a `datasets.Dataset`) to checked training data.

load_labelled         one table → LabelledSentences
load_training_data    training and evaluation data, held out if there is no evaluation data
load_triplets         the same for given triplets
"""

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tercet.data.columns import (
    TRIPLET_COLUMNS,
    LabelledSentences,
    check_texts,
    check_trainable,
    guess_columns,
    number_labels,
)
from tercet.data.reading import Table, read_table
from tercet.data.splits import split_held_out
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


class Columns(NamedTuple):
    """Which columns of a table to read; None guesses a column by its name.

    Attributes:
        text: the column of sentences.
        label: the column of labels.
        split: the split to read of a data set on the hub.
    """

    text: str | None = None
    label: str | None = None
    split: str = "train"


def load_labelled(source: str, columns: Columns = Columns(), *, empty_texts: bool = False) -> LabelledSentences:  # noqa: B008
    """Read labelled sentences from a file or the hub, and log which columns are not used.

    Args:
        source: a file, or the name of a data set on the hub.
        columns: which columns to read.
        empty_texts: whether a text may be missing or blank; it then becomes the empty string.

    Raises:
        DataError: the file, a column or a row cannot be used; names the place.
    """
    table = read_table(source, columns.split)
    text, label = guess_columns(table.columns, columns.text, columns.label, table.source)
    unused = [column for column in table.columns if column not in (text, label)]
    if unused:
        logger.info(f"{table.source}: text from {text!r}, labels from {label!r}; not used: {listed(unused)}")
    label_ids, names = number_labels(table.columns[label], table.source, table.lines)
    texts = table.columns[text]
    if not empty_texts:
        return LabelledSentences(check_texts(texts, table.source, table.lines), label_ids, names)
    empty = [value is None or (isinstance(value, str) and not value.strip()) for value in texts]
    filled = ["-" if gap else value for gap, value in zip(empty, texts, strict=True)]
    checked = check_texts(filled, table.source, table.lines)
    sentences = ["" if gap else value for gap, value in zip(empty, checked, strict=True)]
    return LabelledSentences(sentences, label_ids, names)


def load_training_data(
    source: str, eval_source: str | None, eval_fraction: float, columns: Columns, seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Return training and evaluation data with the columns `sentence` and `label`.

    Args:
        source: training data.
        eval_source: evaluation data; None holds out a part of the training data.
        eval_fraction: the fraction of each label to hold out; the second value is None if that is no row.
        columns: which columns to read, of both.
        seed: of the rows that are held out.

    Raises:
        DataError: the data cannot be used, or do not hold a triplet.
    """
    train = load_labelled(source, columns)
    check_trainable(train.label_ids, train.names, source)
    if eval_source is not None:
        return as_dataset(train), as_dataset(load_labelled(eval_source, columns))
    kept, held_out = split_held_out(train, eval_fraction, seed)
    if len(held_out) == 0:
        logger.info("no row is held out, so nothing will be measured; pass evaluation data or a larger eval_fraction")
        return as_dataset(train), None
    check_trainable(kept.label_ids, kept.names, f"{source} without the {eval_fraction:.0%} held out")
    logger.info(f"held out {len(held_out)} of {len(train)} sentences for evaluation (eval_fraction={eval_fraction:g})")
    return as_dataset(kept), as_dataset(held_out)


def load_triplets(
    source: str, eval_source: str | None, eval_fraction: float, columns: Columns, seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Return training and evaluation triplets with the columns `anchor`, `positive` and `negative`.

    Args and errors are those of `load_training_data`; the names of the columns are fixed.
    """
    train = _triplets(read_table(source, columns.split))
    if columns.text is not None or columns.label is not None:
        raise DataError(
            "the triplet loss reads the columns anchor, positive and negative; pass no text or label column"
        )
    if eval_source is not None:
        return train, _triplets(read_table(eval_source, columns.split))
    count = round(len(train) * eval_fraction)
    if count == 0:
        return train, None
    if count == len(train):
        raise DataError(
            f"{source} has {len(train)} row(s), too few to hold out {eval_fraction:.0%}; pass eval_fraction=0"
        )
    order = np.random.default_rng(seed).permutation(len(train))
    logger.info(f"held out {count} of {len(train)} triplets for evaluation (eval_fraction={eval_fraction:g})")
    return train.select(np.sort(order[count:])), train.select(np.sort(order[:count]))


def as_dataset(data: LabelledSentences) -> "Dataset":
    """Return a `datasets.Dataset` with the columns `sentence` and `label`; named labels keep their names."""
    from datasets import Dataset

    return Dataset.from_dict({"sentence": data.sentences, "label": data.labels()})


def _triplets(table: Table) -> "Dataset":
    from datasets import Dataset

    missing = [name for name in TRIPLET_COLUMNS if name not in table.columns]
    if missing:
        raise DataError(
            f"{table.source}: the triplet loss needs the columns {listed(TRIPLET_COLUMNS)}; "
            f"{listed(missing)} is missing among {listed(table.columns, limit=12)}"
        )
    unused = [name for name in table.columns if name not in TRIPLET_COLUMNS]
    if unused:
        logger.info(f"{table.source}: not used: {listed(unused)}")
    return Dataset.from_dict(
        {name: check_texts(table.columns[name], f"{table.source}, {name}", table.lines) for name in TRIPLET_COLUMNS}
    )
