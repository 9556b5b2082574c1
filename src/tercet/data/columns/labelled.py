"""Find the columns of texts and labels by their usual names, or by their types.

Additional columns are ignored. In a data set that is passed to the trainer, columns are also found by their types
(`kinds`), so other names are possible if the types are unambiguous.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from tercet.data.columns.names import (
    TRIPLET_COLUMNS,
    USUAL_NAMES,
    ColumnError,
    Kind,
    check_columns,
    columns_with_kinds,
    is_index,
    usual_columns,
)
from tercet.errors import DataError, listed, short_repr

logger = logging.getLogger(__name__)


class UnclearColumnError(ColumnError):
    """An error for a role that no column, or several columns have by their names.

    Attributes:
        role: "text" or "label".
        found: the columns with a usual name of the role.
    """

    def __init__(self, message: str, role: str, found: Sequence[str]) -> None:
        super().__init__(message)
        self.role, self.found = role, list(found)


def find_text_column(columns: Iterable[str], source: str, text_column: str | None = None) -> str:
    """Return the name of the text column of a table.

    Args:
        columns: the names of all columns.
        source: the file or data set of the table, for messages.
        text_column: the name of the text column; None takes the only column, or else the only one with a usual name.

    Raises:
        DataError: `text_column` does not exist; or it is None, there are several columns, and not exactly one has a
            usual name.
    """
    return _find_only_column("text", list(columns), source, text_column)


def find_label_column(columns: Iterable[str], source: str, label_column: str | None = None) -> str:
    """Return the name of the label column of a table without texts. The arguments are those of `find_text_column`.

    Raises:
        DataError: `label_column` does not exist; or it is None, there are several columns, and not exactly one has a
            usual name.
    """
    return _find_only_column("label", list(columns), source, label_column)


def find_given_labels(columns: Iterable[str], source: str, label_column: str | None = None) -> str | None:
    """Return the name of the label column of a table that needs none, or None if it has none.

    Args:
        columns: the names of the columns, without that of the texts.
        source: the file or data set of the table, for messages.
        label_column: the name of the label column; None takes `label` or `labels`, or else the only column with another
            usual name.

    Raises:
        DataError: `label_column` does not exist.
    """
    columns = list(columns)
    check_columns([label_column], columns, source)
    if label_column is not None:
        return label_column
    found = usual_columns(columns, "label", 0) or usual_columns(columns, "label", 1)
    if len(found) > 1:
        logger.info(f"{source}: several columns may be the labels ({listed(found)}); to compare, pass label_column")
    return found[0] if len(found) == 1 else None


def _find_only_column(role: Literal["text", "label"], columns: list[str], source: str, given: str | None) -> str:
    check_columns([given], columns, source)
    if given is not None:
        return given
    if len(columns) == 1:
        return columns[0]
    found = usual_columns(columns, "text") if role == "text" else _label_candidates(columns, None)
    return _only(found, role, columns, source)


def find_labelled_columns(
    columns: Iterable[str],
    source: str,
    text_column: str | None = None,
    label_column: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> tuple[str, str]:
    """Return the names of the text column and of the label column.

    Args:
        columns: the names of all columns.
        source: the file or data set of the columns, for messages.
        text_column: the name of the text column; None searches for it.
        label_column: the name of the label column; None searches for it.
        kinds: the type of each column of the trainer's data, to find columns without a usual name. None for any other
            table, whose columns must have usual names.

    Raises:
        DataError: `text_column` or `label_column` does not exist, both are the same column, or the search finds no
            column or several columns.
    """
    columns = list(columns)
    check_columns((text_column, label_column), columns, source)
    labels = [label_column] if label_column else _label_candidates(columns, kinds)
    texts = [text_column] if text_column else _text_candidates(columns, kinds, labels)
    if kinds is not None:
        if len(texts) == 1 and len(labels) == 1:
            _check_not_swapped(texts[0], labels[0], columns, source)
            return texts[0], labels[0]
        for role, found in (("text", texts), ("label", labels)):
            if len(usual_columns(found, role)) > 1:
                kept = [name for name in columns if name not in found[1:]]
                raise UnclearColumnError(
                    f"{source}: which column is the {role}? Several have a usual name: {listed(found)}; leave out all "
                    f"but one, for example with dataset.select_columns({kept})",
                    role,
                    found,
                )
        role, found = ("text", texts) if len(texts) != 1 else ("label", labels)
        raise UnclearColumnError(
            f"this loss needs one column of texts and one of labels, and no column is clearly the {role}; {source} has "
            f"{columns_with_kinds(columns, kinds)}; rename two columns to 'text' and 'label', or select them, for "
            "example with dataset.select_columns(['text', 'label'])",
            role,
            found,
        )
    text = _only(texts, "text", columns, source, also=None if labels else "label")
    label = _only(labels, "label", columns, source)
    if text == label:
        raise DataError(
            f"{source}: column {short_repr(text)} cannot be both text and label; pass two different names "
            "as text_column and label_column"
        )
    return text, label


def _check_not_swapped(text: str, label: str, columns: Sequence[str], source: str) -> None:
    """Raise `DataError` if the name of the text column is that of labels, or the label column's that of texts."""
    explicit, usual = USUAL_NAMES["label"]
    text_name, label_name = text.strip().lower(), label.strip().lower()
    if text_name in explicit + usual and label_name in usual + USUAL_NAMES["text"][0]:
        raise DataError(
            f"{source}: which of the columns {listed(columns)} is the text, and which is the label? By their types, "
            f"{text!r} would be the text and {label!r} the label, against their names; rename them to 'text' and "
            "'label'"
        )


