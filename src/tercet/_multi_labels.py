"""Several labels of a sentence in one string, such as "billing;refund": the name of a set of labels. Imports no NumPy.

Sets are numbered like labels, so files, splits, batches and records treat a set as one label. Where labels matter, the
name is split again.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tercet._separators import JOINING_LABELS
from tercet.errors import DataError, short_repr


def split_set(name: str, separator: str | None) -> tuple[str, ...]:
    """Return the labels of a set; the name itself without a separator, and nothing for the empty name.

    Example:
        >>> split_set("billing;refund", ";"), split_set("billing;refund", None)
        (('billing', 'refund'), ('billing;refund',))
    """
    if not name:
        return ()
    return tuple(name.split(separator)) if separator is not None else (name,)


def join_set(labels: Iterable[str], separator: str) -> str:
    """Return the name of a set of labels: each label once, in sorted order."""
    return separator.join(sorted(set(labels)))


def separator_for(labels: Iterable[str]) -> str:
    """Return a separator that none of the labels contains, for labels that come in lists.

    Raises:
        DataError: each of the separators that are tried occurs in a label.
    """
    labels = set(labels)
    found = next((mark for mark in JOINING_LABELS if not any(mark in label for label in labels)), None)
    if found is None:
        raise DataError(
            f"each of the characters {' '.join(map(str.strip, JOINING_LABELS))} occurs in a label; pass multi_label, a "
            "character or a word that no label contains"
        )
    return found


def set_names(values: Iterable[Any], separator: str, source: str) -> list[str | None]:
    """Return the name of the set of labels of each row; None for a row without a label.

    White space around labels is removed, their characters are composed (NFC), and each label counts once.

    Args:
        values: the cells, as `plain_values` returns them: a tuple has one label in each element, a string is split.
        separator: the separator of the labels in a string, and in the names.
        source: the file or data set, for messages.

    Raises:
        DataError: a label in a list contains the separator.

    Example:
        >>> set_names(["refund; billing;refund", ("card", "billing"), " ; ", None], ";", "my data")
        ['billing;refund', 'billing;card', None, None]
    """
    values, cache = list(values), dict[Any, str | None]()

    def name_of(value: Any) -> str | None:
        if isinstance(value, tuple):
            for label in value:
                if separator in label:
                    raise DataError(
                        f"{source}: the label {short_repr(label)} contains {separator!r}, which separates labels; pass "
                        "another multi_label, a character that no label contains"
                    )
        parts = value if isinstance(value, tuple) else str(value).split(separator)
        labels = (unicodedata.normalize("NFC", part).strip() for part in parts)
        return join_set(filter(None, labels), separator) or None

    for value in values:
        if value is not None and value not in cache:
            cache[value] = name_of(value)
    return [None if value is None else cache[value] for value in values]


def renamed_sets(names: Sequence[Any], new: Mapping[str, str], separator: str | None) -> list[Any]:
    """Return the names of sets in which some labels get other names; without a separator, a name is one label."""
    if not new or separator is None:
        return [new.get(name, name) for name in names]
    changed = {
        name: join_set((new.get(label, label) for label in split_set(name, separator)), separator)
        for name in set(names)
    }
    return [changed[name] for name in names]


def number_label_sets(names: Sequence[str], separator: str | None) -> tuple[list[list[int]], list[str]]:
    """Number the labels of sets.

    Returns:
        The label ids of each set, and the name of each label id, sorted.

    Example:
        >>> number_label_sets(["billing;refund", "card"], ";")
        ([[0, 2], [1]], ['billing', 'card', 'refund'])
    """
    labels = sorted({label for name in names for label in split_set(name, separator)})
    ids = {label: number for number, label in enumerate(labels)}
    return [[ids[label] for label in split_set(name, separator)] for name in names], labels
