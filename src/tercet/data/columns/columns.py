"""Find the columns of texts, labels and triplets.

Columns are found by their usual names, and additional columns are ignored; `log_unused` names them. In a data set that
is passed to the trainer, columns are also found by their types (`kinds`), so other names are possible if the types are
unambiguous.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal

from tercet.errors import DataError, listed, short_repr

logger = logging.getLogger(__name__)


class ColumnError(DataError):
    """An error for a column that is not found."""


class UnclearColumnError(ColumnError):
    """An error for a role that no column, or several columns have by their names.

    Attributes:
        role: "text" or "label".
        found: the columns with a usual name of the role.
    """

    def __init__(self, message: str, role: str, found: Sequence[str]) -> None:
        super().__init__(message)
        self.role, self.found = role, list(found)


Kind = Literal["text", "integer", "class", "other"]

TRIPLET_COLUMNS = ("anchor", "positive", "negative")

# The usual column names of each role, in lower case, in groups. In a `datasets.Dataset`, the names of a group are used
# only if no column has a name of an earlier group.
_USUAL_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (
        ("text", "sentence", "utterance", "query", "question", "message", "title", "content", "sentences", "texts"),
    ),
    "label": (("label", "labels"), ("intent", "category", "class", "target", "topic", "tag")),
}

# Words in the names of triplet columns. Words such as "text" and "answer" may stand for several roles.
_TRIPLET_WORDS = {
    "negative": {"negative", "negatives", "neg", "contradiction", "sentence3"},
    "positive": {"positive", "positives", "pos", "entailment", "sentence2"},
    "anchor": {"anchor", "anchors", "query", "queries", "question", "premise", "sentence1"},
}


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
    found = _usual(columns, "label", 0) or _usual(columns, "label", 1)
    if len(found) > 1:
        logger.info(f"{source}: several columns may be the labels ({listed(found)}); to compare, pass label_column")
    return found[0] if len(found) == 1 else None


def _find_only_column(role: Literal["text", "label"], columns: list[str], source: str, given: str | None) -> str:
    check_columns([given], columns, source)
    if given is not None:
        return given
    if len(columns) == 1:
        return columns[0]
    found = _usual(columns, "text") if role == "text" else _label_candidates(columns, None)
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
        raise UnclearColumnError(
            "this loss needs one column of text and one of labels (named 'label', or the only other column, with "
            f"integers); {source} has {_with_kinds(columns, kinds)}; rename two columns to 'text' and 'label', or "
            "select them, for example with dataset.select_columns(['text', 'label'])",
            *(("text", texts) if len(texts) != 1 else ("label", labels)),
        )
    text = _only(texts, "text", columns, source, also=None if labels else "label")
    label = _only(labels, "label", columns, source)
    if text == label:
        raise DataError(
            f"{source}: column {short_repr(text)} cannot be both text and label; pass two different names "
            "as text_column and label_column"
        )
    return text, label


def find_triplet_columns(
    columns: Iterable[str], source: str, kinds: Mapping[str, Kind] | None = None
) -> tuple[str, str, str]:
    """Return the names of the columns of anchors, positives and negatives, in this order.

    Args:
        columns: the names of all columns.
        source: the file or data set of the columns, for messages.
        kinds: the type of each column of the trainer's data, which must have three columns of text with a usual name of
            a role, such as `query`, `pos` and `hard_negative`; or exactly three columns of text, in this order. None
            for any other table, which must have columns with the names `anchor`, `positive` and `negative`.

    Raises:
        DataError: the table does not have such columns, or a usual name contradicts the position of its column.
    """
    columns = list(columns)
    missing = [name for name in TRIPLET_COLUMNS if name not in columns]
    if kinds is None:
        if missing:
            raise DataError(
                f"{source}: the triplet loss needs the columns {listed(TRIPLET_COLUMNS)}; missing: {listed(missing)}; "
                f"the columns are {listed(columns, limit=12)}; rename the columns of the data"
            )
        return TRIPLET_COLUMNS
    texts = [name for name in columns if kinds[name] == "text"]
    if len(texts) > 3:
        texts = _with_roles(texts)
    if len(texts) == 3:
        return _triplet_order(texts, source)
    raise DataError(
        f"TripletLoss needs three columns of text (anchor, positive and negative); {source} has "
        f"{_with_kinds(columns, kinds)}; rename columns, or select them with dataset.select_columns"
    )


def log_unused(columns: Iterable[str], used: Iterable[str], source: str, level: int = logging.INFO) -> None:
    """Log which columns are used, if there are others. The index that pandas writes is not mentioned."""
    used = list(used)
    unused = [name for name in columns if name not in used and not is_index(name)]
    if unused:
        logger.log(level, f"{source}: columns used: {listed(used)}; not used: {listed(unused)}")


def _with_roles(columns: Sequence[str]) -> list[str]:
    """Return the columns named exactly anchor, positive and negative, or else those whose names state one of these."""
    exact = [name for name in columns if name.strip().lower() in TRIPLET_COLUMNS]
    return exact if len(exact) == 3 else [name for name in columns if _triplet_role(name) is not None]


def _triplet_order(columns: list[str], source: str) -> tuple[str, str, str]:
    """Return the three columns in the order anchor, positive, negative, by their names or else by their order."""
    roles = [_triplet_role(name) for name in columns]
    by_role = dict(zip(roles, columns, strict=True))
    if set(roles) == set(TRIPLET_COLUMNS):
        return by_role["anchor"], by_role["positive"], by_role["negative"]
    for position, (name, role) in enumerate(zip(columns, roles, strict=True)):
        if role is not None and role != TRIPLET_COLUMNS[position]:
            raise DataError(
                f"{source}: column {name!r} is number {position + 1} of {listed(columns)}, the place of the "
                f"{TRIPLET_COLUMNS[position]}, but its name is that of the {role}; rename the columns to "
                f"{listed(TRIPLET_COLUMNS)}"
            )
    return columns[0], columns[1], columns[2]


def _triplet_role(name: str) -> str | None:
    """Return the role that the name of a column states, such as anchor for "query_text"; None if it states none."""
    words = set(re.findall(r"[a-z]+|[0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    words |= {f"{word}{number}" for word in words for number in words if number.isdecimal()}
    # "query_positive" is a positive, so the anchor's words are the last ones.
    return next((role for role, known in _TRIPLET_WORDS.items() if words & known), None)


def _check_not_swapped(text: str, label: str, columns: Sequence[str], source: str) -> None:
    """Raise `DataError` if the name of the text column is that of labels, or the label column's that of texts."""
    explicit, usual = _USUAL_NAMES["label"]
    text_name, label_name = text.strip().lower(), label.strip().lower()
    if text_name in explicit + usual and label_name in usual + _USUAL_NAMES["text"][0]:
        raise DataError(
            f"{source}: which of the columns {listed(columns)} is the text, and which is the label? By their types, "
            f"{text!r} would be the text and {label!r} the label, against their names; rename them to 'text' and "
            "'label'"
        )


