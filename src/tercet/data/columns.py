"""Find the columns of sentences, labels and triplets, by their usual names and, in a data set, by their types.

A table from a file has names only, and its further columns are not used. A `datasets.Dataset` has types too, so a
trainer also accepts other names if the types are unambiguous. It uses every column, so a further column is an error.
Every message names the columns that exist.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from tercet.errors import DataError, listed

Kind = Literal["text", "integer", "class", "other"]

TRIPLET_COLUMNS = ("anchor", "positive", "negative")

# The usual names of each role, in lower case. A name of an earlier group is preferred to all names of a later one.
_USUAL_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (
        ("text", "sentence", "utterance", "query", "question", "message", "title", "content", "sentences", "texts"),
    ),
    "label": (("label", "labels"), ("intent", "category", "class", "target", "topic", "tag")),
}


def find_text_column(columns: Iterable[str], source: str, text_column: str | None = None) -> str:
    """Return the name of the text column of a table; a table with one column needs no usual name.

    Args:
        columns: the names of the columns.
        source: where the table comes from, for messages.
        text_column: the name, if it is known.

    Raises:
        DataError: `text_column` does not exist, or not exactly one column has a usual name.
    """
    columns = list(columns)
    _check_exists(text_column, columns, source)
    if text_column is None and len(columns) == 1:
        return columns[0]
    return text_column or _only(_usual(columns, "text"), "text", columns, source)


def find_labelled_columns(
    columns: Iterable[str],
    source: str,
    text_column: str | None = None,
    label_column: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> tuple[str, str]:
    """Return the names of the text column and of the label column.

    Args:
        columns: the names of the columns.
        source: where they come from, for messages.
        text_column: the name of the text column, if it is known.
        label_column: the name of the label column, if it is known.
        kinds: the type of each column of a data set, which then must have these two columns only; None for a table
            from a file, whose further columns are not used.

    Raises:
        DataError: a given column does not exist, or the columns leave a choice.
    """
    columns = list(columns)
    _check_exists(text_column, columns, source)
    _check_exists(label_column, columns, source)
    labels = [label_column] if label_column else _label_candidates(columns, kinds)
    texts = [text_column] if text_column else _text_candidates(columns, kinds, labels)
    if kinds is not None:
        if len(columns) == 2 and len(texts) == 1 and len(labels) == 1:
            return texts[0], labels[0]
        raise DataError(
            "this loss needs one column of text and one of labels (named 'label', or of integers); "
            f"{source} has {_with_kinds(columns, kinds)}; drop or rename columns "
            "(dataset.select_columns, dataset.rename_column)"
        )
    text, label = _only(texts, "text", columns, source), _only(labels, "label", columns, source)
    if text == label:
        raise DataError(f"{source}: column {text!r} cannot be both text and label")
    return text, label


def find_triplet_columns(
    columns: Iterable[str], source: str, kinds: Mapping[str, Kind] | None = None
) -> tuple[str, str, str]:
    """Return the names of the columns of anchors, positives and negatives.

    Args:
        columns: the names of the columns.
        source: where they come from, for messages.
        kinds: the type of each column of a data set, which then must have three columns of text: with the names
            `anchor`, `positive` and `negative`, or in this order. None for a table from a file, which needs the names.

    Raises:
        DataError: the columns are others.
    """
    columns = list(columns)
    missing = [name for name in TRIPLET_COLUMNS if name not in columns]
    if kinds is None:
        if missing:
            raise DataError(
                f"{source}: the triplet loss needs the columns {listed(TRIPLET_COLUMNS)}; "
                f"{listed(missing)} is missing among {listed(columns, limit=12)}"
            )
        return TRIPLET_COLUMNS
    if len(columns) == 3 and all(kinds[name] == "text" for name in columns):
        return (columns[0], columns[1], columns[2]) if missing else TRIPLET_COLUMNS
    raise DataError(
        "TripletLoss needs three columns of text, anchor, positive and negative; "
        f"{source} has {_with_kinds(columns, kinds)}"
    )


def _usual(columns: Iterable[str], role: str, group: int = 0) -> list[str]:
    return [name for name in columns if name.strip().lower() in _USUAL_NAMES[role][group]]


def _label_candidates(columns: list[str], kinds: Mapping[str, Kind] | None) -> list[str]:
    """Return the columns named label, or else those with the type of labels, or else those with another usual name."""
    typed = [name for name in columns if kinds is not None and kinds[name] in ("integer", "class")]
    return _usual(columns, "label", 0) or typed or _usual(columns, "label", 1)


def _text_candidates(columns: list[str], kinds: Mapping[str, Kind] | None, labels: Sequence[str]) -> list[str]:
    """Return the columns with a usual name, or else, in a data set, those of text that are not the label."""
    if kinds is None:
        return _usual(columns, "text")
    texts = [name for name in columns if kinds[name] == "text" and name not in labels]
    return _usual(texts, "text") or texts


def _check_exists(name: str | None, columns: list[str], source: str) -> None:
    if name is not None and name not in columns:
        raise DataError(f"{source} has no column {name!r}; it has {listed(columns)}")


def _only(found: list[str], role: str, columns: list[str], source: str) -> str:
    """Return the one column that was found for a role, or raise with the reason why there is not exactly one."""
    if len(found) == 1:
        return found[0]
    if set(TRIPLET_COLUMNS) <= set(columns):
        raise DataError(
            f"{source} has the columns of triplets ({', '.join(TRIPLET_COLUMNS)}); train on it with loss='triplet'"
        )
    if len(columns) == 1 and any(mark in columns[0] for mark in "\t;"):
        raise DataError(
            f"{source} has one column, {columns[0]!r}: separate columns by commas in a .csv, by tabs in a .tsv"
        )
    why = f"{listed(found)} are all usual names" if found else f"the columns are {listed(columns, limit=12)}"
    raise DataError(f"{source}: which column is the {role}? {why}; pass {role}_column")


def _with_kinds(columns: Iterable[str], kinds: Mapping[str, Kind]) -> str:
    return ", ".join(f"{name!r} ({kinds[name]})" for name in columns) or "no columns"
