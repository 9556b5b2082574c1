"""Find labels that differ only in form, and labels that stand for a missing one.

trim_labels        removes white space around labels, and composes their characters (NFC)
find_placeholders  finds labels that probably stand for a missing label, such as "N/A"
find_similar       finds labels that differ only in case, spaces, punctuation, Unicode form or the form of a number

The last two look at the different labels and their numbers of rows, so they are fast for any number of rows.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tercet._texts import text_key

# Labels that stand for a missing label in most data, but not in all: libraries write some of them for a missing value
# when they convert a column to strings.
_PLACEHOLDERS = frozenset(["nan", "<na>", "nat", "#n/a", "null", "(null)", "n/a", "na", "-", "--", "---", "?", "."])
_NUMBER = re.compile(r"[+-]?\d+(\.0+)?")
# The separators of the words of a name, but not of the digits of a number: "log in", "log-in", "log_in".
_BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_])[ _-]+(?=\w)|(?<=\d)[ _-]+(?=[^\W\d_])|(?<!\w) +| +(?!\w)")
_END_OF_SENTENCE = ".!?。 "


def trim_labels(values: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
    """Remove white space around labels and compose their characters (NFC).

    Returns:
        The labels, and the labels that have changed with their new form. Values that are no strings do not change.
    """
    forms = {value: unicodedata.normalize("NFC", value).strip() for value in dict.fromkeys(filter(_is_string, values))}
    changed = {old: new for old, new in forms.items() if new != old}
    return [forms[value] if _is_string(value) else value for value in values], changed


def find_placeholders(labels: Iterable[str]) -> list[str]:
    """Return the labels that probably stand for a missing label, such as "N/A" and "-", in order of occurrence.

    Example:
        >>> find_placeholders(["billing", "N/A", "refund"])
        ['N/A']
    """
    return [label for label in dict.fromkeys(labels) if label.strip().lower() in _PLACEHOLDERS or label == "None"]


def find_similar(counts: Mapping[str, int], known: Iterable[str] = ()) -> list[tuple[str, ...]]:
    """Return groups of labels that differ only in form.

    The form is case, white space, `-` and `_` between words, final punctuation, Unicode form (NFKC) or number format.

    Args:
        counts: the labels and their numbers of rows.
        known: the labels of other data, such as the training data. They come first in a group, and only groups with a
            label that is not known are returned.

    Returns:
        The groups, each with the known label or the most frequent label first.

    Example:
        >>> find_similar({"Billing": 5, "billing": 7, "refund": 2})
        [('billing', 'Billing')]
    """
    known = dict.fromkeys(known)
    groups: dict[str, list[str]] = defaultdict(list)
    for label in [*known, *(label for label in counts if label not in known)]:
        groups[label_key(label)].append(label)
    return [
        tuple(sorted(group, key=lambda label: (label not in known, -counts.get(label, 0), label)))
        for group in groups.values()
        if len(group) > 1 and not all(label in known for label in group)
    ]


def label_key(label: str) -> str:
    """Return a key that is equal for labels that differ only in form, see `find_similar`."""
    key = text_key(label)
    key = _BETWEEN_WORDS.sub("", key.rstrip(_END_OF_SENTENCE) or key)
    return str(int(float(key))) if _NUMBER.fullmatch(key) and len(key) < 16 else key


def _is_string(value: Any) -> bool:
    return isinstance(value, str)
