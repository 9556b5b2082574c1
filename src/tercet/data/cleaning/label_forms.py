"""Clean the values of a label column, and find labels that are probably not what they seem.

plain_values       converts cells to integers, strings or lists of strings; a missing label becomes None
in_list            reads the labels in the text of a list, such as "['bug', 'crash']"
read_list          reads the text of a list, and keeps the type of its items
trim_labels        removes white space around labels, and composes their characters (NFC)
find_combined      finds cells with several labels, such as "billing|refund" or "0,18"
find_placeholders  finds labels that probably stand for a missing label, such as "N/A"
find_similar       finds labels that differ only in case, spaces, punctuation, Unicode form or the form of a number

The last three look at the different labels and their numbers of rows, so they are fast for any number of rows.
"""

import ast
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from tercet._texts import text_key

# The characters between two labels in one cell, the least ambiguous first. Names contain the last three too, such as
# "TCP/IP" and "R&D", so two parts of a combination must recur alone.
_SEPARATORS = ("|", ";", "\n", "\t", ",", "/", "&", "+")
_IN_NAMES = ("/", "&", "+")
# Labels that stand for a missing label in most data, but not in all: libraries write some of them for a missing value
# when they convert a column to strings.
_PLACEHOLDERS = frozenset(["nan", "<na>", "nat", "#n/a", "null", "(null)", "n/a", "na", "-", "--", "---", "?", "."])
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_NUMBER = re.compile(r"[+-]?\d+(\.0+)?")
# What separates the words of a name, but not the digits of a number: "log in", "log-in", "log_in".
_BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_])[ _-]+(?=\w)|(?<=\d)[ _-]+(?=[^\W\d_])|(?<!\w) +| +(?!\w)")
_END_OF_SENTENCE = ".!?。 "
# An object in a list, such as Label(name="bug") in an export of GitHub issues.
_OBJECT = re.compile(r"""\w+\((?:.*?\b(?:name|label|value)=)?(['"])(.*?)\1.*\)""", re.DOTALL)


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


def plain_values(values: Iterable[Any]) -> list[Any]:
    """Return the values of a label column as integers, strings or tuples of strings; a missing label becomes None.

    Missing are None, NaN, empty lists (also as the text "[]") and strings without a visible character. Whole floating
    point numbers become integers, as in a column of integers of which some are missing. A list of one label is this
    label. All other values stay as they are.
    """
    cache: dict[str, Any] = {}
    plain = []
    for value in values:
        if isinstance(value, str):
            if value not in cache:
                cache[value] = None if not text_key(value) or re.fullmatch(r"\s*\[\s*\]\s*", value) else value
            plain.append(cache[value])
        else:
            plain.append(_plain(value))
    return plain


def is_missing_value(value: Any) -> bool:
    """Return whether a value is None, NaN, or a missing value of pandas."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or _is_of_pandas(value)


def _is_of_pandas(value: Any) -> bool:
    return type(value).__name__ in ("NAType", "NaTType")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) or _is_of_pandas(value):
        number = float(value) if isinstance(value, Real) else math.nan
        return None if math.isnan(number) else int(number) if number.is_integer() else number
    if hasattr(value, "tolist") and not isinstance(value, bytes):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_plain(item) for item in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
        items = [item for item in items if item is not None and item != ""]
        if len(items) < 2:
            return items[0] if items else None
        return tuple(str(item) for item in items)
    return value


def trim_labels(values: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
    """Remove white space around labels and compose their characters (NFC).

    Returns:
        The labels, and the labels that have changed with their new form. Values that are no strings do not change.
    """
    forms = {value: unicodedata.normalize("NFC", value).strip() for value in set(filter(_is_string, values))}
    changed = {old: new for old, new in forms.items() if new != old}
    return [forms[value] if _is_string(value) else value for value in values], changed


def in_list(value: Any) -> Any:
    """Return the labels of a cell that has the text of a list of JSON or Python as a tuple; any other value unchanged.

    Example:
        >>> in_list("['bug', 'crash']"), in_list("bug"), in_list(3)
        (('bug', 'crash'), 'bug', 3)
    """
    found = _list_items(value) if isinstance(value, str) else None
    return value if found is None or not found[1] else found[0]


def read_list(text: str) -> list[Any] | None:
    """Return the items of the text of a list of JSON or Python, a set sorted; None for any other text.

    Example:
        >>> read_list("[1, 2]"), read_list("('bug',)"), read_list("bug")
        ([1, 2], ['bug'], None)
    """
    items: Any = None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            items = ast.literal_eval(text)
    if not isinstance(items, (list, tuple, set)):
        return None
    return sorted(items, key=str) if isinstance(items, set) else list(items)


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
    lists = {label: items for label in counts if (items := _list_items(label)) is not None}
    certain = {label: items for label, (items, is_list) in lists.items() if is_list}
    loose = {label: items for label, (items, is_list) in lists.items() if not is_list}
    found = {label: items for label, items in certain.items() if len(items) > 1} | _recurring(counts, loose)
    if found:
        # A list of one label is the label itself, so that "['bug']" and 'bug' in a longer list become one.
        single = {label: items for label, (items, _) in lists.items() if len(items) == 1}
        return _combined("[]", {**single, **found}, counts)
    for separator in _SEPARATORS:
        split = {label: parts for label in counts if len(parts := _parts(label, separator)) > 1}
        found = _recurring(counts, split)
        if separator in _IN_NAMES:
            alone = counts.keys() - split.keys()
            found = {label: parts for label, parts in found.items() if len(alone.intersection(parts)) > 1}
        if separator == "," and not _is_certain(counts, split, found):
            continue
        if found:
            return _combined(separator, found, counts)
    return None


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
        groups[_label_key(label)].append(label)
    return [
        tuple(sorted(group, key=lambda label: (label not in known, -counts.get(label, 0), label)))
        for group in groups.values()
        if len(group) > 1 and not all(label in known for label in group)
    ]


def _label_key(label: str) -> str:
    key = text_key(label)
    key = _BETWEEN_WORDS.sub("", key.rstrip(_END_OF_SENTENCE) or key)
    return str(int(float(key))) if _NUMBER.fullmatch(key) and len(key) < 16 else key


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


def _list_items(label: str) -> tuple[tuple[str, ...], bool] | None:
    """Return the items of a label that is written in brackets, and whether it is a list beyond doubt; else None."""
    if _BRACKETS.get(label[:1]) != label[-1:] or len(label) < 2:
        return None
    items = read_list(label)
    if items is not None:
        return tuple(str(item).strip() for item in items), True
    parts = _split_outside_quotes(label[1:-1])
    objects = [_OBJECT.fullmatch(part) for part in parts]
    if label[0] == "[" and parts and all(objects):
        return tuple(found[2] for found in objects if found), True
    return tuple(part.strip("'\"") for part in parts), False


def _split_outside_quotes(text: str) -> list[str]:
    """Split at the commas (or, without commas, the white space) that are outside of quotes and brackets."""
    parts, part, depth, quote = [], "", 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
            continue
        part += c
    return [part for part in (*parts, part.strip()) if part]


def _is_string(value: Any) -> bool:
    return isinstance(value, str)