def is_usual_name(name: str) -> bool:
    """Return whether a column name is a usual one for texts, labels or triplets."""
    names = {*TRIPLET_COLUMNS, *(usual for groups in _USUAL_NAMES.values() for group in groups for usual in group)}
    return name.strip().lower() in names


def is_key(name: str) -> bool:
    """Return whether a column name is that of ids, or a usual one of texts: equal rows of two tables have equal values.

    Example:
        >>> is_key("ticket_id"), is_key("Text"), is_key("label")
        (True, True, False)
    """
    words = re.findall(r"[a-z]+", name.lower())
    return bool({"id", "uuid", "guid"} & set(words)) or bool(_usual([name], "text"))


def is_index(name: str) -> bool:
    """Return whether a column is the index that pandas writes: "__index_level_0__", or "Unnamed: 0" in a CSV file."""
    return re.fullmatch(r"__index_level_\d+__|Unnamed: 0|", name) is not None


def _usual(columns: Iterable[str], role: str, group: int = 0) -> list[str]:
    return [name for name in columns if name.strip().lower() in _USUAL_NAMES[role][group]]


def _label_candidates(columns: list[str], kinds: Mapping[str, Kind] | None) -> list[str]:
    """Return the columns that may be the labels; more than one is ambiguous.

    In a file, these are the columns with a usual name. In the data of the trainer, they are the columns named `label`
    or `labels`; if there are none, the columns of classes, and of integers if there are only two columns; if there are
    none of these either, those with another usual name.
    """
    if kinds is None:
        return _usual(columns, "label", 0) + _usual(columns, "label", 1)
    # Beside other columns, a column of integers may be the number of the row.
    columns = [name for name in columns if not is_index(name)]
    types = ("class", "integer") if len(columns) == 2 else ("class",)
    typed = [name for name in columns if kinds[name] in types]
    return _usual(columns, "label", 0) or typed or _usual(columns, "label", 1)


def _text_candidates(columns: list[str], kinds: Mapping[str, Kind] | None, labels: Sequence[str]) -> list[str]:
    """Return the columns with a usual name.

    In a `Dataset`, consider only the columns of text that are not the label. If none of them has a usual name, return
    all of them.
    """
    if kinds is None:
        return _usual(columns, "text")
    texts = [name for name in columns if kinds[name] == "text" and name not in labels]
    return _usual(texts, "text") or texts


def check_columns(names: Iterable[str | None], columns: Sequence[str], source: str) -> None:
    """Raise `ColumnError` if a table has no column of one of these names, and name all of them. None is not checked."""
    missing = [name for name in dict.fromkeys(names) if name is not None and name not in columns]
    if not missing:
        return
    meant = dict.fromkeys(near for name in missing if (near := _nearest(name, columns)) is not None)
    hint = f"did you mean {' and '.join(map(short_repr, meant))}? " if meant else ""
    raise ColumnError(
        f"{source} has no column {' and no column '.join(map(short_repr, missing))}; {hint}it has "
        f"{listed(columns, limit=12)}"
    )


def _nearest(name: str, columns: Sequence[str]) -> str | None:
    near = get_close_matches(name.strip().lower(), [column.strip().lower() for column in columns[:1000]], 1)
    return next((column for column in columns if near and column.strip().lower() == near[0]), None)


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


def _with_kinds(columns: Iterable[str], kinds: Mapping[str, Kind]) -> str:
    return ", ".join(f"{short_repr(name)} ({kinds[name]})" for name in columns) or "no columns"
