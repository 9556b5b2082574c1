"""Read the values of cells: numbers, strings, lists and missing values.

as_list            returns the values of a column as a list
plain_values       converts cells to integers, strings or tuples of strings; a missing value becomes None
values_and_gaps    converts them, and returns the rows whose list has missing items
label_text         returns the label of a cell as text
parse_label_list   reads the labels in the text of a list, such as "['bug', 'crash']"
read_list          reads the text of a list, and keeps the type of its items
items_in_brackets  splits a text in brackets, and returns whether it is a list beyond doubt
"""

import ast
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

from tercet._texts import is_missing_value, text_key

_BRACKETS = {"[": "]", "(": ")", "{": "}"}
# An object in a list, such as Label(name="bug") in an export of GitHub issues.
_OBJECT = re.compile(r"""\w+\((?:.*?\b(?:name|label|value)=)?(['"])(.*?)\1.*\)""", re.DOTALL)


def as_list(values: Any) -> list[Any]:
    """Return the values of a column, a list or an array of pyarrow, as a new list of Python values."""
    return values.to_pylist() if hasattr(values, "to_pylist") else list(values)


def plain_values(values: Iterable[Any]) -> list[Any]:
    """Return the values of a label column as integers, strings or tuples of strings; a missing label becomes None.

    Missing are None, NaN, strings without a visible character and lists without a label (also as the text "[]").
    Missing items of a list are left out, also in the text of a list. Whole floating point numbers become integers, as
    in a column of integers of which some are missing. A list of one label is this label. All other values stay as they
    are, also lists of lists or of dictionaries.
    """
    return values_and_gaps(values)[0]


def values_and_gaps(values: Iterable[Any]) -> tuple[list[Any], list[int]]:
    """Return the values of a label column as `plain_values` does, and the rows whose list has items that are left out.

    Example:
        >>> values_and_gaps([["a", None], "b", "['b', None]", "['b', None, 'a']", [None]])
        (['a', 'b', 'b', "['b', 'a']", None], [0, 2, 3])
    """
    cache: dict[str, tuple[str | None, bool]] = {}
    plain, with_gaps = [], []
    for row, value in enumerate(values):
        if isinstance(value, str):
            if value not in cache:
                cache[value] = _plain_text(value)
            label, has_gap = cache[value]
            plain.append(label)
        else:
            plain.append(_plain(value))
            has_gap = not isinstance(value, Real) and _has_gap(value)
        if has_gap:
            with_gaps.append(row)
    if with_gaps:  # Then the text of a list of one label is this label in all rows, so that it is not two labels.
        texts = {value for value in plain if isinstance(value, str)}
        single = {text: _without_brackets(text) for text in texts}
        plain = [single[value] if isinstance(value, str) else value for value in plain]
    return plain, with_gaps


def _plain_text(text: str) -> tuple[str | None, bool]:
    """Return a label that is a text, None if it is missing, and whether it is a list with labels and missing items.

    If it is, the label is the text of the list of the other items.
    """
    stripped = text.strip()
    items = read_list(stripped) if stripped and _BRACKETS.get(stripped[0]) == stripped[-1] else None
    if items is None:
        return text if text_key(text) else None, False
    present = _present(items)
    if not present:
        return None if stripped[0] == "[" else text, False
    if len(present) == len(items):
        return text, False
    written = ", ".join(map(_writer_of(stripped), present))
    comma = "," if stripped[0] == "(" and len(present) == 1 else ""
    return f"{stripped[0]}{written}{comma}{stripped[-1]}", True


def _without_brackets(text: str) -> str:
    """Return the item of the text of a list of one label; any other text unchanged."""
    items = items_in_brackets(text.strip())
    return items[0][0] if items and items[1] and len(set(items[0])) == 1 else text


def _writer_of(text: str) -> Callable[[Any], str]:
    """Return the function that writes an item as in the text of a list: as JSON if the text is JSON, else as Python."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return repr
    return lambda item: json.dumps(item, ensure_ascii=False)


def _has_gap(value: Any) -> bool:
    """Return whether a list of labels, which is no text, has missing items that `_plain` leaves out, and others."""
    items = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(items, (list, tuple, set, frozenset)) or _has_nested(items):
        return False
    return 0 < len(_present(items)) < len(items)


def _has_nested(items: Iterable[Any]) -> bool:
    return any(isinstance(item, (list, tuple, dict)) for item in items)


def _present(items: Iterable[Any]) -> list[Any]:
    """Return the items of a list of labels that are neither missing nor blank."""
    return [item for item in items if not is_missing_value(item) and (not isinstance(item, str) or text_key(item))]


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if is_missing_value(value):
        return None
    if isinstance(value, Real):
        number = float(value)
        return int(number) if number.is_integer() else number
    if hasattr(value, "tolist") and not isinstance(value, bytes):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        if _has_nested(value):
            return value  # The Python text of an item such as {"name": "bug"} is no useful label.
        items = [_plain(item) for item in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
        items = list(dict.fromkeys(_present(items)))
        if len(items) < 2:
            return items[0] if items else None
        return tuple(str(item) for item in items)
    return value


def label_text(value: Any) -> str:
    """Return a value of `plain_values` as text: a list as JSON, and "" for a missing label.

    Example:
        >>> label_text(("bug", "crash")), label_text(3), label_text(None)
        ('["bug", "crash"]', '3', '')
    """
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def parse_label_list(value: Any) -> Any:
    """Return the labels of a cell that has the text of a list of JSON or Python as a tuple; any other value unchanged.

    Example:
        >>> parse_label_list("['bug', 'crash']"), parse_label_list("bug"), parse_label_list(3)
        (('bug', 'crash'), 'bug', 3)
    """
    found = items_in_brackets(value) if isinstance(value, str) else None
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


def items_in_brackets(label: str) -> tuple[tuple[str, ...], bool] | None:
    """Return the items of a label that is written in brackets, and whether it is a list beyond doubt; else None."""
    if _BRACKETS.get(label[:1]) != label[-1:] or len(label) < 2:
        return None
    items = read_list(label)
    if items is not None:
        return tuple(str(item).strip() for item in _present(items)), True
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
