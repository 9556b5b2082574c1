"""From the files that a user names to data sets with known columns."""

from typing import TYPE_CHECKING

import numpy as np

from tercet.cli.console import say
from tercet.data.columns import (
    TRIPLET_COLUMNS,
    LabelledSentences,
    check_labels_teach,
    check_texts,
    encode_labels,
    guess_columns,
)
from tercet.data.reading import Table, read_table
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset


def read_labelled(
    name: str, text_column: str | None, label_column: str | None, split: str, *, empty_texts: bool = False
) -> LabelledSentences:
    """Read labelled sentences, guessing columns that were not named, and say so where others are left out.

    Args:
        empty_texts: whether a text may be missing or blank; it is then the empty string.
    """
    table = read_table(name, split)
    text, label = guess_columns(table.columns, text_column, label_column, table.source)
    left_out = [column for column in table.columns if column not in (text, label)]
    if left_out:
        say(f"{table.source}: text from {text!r}, labels from {label!r}; not used: {listed(left_out)}")
    codes, names = encode_labels(table.columns[label], table.source, table.lines)
    texts = table.columns[text]
    if not empty_texts:
        return LabelledSentences(check_texts(texts, table.source, table.lines), codes, names)
    empty = [value is None or (isinstance(value, str) and not value.strip()) for value in texts]
    filled = ["-" if gap else value for gap, value in zip(empty, texts, strict=True)]
    checked = check_texts(filled, table.source, table.lines)
    return LabelledSentences(["" if gap else value for gap, value in zip(empty, checked, strict=True)], codes, names)


def labelled_data(
    data: str, eval_data: str | None, eval_fraction: float, columns: tuple[str | None, str | None, str], seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Training and evaluation data, columns `sentence` and `label`."""
    train = read_labelled(data, *columns)
    check_labels_teach(train.codes, train.names, data)
    if eval_data is not None:
        return as_dataset(train), as_dataset(read_labelled(eval_data, *columns))
    kept, held_out = hold_out(train, eval_fraction, seed)
    if len(held_out) == 0:
        say("nothing is held out, so nothing will be measured; give --eval-data, or a larger --eval-fraction")
        return as_dataset(train), None
    check_labels_teach(kept.codes, kept.names, f"{data} without the {eval_fraction:.0%} held out")
    say(f"held out {len(held_out)} of {len(train)} sentences to measure on (--eval-fraction {eval_fraction:g})")
    return as_dataset(kept), as_dataset(held_out)


def triplet_data(
    data: str, eval_data: str | None, eval_fraction: float, columns: tuple[str | None, str | None, str], seed: int
) -> tuple["Dataset", "Dataset | None"]:
    """Training and evaluation triplets, columns `anchor`, `positive` and `negative`."""
    *text_columns, split = columns
    train = _triplets(read_table(data, split))
    if text_columns != [None, None]:
        raise DataError("--loss triplet takes the columns anchor, positive and negative, and no --text-column")
    if eval_data is not None:
        return train, _triplets(read_table(eval_data, split))
    count = round(len(train) * eval_fraction)
    if count == 0:
        return train, None
    if count == len(train):
        raise DataError(f"{data} has {len(train)} row(s), too few to hold out {eval_fraction:.0%}; --eval-fraction 0")
    order = np.random.default_rng(seed).permutation(len(train))
    say(f"held out {count} of {len(train)} triplets to measure on (--eval-fraction {eval_fraction:g})")
    return train.select(np.sort(order[count:])), train.select(np.sort(order[:count]))


def hold_out(data: LabelledSentences, fraction: float, seed: int) -> tuple[LabelledSentences, LabelledSentences]:
    """What stays and what is held out: the fraction of each label, at random.

    A row that is alone with its label among those held out has nothing to be found by, so a label gives two
    or more, and none if fewer than two would stay.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    order = order[np.argsort(data.codes[order], kind="stable")]
    _, starts, counts = np.unique(data.codes[order], return_index=True, return_counts=True)
    quota = np.round(counts * fraction).astype(int)
    quota[quota == 1] = 2
    quota[quota > counts - 2] = 0
    out = np.zeros(len(data), dtype=bool)
    out[order] = np.arange(len(data)) - np.repeat(starts, counts) < np.repeat(quota, counts)
    return data.take(np.flatnonzero(~out)), data.take(np.flatnonzero(out))


def as_dataset(data: LabelledSentences) -> "Dataset":
    """Columns `sentence` and `label`, where names stay names."""
    from datasets import Dataset

    return Dataset.from_dict({"sentence": data.sentences, "label": data.labels()})


def _triplets(table: Table) -> "Dataset":
    from datasets import Dataset

    missing = [name for name in TRIPLET_COLUMNS if name not in table.columns]
    if missing:
        raise DataError(
            f"{table.source}: the triplet loss wants the columns {listed(TRIPLET_COLUMNS)}; "
            f"{listed(missing)} is missing among {listed(table.columns, limit=12)}"
        )
    left_out = [name for name in table.columns if name not in TRIPLET_COLUMNS]
    if left_out:
        say(f"{table.source}: not used: {listed(left_out)}")
    return Dataset.from_dict(
        {name: check_texts(table.columns[name], f"{table.source}, {name}", table.lines) for name in TRIPLET_COLUMNS}
    )