def _label_candidates(columns: list[str], kinds: Mapping[str, Kind] | None) -> list[str]:
    """Return the columns that may be the labels; more than one is ambiguous.

    In a file, these are the columns with a usual name. In the data of the trainer, they are the columns named `label`
    or `labels`; if there are none, the columns of classes, and of integers if there are only two columns; if there are
    none of these either, those with another usual name.
    """
    if kinds is None:
        return usual_columns(columns, "label", 0) + usual_columns(columns, "label", 1)
    # Beside other columns, a column of integers may be the number of the row.
    columns = [name for name in columns if not is_index(name)]
    types = ("class", "integer") if len(columns) == 2 else ("class",)
    typed = [name for name in columns if kinds[name] in types]
    return usual_columns(columns, "label", 0) or typed or usual_columns(columns, "label", 1)


def _text_candidates(columns: list[str], kinds: Mapping[str, Kind] | None, labels: Sequence[str]) -> list[str]:
    """Return the columns with a usual name.

    In a `Dataset`, consider only the columns of text that are not the label. If none of them has a usual name, return
    all of them.
    """
    if kinds is None:
        return usual_columns(columns, "text")
    texts = [name for name in columns if kinds[name] == "text" and name not in labels]
    return usual_columns(texts, "text") or texts


def _only(found: list[str], role: str, columns: list[str], source: str, also: str | None = None) -> str:
    """Return the column that was found for a role, or raise `DataError` if there is not exactly one.

    `also` is another role that has no column, for the message.
    """
    if len(found) == 1:
        return found[0]
    if set(TRIPLET_COLUMNS) <= set(columns):
        raise DataError(
            f"{source} has the columns of triplets ({', '.join(TRIPLET_COLUMNS)}); train on it with loss='triplet', "
            f"or pass {role}_column"
        )
    if len(columns) == 1 and any(mark in columns[0] for mark in "\t;|,"):
        raise DataError(
            f"{source} has only one column, {short_repr(columns[0])}, whose name contains a separator; "
            "separate columns by commas in a .csv, by tabs in a .tsv, or pass csv_separator"
        )
    why = f"several have a usual name: {listed(found)}" if found else f"the columns are {listed(columns, limit=12)}"
    more = f", and {also}_column, as none has a usual name of a {also} either" if also else ""
    join = f", or text_column={','.join(found)!r} to join them" if role == "text" and len(found) > 1 else ""
    raise UnclearColumnError(
        f"{source}: which column is the {role}? {why}; pass {role}_column{join}{more}", role, found
    )
