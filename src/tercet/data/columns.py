"""Which columns hold the sentences and which the labels; and are they fit to train on?

    labelled data   one column of text and one of labels        for the batch losses
    triplets        three columns of text                       for TripletLoss

Anything else is an error that names the columns that were found and those that were wanted.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercet.errors import DataError, listed

LABEL_COLUMNS = ("label", "labels")
TRIPLET_COLUMNS = ("anchor", "positive", "negative")

_HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")

# What a table's columns are usually called, for a command that was not told.
_PLAIN_TEXT = (
    "text",
    "sentence",
    "utterance",
    "query",
    "question",
    "message",
    "title",
    "content",
    "sentences",
    "texts",
)
_PLAIN_LABEL = (*LABEL_COLUMNS, "intent", "category", "class", "target", "topic", "tag")


@dataclass(frozen=True)
class LabelledSentences:
    """Sentences with their labels as integers; `names[code]` is the label where labels were names.

    Args:
        label_ids: int64 `(sentences,)`.
        names: None where the labels were integers to begin with, which `label_ids` then repeats.
    """

    sentences: list[str]
    label_ids: np.ndarray
    names: list[str] | None

    def __len__(self) -> int:
        return len(self.sentences)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LabelledSentences":
        """The given rows, in that order."""
        return LabelledSentences([self.sentences[row] for row in rows], self.label_ids[rows], self.names)

    def labels(self) -> list[Any]:
        """The labels as they came: names or integers."""
        return [self.names[code] for code in self.label_ids] if self.names is not None else self.label_ids.tolist()


def number_labels(
    labels: Sequence[Any], source: str, lines: Sequence[int] | None = None
) -> tuple[np.ndarray, list[str] | None]:
    """Labels as int64 label_ids, and the names of the label_ids in sorted order if the labels are strings.

    Args:
        lines: the line of each row in its file, for messages.

    Raises:
        DataError: a label is missing, or neither an integer nor a string, or cannot be written as UTF-8.
    """
    for row, label in enumerate(labels):
        if label is None or label == "" or (isinstance(label, float) and label != label):
            raise DataError(f"{_place(source, row, lines)}: the label is missing")
    if all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels):
        outside = next((row for row, label in enumerate(labels) if not -(2**63) <= label < 2**63), None)
        if outside is not None:
            raise DataError(f"{_place(source, outside, lines)}: the label {labels[outside]} does not fit in 64 bits")
        return np.asarray(labels, dtype=np.int64), None
    if not all(isinstance(label, (str, bool)) for label in labels):
        row = next(row for row, label in enumerate(labels) if not isinstance(label, (str, bool)))
        raise DataError(
            f"{_place(source, row, lines)}: the label is {labels[row]!r} ({type(labels[row]).__name__}); "
            "labels must be all integers or all strings"
        )
    strings = [str(label) for label in labels]
    names = sorted(set(strings))
    broken = {name for name in names if _HALF_CHARACTER.search(name)}
    if broken:
        row = next(row for row, label in enumerate(strings) if label in broken)
        raise DataError(f"{_place(source, row, lines)}: the label holds half of a character (a lone surrogate)")
    numbers = {name: code for code, name in enumerate(names)}
    return np.array([numbers[label] for label in strings], dtype=np.int64), names


def check_texts(texts: Sequence[Any], source: str, lines: Sequence[int] | None = None) -> list[str]:
    """Return `texts` if all are non-empty strings; raise `DataError` with the first row that is not."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{_place(source, row, lines)}: the text is {text!r} ({type(text).__name__}), not a string")
        if not text or text.isspace():
            raise DataError(f"{_place(source, row, lines)}: the text is empty; remove the row or fill it in")
        if not text.isascii() and _HALF_CHARACTER.search(text):
            raise DataError(f"{_place(source, row, lines)}: the text holds half of a character (a lone surrogate)")
    return list(texts)


def check_trainable(label_ids: np.ndarray, names: list[str] | None, source: str) -> None:
    """Raise `DataError` unless triplets exist, and the labels of a file look like labels."""
    if names is not None and len(names) > 1 and all(map(_is_decimal, names)):
        raise DataError(
            f"{source}: the labels are decimal numbers ({listed(names, 3)}); is the label column the right one?"
        )
    check_triplets_exist(label_ids, names, source)


