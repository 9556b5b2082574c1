"""Find cells with several labels, such as "billing|refund", "0,18" or "['bug', 'crash']".

`find_combined` looks at the different labels and their numbers of rows, so it is fast for any number of rows.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tercet._separators import ALSO_IN_NAMES, BETWEEN_LABELS
from tercet.data.tables.cells import items_in_brackets

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class CombinedLabels:
    """Labels that consist of several labels.

    Attributes:
        separator: the character between the labels, or "[]" for lists in brackets.
        parts: the parts of each combined label.
        rows: the number of rows with a combined label.
    """

    separator: str
    parts: dict[str, tuple[str, ...]]
    rows: int


def multi_label_for(separator: str) -> str:
    """Return the `multi_label` to pass for `CombinedLabels.separator`: any separator will do for lists in brackets."""
    return ";" if separator == "[]" else separator


def find_combined(labels: Iterable[str]) -> CombinedLabels | None:
    """Return the labels that consist of several labels, or None if there are none.

    The parts of a combined label are separated by `|`, `;`, a line break, a tab, `,`, `/`, `&` or `+`, or are the items
    of a list in brackets. Unless it is a list of JSON or Python, each part must recur alone or in another combination,
    or two parts must recur alone. With `/`, `&` and `+`, two parts must recur alone.

    Args:
        labels: the label of each row.

    Example:
        >>> find_combined(["billing", "refund", "billing, refund", "Portland, OR"]).parts
        {'billing, refund': ('billing', 'refund')}
    """
    counts = Counter(labels)
    lists = {label: items for label in counts if (items := items_in_brackets(label)) is not None}
    certain = {label: items for label, (items, is_list) in lists.items() if is_list}
    loose = {label: items for label, (items, is_list) in lists.items() if not is_list}
    found = {label: items for label, items in certain.items() if len(items) > 1} | _recurring(counts, loose)
    if found:
        # A list of one label is the label itself, so that "['bug']" and 'bug' in a longer list become one.
        single = {label: items for label, (items, _) in lists.items() if len(items) == 1}
        return _combined("[]", {**single, **found}, counts)
    for separator in (*BETWEEN_LABELS, *ALSO_IN_NAMES):
        split = {label: parts for label in counts if len(parts := _parts(label, separator)) > 1}
        found = _recurring(counts, split)
        if separator in ALSO_IN_NAMES:
            alone = counts.keys() - split.keys()
            found = {label: parts for label, parts in found.items() if len(alone.intersection(parts)) > 1}
        if separator == "," and not _is_certain(counts, split, found):
            continue
        if found:
            return _combined(separator, found, counts)
    return None


def _recurring(counts: Mapping[str, int], split: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the combinations of which every part recurs, alone or in another combination, or two parts recur alone.

    Args:
        counts: the labels and their numbers of rows.
        split: the labels that may be combinations, and their parts.
    """
    alone = counts.keys() - split.keys()
    number = Counter(part for parts in split.values() for part in set(parts))
    return {
        label: parts
        for label, parts in split.items()
        if len(parts) > 1
        and (all(part in alone or number[part] > 1 for part in parts) or len(alone.intersection(parts)) > 1)
    }


def _is_certain(
    counts: Mapping[str, int], split: Mapping[str, tuple[str, ...]], found: Mapping[str, tuple[str, ...]]
) -> bool:
    """Return whether labels with commas are combinations, rather than names such as "Portland, OR".

    They are if two parts of one recur alone, or if a part is in different places of several combinations.
    """
    alone = counts.keys() - split.keys()
    if any(len(alone.intersection(parts)) > 1 for parts in found.values()):
        return True
    places = {(part, place) for parts in found.values() for place, part in enumerate(parts)}
    return len(found) > 1 and max(Counter(part for part, _ in places).values()) > 1


def _combined(separator: str, parts: dict[str, tuple[str, ...]], counts: Mapping[str, int]) -> CombinedLabels:
    return CombinedLabels(
        separator=separator,
        parts=parts,
        rows=sum(counts[label] for label, items in parts.items() if len(items) > 1),
    )


def _parts(label: str, separator: str) -> tuple[str, ...]:
    if separator not in label or (separator == "," and _THOUSANDS.fullmatch(label)):
        return (label,)
    return tuple(part for part in map(str.strip, label.split(separator)) if part)
