"""Load checked training data from a file or from a data set on the hub.

load_labelled         one table → LabelledSentences
load_training_data    training and evaluation data as data sets; held out if there is no evaluation data
load_triplets         the same for given triplets
as_dataset            LabelledSentences → `datasets.Dataset`
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tercet._texts import check_texts
from tercet.data.columns import find_labelled_columns, find_triplet_columns
from tercet.data.labels import LabelledSentences, check_trainable, number_labels
from tercet.data.reading import Table, read_table
from tercet.data.splits import split_held_out
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Columns:
    """Which columns of a table to read.

    Args:
        text_column: the column of sentences; None takes the one with a usual name, such as `text` or `sentence`.
        label_column: the column of labels; None takes the one with a usual name, such as `label` or `intent`.
        split: the split of a data set on the hub; files have none.
    """

    text_column: str | None = None
    label_column: str | None = None
    split: str = "train"


def load_labelled(source: str, columns: Columns = Columns(), *, empty_texts: bool = False) -> LabelledSentences:
    """Read labelled sentences from a file or the hub, number their labels, and log which columns are not used.

    Args:
        source: a file, or the name of a data set on the hub.
        columns: which columns to read.
        empty_texts: accept missing and blank texts, as the empty string.

    Raises:
        DataError: the file, a column or a row cannot be used; names the place.
    """
    table = read_table(source, columns.split)
    text, label = find_labelled_columns(table.columns, table.source, columns.text_column, columns.label_column)
    unused = [column for column in table.columns if column not in (text, label)]
    if unused:
        logger.info(f"{table.source}: text from {text!r}, labels from {label!r}; not used: {listed(unused)}")
    label_ids, label_names = number_labels(table.columns[label], table.source, table.lines)
    texts = table.columns[text]
    if empty_texts:
        texts = ["" if value is None or (isinstance(value, str) and value.isspace()) else value for value in texts]
    sentences = check_texts(texts, table.source, table.lines, allow_empty=empty_texts)
    return LabelledSentences(sentences, label_ids, label_names)


def load_training_data(
    source: str, eval_source: str | None, eval_fraction: float, columns: Columns, seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Return training and evaluation data with the columns `sentence` and `label`.

    Args:
        source: the training data, a file or the name of a data set on the hub.
        eval_source: the evaluation data; None holds out rows of the training data.
        eval_fraction: the fraction of each label's rows to hold out; if no row is held out, the second value is None.
        columns: which columns to read, of both.
        seed: the seed of the choice of held-out rows.

    Raises:
        DataError: the data cannot be used, or no triplet can be formed.
    """
    train = load_labelled(source, columns)
    check_trainable(train.label_ids, train.label_names, source)
    if eval_source is not None:
        return as_dataset(train), as_dataset(load_labelled(eval_source, columns))
    kept, held_out = split_held_out(train, eval_fraction, seed)
    if len(held_out) == 0:
        logger.info("no row is held out, so nothing will be measured; pass evaluation data or a larger eval_fraction")
        return as_dataset(train), None
    check_trainable(kept.label_ids, kept.label_names, f"{source} without the {eval_fraction:.0%} held out")
    logger.info(f"held out {len(held_out)} of {len(train)} sentences for evaluation (eval_fraction={eval_fraction:g})")
    return as_dataset(kept), as_dataset(held_out)


def load_triplets(
    source: str, eval_source: str | None, eval_fraction: float, columns: Columns, seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Return training and evaluation triplets with the columns `anchor`, `positive` and `negative`.

    The arguments are those of `load_training_data`; the names of the columns are fixed.

    Raises:
        DataError: the data cannot be used, or `columns` names a text or label column.
    """
    train = _triplets(read_table(source, columns.split))
    if columns.text_column is not None or columns.label_column is not None:
        raise DataError(
            "the triplet loss reads the columns anchor, positive and negative; pass no text_column and no label_column"
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
    """Return a `datasets.Dataset` with the columns `sentence` and `label`.

    The label column is a `ClassLabel` with the ids and the names of `data`, so that nothing is numbered again.
    """
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"sentence": Value("string"), "label": ClassLabel(names=data.label_names)})
    return Dataset.from_dict({"sentence": data.sentences, "label": data.label_ids}, features=features)


def _triplets(table: Table) -> "Dataset":
    from datasets import Dataset

    names = find_triplet_columns(table.columns, table.source)
    unused = [name for name in table.columns if name not in names]
    if unused:
        logger.info(f"{table.source}: not used: {listed(unused)}")
    return Dataset.from_dict(
        {name: check_texts(table.columns[name], f"{table.source}, {name}", table.lines) for name in names}
    )
