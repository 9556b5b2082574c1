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
from tercet._nested_labels import normalize_nested
from tercet._texts import row_place
from tercet.data.cleaning.incomplete_rows import incomplete_message, values_without_gaps, without_text
from tercet.data.cleaning.label_forms import find_placeholders, find_similar, trim_labels
from tercet.data.cleaning.messages import REMEDY, shown_labels, warn_of_change
from tercet.data.cleaning.resolving import resolve_combined, resolve_similar
from tercet.data.columns.level_columns import join_label_lists
from tercet.data.reading.options import ReadOptions
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


def clean_rows(
    texts: Sequence[Any],
    labels: Iterable[Any],
    source: str,
    lines: Sequence[int] | None,
    options: ReadOptions,
    *,
    incomplete: bool = False,
    several_labels: bool = False,
) -> CleanRows:
    """Leave out or report incomplete rows, and clean the labels.

    Args:
        texts: the text of each row.
        labels: the label of each row.
        source: the file or data set, for messages.
        lines: the line number of each row in its file, for messages; None names the rows instead.
        options: what to do with incomplete rows, and with combined and similar labels.
        incomplete: whether to keep incomplete rows, with the empty string as text or label, and to keep combined and
            similar labels apart if `options` does not say what to do with them. For an inspection, which counts them.
        several_labels: whether the caller takes rows with several labels, so that a message may advise `multi_label`.

    Raises:
        DataError: a text or a label is missing and `drop_missing` is False, there are combined or similar labels and
            `options` does not say what to do with them, or no row remains.
    """
    labels = paths_of_lists(labels, source, options, lines)
    values = cell_labels(values_without_gaps(labels, source, lines), source, options, lines)
    no_text = without_text(texts)
    no_label = [row for row, label in enumerate(values) if label is None]
    kept = np.arange(len(values))
    if incomplete and options.drop_missing is None:
        texts = list(texts)
        for row in no_text:
            texts[row] = ""
        if no_label:  # Integers become names, because the empty name cannot be among them.
            values = ["" if v is None else str(v) if isinstance(v, int) else v for v in values]
    elif no_text or no_label:
        message = incomplete_message(no_text, no_label, len(values), lines)
        if options.drop_missing is False:
            raise DataError(f"{source}: {message}; {REMEDY}")
        kept = np.setdiff1d(kept, [*no_text, *no_label])
        warn_of_change(f"{source}: {message}; rows left out: {len(values) - len(kept):,}")
    values, remain = clean_labels(
        values if len(kept) == len(values) else [values[row] for row in kept],
        source,
        options,
        incomplete=incomplete,
        several_labels=several_labels,
    )
    kept = kept[remain]
    if len(kept) == 0:
        raise DataError(f"{source}: no row remains after rows are left out; check the columns of texts and labels")
    return CleanRows(rows=kept, texts=take_rows(texts, kept), labels=values)


def paths_of_lists(
    labels: Iterable[Any], source: str, options: ReadOptions, lines: Sequence[int] | None = None
) -> Iterable[Any]:
    """Return the cells of a label column; with `label_levels`, each list as the nested label of its levels.

    This comes before `plain_values`, which leaves out the repeated and missing items of a list.
    """
    return labels if options.label_levels is None else join_label_lists(labels, options.label_levels, source, lines)


def cell_labels(values: list[Any], source: str, options: ReadOptions, lines: Sequence[int] | None = None) -> list[Any]:
    """Return values of `plain_values` as they are; with `multi_label`, as names of sets of labels or None.

    Raises:
        DataError: with `multi_label` or `label_levels`, a label is a list or a dictionary; or a label in a list
            contains the separator.
    """
    if options.multi_label is None and options.label_levels is None:
        return values
    if (row := next((row for row, value in enumerate(values) if isinstance(value, (list, dict))), None)) is not None:
        raise DataError(
            f"{row_place(source, row, lines)}: the labels are {short_repr(values[row])}; each label must be a string "
            "or an integer"
        )
    if options.multi_label is None:
        return values
    return set_names(map(parse_label_list, values), options.multi_label, source)


def clean_labels(
    values: Sequence[Any],
    source: str,
    options: ReadOptions,
    *,
    incomplete: bool = False,
    fixed: bool = False,
    several_labels: bool = False,
) -> tuple[list[Any], np.ndarray]:
    """Trim the labels, and apply the options for combined and similar labels.

    Args:
        values: the labels as `plain_values` returns them, none of them missing.
        source: the file or data set, for messages.
        options: what to do with combined and similar labels.
        incomplete: as for `clean_rows`.
        fixed: whether the caller has no such options, so that a message advises to change the data.
        several_labels: as for `clean_rows`.

    Returns:
        The labels, and the numbers of the rows that remain.
    """
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
        values, remain = resolve_combined(
            values, source, options, incomplete=incomplete, fixed=fixed, several_labels=several_labels
        )
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
        merged = resolve_similar(similar, counts, source, options, incomplete=incomplete, fixed=fixed)
        values = renamed_sets(values, merged, options.multi_label)
    return values, remain


def _nested(values: Sequence[Any], separator: str, source: str) -> list[str]:
    """Return the labels with normalized levels."""
    joined = [str(value) for value in values]
    given = iter(normalize_nested([label for label in joined if label], separator, source))
    return [next(given) if label else "" for label in joined]  # "" is a missing label of an inspection.
