"""Load and check training data from a file or from a data set on the hub.

load_labelled         reads one table, returns `LabelledSentences`
load_training_data    returns training and evaluation data; holds out rows if there are no evaluation data
load_triplets         does the same for given triplets
as_dataset            converts `LabelledSentences` to a `datasets.Dataset`
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
    """The columns of a table that are read, and the split of a data set.

    Args:
        text_column: the column of sentences; None takes the column with a usual name, such as `text` or `sentence`.
        label_column: the column of labels; None takes the column with a usual name, such as `label` or `intent`.
        split: the split of a data set on the hub. It is ignored for files.
    """

    text_column: str | None = None
    label_column: str | None = None
    split: str = "train"


def load_labelled(source: str, columns: Columns = Columns(), *, empty_texts: bool = False) -> LabelledSentences:
    """Read labelled sentences from a file or the hub, and number their labels. Log the names of unused columns.

    Args:
        source: a file, or the name of a data set on the hub.
        columns: the columns to read.
        empty_texts: whether to replace missing and blank texts by the empty string. If False, they are an error.

    Raises:
        DataError: the file or data set cannot be read, a column is not found, or a row is invalid. The message names
            the place.
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
    """Return the training data and the evaluation data, each with the columns `sentence` and `label`.

    Args:
        source: the training data: a file, or the name of a data set on the hub.
        eval_source: the evaluation data: a file, or the name of a data set; None holds out rows of the training data.
        eval_fraction: the fraction of each label's rows to hold out, if `eval_source` is None. If no row is held out,
            the evaluation data are None.
        columns: the columns to read from both sources.
        seed: the seed of the random selection of held-out rows.

    Raises:
        DataError: the data cannot be read or are invalid, or the training data contain no triplet.
    """
    train = load_labelled(source, columns)
    check_trainable(train.label_ids, train.label_names, source)
    if eval_source is not None:
        return as_dataset(train), as_dataset(load_labelled(eval_source, columns))
    kept, held_out = split_held_out(train, eval_fraction, seed)
    if len(held_out) == 0:
        logger.info(
            f"no row is held out (eval_fraction={eval_fraction:g}), so the model will not be evaluated; "
            "for an evaluation, pass evaluation data or a larger eval_fraction"
        )
        return as_dataset(train), None
    check_trainable(kept.label_ids, kept.label_names, f"{source} without the {eval_fraction:.0%} held out")
    logger.info(f"held out {len(held_out)} of {len(train)} sentences for evaluation (eval_fraction={eval_fraction:g})")
    return as_dataset(kept), as_dataset(held_out)


def load_triplets(
    source: str, eval_source: str | None, eval_fraction: float, columns: Columns, seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Return the training and the evaluation triplets, each with the columns `anchor`, `positive` and `negative`.

    Args:
        source: the training data: a file, or the name of a data set on the hub.
        eval_source: the evaluation data: a file, or the name of a data set; None holds out rows of the training data.
        eval_fraction: the fraction of the rows to hold out, if `eval_source` is None. If no row is held out, the
            evaluation data are None.
        columns: the split to read. The names of the columns are fixed, so `text_column` and `label_column` must be
            None.
        seed: the seed of the random selection of held-out rows.

    Raises:
        DataError: the data cannot be read or are invalid, `columns` names a text or label column, or all rows would be
            held out.
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
            f"{source} has {len(train)} row(s), too few to hold out {eval_fraction:.0%}; pass eval_fraction=0 to train "
            "on all rows"
        )
    order = np.random.default_rng(seed).permutation(len(train))
    logger.info(f"held out {count} of {len(train)} triplets for evaluation (eval_fraction={eval_fraction:g})")
    return train.select(np.sort(order[count:])), train.select(np.sort(order[:count]))


def as_dataset(data: LabelledSentences) -> "Dataset":
    """Convert labelled sentences to a `datasets.Dataset` with the columns `sentence` and `label`.

    The label column is a `ClassLabel` with the ids and the names of `data`.
    """
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"sentence": Value("string"), "label": ClassLabel(names=data.label_names)})
    return Dataset.from_dict({"sentence": data.sentences, "label": data.label_ids}, features=features)


def _triplets(table: Table) -> "Dataset":
    from datasets import Dataset

    names = find_triplet_columns(table.columns, table.source)
    unused = [name for name in table.columns if name not in names]
    if unused:
        logger.info(f"{table.source}: columns not used: {listed(unused)}")
    return Dataset.from_dict(
        {name: check_texts(table.columns[name], f"{table.source}, {name}", table.lines) for name in names}
    )
