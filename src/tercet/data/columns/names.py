"""The usual names of columns, and checks of names that were given.

is_usual_name   returns whether a name is a usual one of texts, labels or triplets
is_first_choice returns whether it is one that is used before the other usual names
is_key          returns whether equal rows of two tables have equal values in a column, by its name
is_index        returns whether a column is the index that pandas writes
usual_columns   returns the columns with a usual name of texts or labels
check_columns   raises an error if a column does not exist
log_unused      logs which columns are used
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


# The type of a column of the trainer's data.
Kind = Literal["text", "integer", "class", "other"]

TRIPLET_COLUMNS = ("anchor", "positive", "negative")

# The usual column names of each role, in lower case, in groups. In a `datasets.Dataset`, the names of a group are used
# only if no column has a name of an earlier group.
USUAL_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (
        ("text", "sentence", "utterance", "query", "question", "message", "title", "content", "sentences", "texts"),
    ),
    "label": (("label", "labels"), ("intent", "category", "class", "target", "topic", "tag")),
}


def log_unused(columns: Iterable[str], used: Iterable[str], source: str, level: int = logging.INFO) -> None:
    """Log which columns are used, if there are others. The index that pandas writes is not mentioned."""
    used = list(used)
    unused = [name for name in columns if name not in used and not is_index(name)]
    if unused:
        logger.log(level, f"{source}: columns used: {listed(used)}; not used: {listed(unused)}")


def is_usual_name(name: str) -> bool:
    """Return whether a column name is a usual one for texts, labels or triplets."""
    names = {*TRIPLET_COLUMNS, *(usual for groups in USUAL_NAMES.values() for group in groups for usual in group)}
    return name.strip().lower() in names


def is_first_choice(name: str) -> bool:
    """Return whether a column name is a usual one of texts or triplets, or one of the first group of labels."""
    is_triplet = name.strip().lower() in TRIPLET_COLUMNS
    return is_triplet or bool(usual_columns([name], "text") or usual_columns([name], "label"))


def is_key(name: str) -> bool:
    """Return whether a column name is that of ids, or a usual one of texts: equal rows of two tables have equal values.

    Example:
        >>> is_key("ticket_id"), is_key("Text"), is_key("label")
        (True, True, False)
    """
    words = re.findall(r"[a-z]+", name.lower())
    return bool({"id", "uuid", "guid"} & set(words)) or bool(usual_columns([name], "text"))


def is_index(name: str) -> bool:
    """Return whether a column is the index that pandas writes: "__index_level_0__", or "Unnamed: 0" in a CSV file."""
    return re.fullmatch(r"__index_level_\d+__|Unnamed: 0|", name) is not None


def usual_columns(columns: Iterable[str], role: str, group: int = 0) -> list[str]:
    """Return the columns with a usual name of a role, "text" or "label", in one of its groups of names."""
    return [name for name in columns if name.strip().lower() in USUAL_NAMES[role][group]]


def check_columns(names: Iterable[str | None], columns: Sequence[str], source: str) -> None:
    """Raise `ColumnError` if a table has no column of one of these names, and name all of them. None is not checked."""
    missing = [name for name in dict.fromkeys(names) if name is not None and name not in columns]
    if not missing:
        return
    meant = dict.fromkeys(near for name in missing if (near := _nearest(name, columns)) is not None)
    hint = f"did you mean {' and '.join(map(short_repr, meant))}? " if meant else ""
    if outer := next((name for name in missing if name.partition(".")[0] in columns), None):
        hint = (
            f"a field within the column {short_repr(outer.partition('.')[0])} has no name here: write it into a "
            "separate column, for example with pandas.json_normalize; "
        )
    raise ColumnError(
        f"{source} has no column {' and no column '.join(map(short_repr, missing))}; {hint}it has "
        f"{listed(columns, limit=12)}"
    )


def _nearest(name: str, columns: Sequence[str]) -> str | None:
    near = get_close_matches(name.strip().lower(), [column.strip().lower() for column in columns[:1000]], 1)
    return next((column for column in columns if near and column.strip().lower() == near[0]), None)


def columns_with_kinds(columns: Iterable[str], kinds: Mapping[str, Kind]) -> str:
    """Return columns with their types, for a message."""
    return ", ".join(f"{short_repr(name)} ({kinds[name]})" for name in columns) or "no columns"