def check_triplets_exist(label_ids: np.ndarray, names: list[str] | None, source: str) -> None:
    """Raise `DataError` unless some label comes twice and there is a second label."""
    labels, counts = np.unique(label_ids, return_counts=True)
    if len(labels) == 1:
        only = names[labels[0]] if names is not None else int(labels[0])
        raise DataError(f"{source} has one label only ({only!r}); a triplet needs a sentence of another label")
    if counts.max() == 1:
        raise DataError(
            f"{source} has no label twice ({len(labels)} labels, {len(label_ids)} rows); "
            "a triplet needs two sentences of one label: is the label column the right one?"
        )


def guess_columns(columns: dict[str, Any], text: str | None, label: str | None, source: str) -> tuple[str, str]:
    """The names of the text and the label column: those given, or the ones with a usual name.

    Raises:
        DataError: a given column is missing, or the guess is not plain.
    """
    for name in (text, label):
        if name is not None and name not in columns:
            raise DataError(f"{source} has no column {name!r}; it has {listed(columns)}")
    found_text = text or _plain(columns, _PLAIN_TEXT, "text", source)
    found_label = label or _plain(columns, _PLAIN_LABEL, "label", source)
    if found_text == found_label:
        raise DataError(f"{source}: column {found_text!r} cannot be both text and label")
    return found_text, found_label


def guess_text_column(columns: dict[str, Any], text: str | None, source: str) -> str:
    """The name of the text column alone; a table with a single column needs no name for it."""
    if text is None and len(columns) == 1:
        return next(iter(columns))
    if text is not None and text not in columns:
        raise DataError(f"{source} has no column {text!r}; it has {listed(columns)}")
    return text or _plain(columns, _PLAIN_TEXT, "text", source)


def find_labelled_columns(columns: Sequence[str], kinds: dict[str, str]) -> tuple[str, str]:
    """The text and the label column of a data set with exactly those two.

    Args:
        kinds: for each column `"text"`, `"integer"`, `"class"` or `"other"`.

    Raises:
        DataError: names the columns found and wanted.
    """
    named = [name for name in columns if name in LABEL_COLUMNS]
    unnamed = [name for name in columns if kinds[name] in ("integer", "class")]
    labels = named or unnamed
    texts = [name for name in columns if kinds[name] == "text" and name not in labels]
    if len(labels) != 1 or len(texts) != 1 or len(columns) != 2:
        raise DataError(
            f"this loss wants one column of text and one of labels (named 'label', or of integers); "
            f"the data set has {_described(columns, kinds)}; drop or rename columns "
            "(dataset.select_columns, dataset.rename_column)"
        )
    return texts[0], labels[0]


def find_triplet_columns(columns: Sequence[str], kinds: dict[str, str]) -> tuple[str, str, str]:
    """The columns anchor, positive and negative: by name, or three columns of text in their order.

    Raises:
        DataError: names the columns found and wanted.
    """
    if len(columns) == 3 and all(kinds[name] == "text" for name in columns):
        order = TRIPLET_COLUMNS if set(columns) == set(TRIPLET_COLUMNS) else tuple(columns)
        return order[0], order[1], order[2]
    raise DataError(
        "TripletLoss wants three columns of text, anchor, positive and negative; "
        f"the data set has {_described(columns, kinds)}"
    )


def _place(source: str, row: int, lines: Sequence[int] | None) -> str:
    """Where a row is: its line where the source has lines, else its number, counted from 0."""
    return f"{source}, row {row}" if lines is None else f"{source}, line {lines[row]}"


def _is_decimal(name: str) -> bool:
    try:
        number = float(name)
    except ValueError:
        return False
    return math.isfinite(number) and number % 1 != 0  # "nan" and "inf" are names like any other


def _plain(columns: dict[str, Any], usual: Sequence[str], role: str, source: str) -> str:
    found = [name for name in columns if name.strip().lower() in usual]
    if len(found) == 1:
        return found[0]
    what = f"columns {listed(found)} could all be it" if found else f"the columns are {listed(columns, limit=12)}"
    if set(TRIPLET_COLUMNS) <= set(columns):
        raise DataError(f"{source} holds triplets (anchor, positive, negative); add --loss triplet to tercet train")
    if len(columns) == 1 and any(mark in next(iter(columns)) for mark in "\t;"):
        raise DataError(f"{source} has one column, {next(iter(columns))!r}: a .csv wants commas, a .tsv tabs")
    raise DataError(f"{source}: which column is the {role}? {what}; say it with --{role}-column")


def _described(columns: Sequence[str], kinds: dict[str, str]) -> str:
    return ", ".join(f"{name!r} ({kinds[name]})" for name in columns) or "no columns"
