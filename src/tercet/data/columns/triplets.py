"""Find the columns of anchors, positives and negatives.

In a file they are named `anchor`, `positive` and `negative`. In a data set that is passed to the trainer, columns are
found by words in their names, such as `query` and `hard_negative`, or by their order.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from tercet.data.columns.names import TRIPLET_COLUMNS, Kind, columns_with_kinds
from tercet.errors import DataError, listed

# Words in the names of triplet columns. Words such as "text" and "answer" may stand for several roles.
_TRIPLET_WORDS = {
    "negative": {"negative", "negatives", "neg", "contradiction", "sentence3"},
    "positive": {"positive", "positives", "pos", "entailment", "sentence2"},
    "anchor": {"anchor", "anchors", "query", "queries", "question", "premise", "sentence1"},
}


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
        f"{columns_with_kinds(columns, kinds)}; rename columns, or select them with dataset.select_columns"
    )


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
