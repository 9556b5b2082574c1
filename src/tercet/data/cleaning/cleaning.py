"""Clean the texts and the labels of a table: leave out incomplete rows, and make labels that mean the same equal.

Changes are warnings of the kind `CHANGED_DATA`. A label whose meaning might change raises an error that names the
option for it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet._multi_labels import renamed_sets, set_names, split_set
from tercet._nested_labels import describe_removed_spaces, normalize_nested
from tercet._texts import row_place
from tercet.data.cleaning.incomplete_rows import incomplete_message, values_without_gaps, without_text
from tercet.data.cleaning.label_forms import find_placeholders, find_similar, trim_labels
from tercet.data.cleaning.messages import REMEDY, shown_labels, warn_of_change
from tercet.data.cleaning.resolving import resolve_combined, resolve_similar
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.columns.level_columns import join_label_lists
from tercet.data.tables.cells import parse_label_list
from tercet.data.tables.column_values import take_rows
from tercet.errors import DataError, rows_have, short_repr


@dataclass(frozen=True, kw_only=True)
class CleanRows:
    """The rows that remain.

    Attributes:
        rows: their numbers in the table, int64 `(n,)`, ascending.
        texts: the texts; not checked yet.
        labels: the labels: integers or strings, or "" for a missing label in incomplete rows.
    """

    rows: np.ndarray
    texts: Sequence[Any]
    labels: list[Any]


def clean_rows(texts: Sequence[Any], labels: Iterable[Any], rules: CleaningRules) -> CleanRows:
    """Leave out or report incomplete rows, and clean the labels.

    Args:
        texts: the text of each row.
        labels: the label of each row.
        rules: the table, and what to do with its incomplete rows and odd labels.

    Raises:
        DataError: a text or a label is missing and `drop_missing` is False, there are combined or similar labels and
            `rules.options` do not say what to do with them, or no row remains.
    """
    source, lines, drop_missing = rules.source, rules.lines, rules.options.drop_missing
    values = cell_labels(values_without_gaps(paths_of_lists(labels, rules), source, lines), rules)
    no_text = without_text(texts)
    no_label = [row for row, label in enumerate(values) if label is None]
    kept = np.arange(len(values))
    if rules.incomplete and drop_missing is None:
        texts = list(texts)
        for row in no_text:
            texts[row] = ""
        if no_label:  # Integers become names, because the empty name cannot be among them.
            values = ["" if v is None else str(v) if isinstance(v, int) else v for v in values]
    elif no_text or no_label:
        message = incomplete_message(no_text, no_label, len(values), lines)
        if drop_missing is False:
            raise DataError(f"{source}: {message}; {REMEDY}")
        kept = np.setdiff1d(kept, [*no_text, *no_label])
        warn_of_change(f"{source}: {message}; rows left out: {len(values) - len(kept):,}")
    values, remain = clean_labels(values if len(kept) == len(values) else [values[row] for row in kept], rules)
    kept = kept[remain]
    if len(kept) == 0:
        raise DataError(f"{source}: no row remains after rows are left out; check the columns of texts and labels")
    return CleanRows(rows=kept, texts=take_rows(texts, kept), labels=values)


def paths_of_lists(labels: Iterable[Any], rules: CleaningRules) -> Iterable[Any]:
    """Return the cells of a label column; with `label_levels`, each list as the nested label of its levels.

    This comes before `plain_values`, which leaves out the repeated and missing items of a list.
    """
    separator = rules.options.label_levels
    return labels if separator is None else join_label_lists(labels, separator, rules.source, rules.lines)


def cell_labels(values: list[Any], rules: CleaningRules) -> list[Any]:
    """Return values of `plain_values` as they are; with `multi_label`, as names of sets of labels or None.

    Raises:
        DataError: with `multi_label` or `label_levels`, a label is a list or a dictionary; or a label in a list
            contains the separator.
    """
    separator = rules.options.multi_label
    if separator is None and rules.options.label_levels is None:
        return values
    if (row := next((row for row, value in enumerate(values) if isinstance(value, (list, dict))), None)) is not None:
        raise DataError(
            f"{row_place(rules.source, row, rules.lines)}: the labels are {short_repr(values[row])}; "
            "each label must be a string or an integer"
        )
    return values if separator is None else set_names(map(parse_label_list, values), separator, rules.source)


def clean_labels(values: Sequence[Any], rules: CleaningRules) -> tuple[list[Any], np.ndarray]:
    """Trim the labels, and apply the options for combined and similar labels.

    Args:
        values: the labels as `plain_values` returns them, none of them missing.
        rules: the table, and what to do with its odd labels.

    Returns:
        The labels, and the numbers of the rows that remain.
    """
    source, options = rules.source, rules.options
    values, changed = trim_labels(values)
    if changed:
        warn_of_change(
            f"{source}: white space around labels was removed, or their characters were composed (NFC); labels that "
            f"have changed: {len(changed):,}, such as {shown_labels(changed)}"
        )
    remain = np.arange(len(values))
    if options.label_levels is not None:
        values = _nested(values, options.label_levels, source)
    elif options.multi_label is None:
        values, remain = resolve_combined(values, rules)
    counts = Counter(
        label for value in values if isinstance(value, str) for label in split_set(value, options.multi_label)
    )
    if placeholders := find_placeholders(counts):
        rows = sum(counts[label] for label in placeholders)
        emit_warning(
            WarningKind.DOUBTFUL_DATA,
            f"{source}: {rows_have(rows, len(values))} the label {shown_labels(placeholders)}, which often "
            "stands for a missing label; if it does, remove these rows, because together they count as one label",
        )
    if similar := find_similar(counts):
        merged = resolve_similar(similar, counts, rules)
        values = renamed_sets(values, merged, options.multi_label)
    return values, remain


def _nested(values: Sequence[Any], separator: str, source: str) -> list[str]:
    """Return the labels with normalized levels. Warn if there was white space around levels."""
    joined = [str(value) for value in values]
    different = [label for label in dict.fromkeys(joined) if label]  # "" is a missing label of an inspection.
    forms = dict(zip(different, normalize_nested(different, separator, source), strict=True))
    if change := describe_removed_spaces(different, separator):
        warn_of_change(f"{source}: {change}")
    return [forms.get(label, "") for label in joined]
