"""Clean the texts and the labels of a table: leave out incomplete rows, and make labels that mean the same equal.

What is changed is a warning of the kind `CHANGED_DATA`. What would change the meaning is an error that names the option
to go on with.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet._multi_labels import renamed_sets, set_names, split_set
from tercet._nested_labels import join_path, normalize_nested
from tercet._texts import text_key
from tercet.data.cleaning.combined_labels import CombinedLabels, find_combined, multi_label_for
from tercet.data.cleaning.label_forms import find_placeholders, find_similar, trim_labels
from tercet.data.reading.options import ReadOptions
from tercet.data.tables.arrow_columns import TextColumn, take_rows
from tercet.data.tables.cells import in_list, is_missing_value, plain_values
from tercet.data.tables.text_hashes import hash_texts
from tercet.errors import DataError, short_repr

# The number of rows, and of labels, that a message names.
_NAMED_ROWS = 5
_NAMED_LABELS = 3
_REMEDY = "fill them in, or pass drop_missing=True to leave the rows out"


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
    values = plain_values(labels)
    if options.multi_label is not None:
        values = set_names(map(in_list, values), options.multi_label, source)
    no_text = _without_text(texts)
    no_label = [row for row, label in enumerate(values) if label is None]
    kept = np.arange(len(values))
    if incomplete and options.drop_missing is None:
        texts = list(texts)
        for row in no_text:
            texts[row] = ""
        if no_label:  # Integers become names, because the empty name cannot be among them.
            values = ["" if v is None else str(v) if isinstance(v, int) else v for v in values]
    elif no_text or no_label:
        message = _incomplete(no_text, no_label, len(values), lines)
        if options.drop_missing is False:
            raise DataError(f"{source}: {message}; {_REMEDY}")
        kept = np.setdiff1d(kept, [*no_text, *no_label])
        _warn(f"{source}: {message}; rows left out: {len(values) - len(kept):,}")
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


def complete_rows(columns: Sequence[Sequence[Any]], source: str, lines: Sequence[int] | None) -> Sequence[int]:
    """Return the numbers of the rows that have a text in each column, and warn about the others.

    Raises:
        DataError: no row remains.
    """
    total = len(columns[0])
    missing = sorted(set[int]().union(*map(_without_text, columns)))
    if len(missing) == total:
        raise DataError(f"{source}: no row has a text in every column; check the columns")
    if missing:
        _warn(f"{source}: {_incomplete(missing, [], total, lines)}; rows left out: {len(missing):,}")
    return np.setdiff1d(np.arange(total), missing).tolist() if missing else range(total)


def rows_with_text(
    texts: Sequence[Any], source: str, lines: Sequence[int] | None, *, drop_missing: bool | None
) -> Sequence[int]:
    """Return the numbers of the rows that have a text; unless `drop_missing` is False, warn about the others.

    Raises:
        DataError: a row has no text and `drop_missing` is False, or no row has one.
    """
    if drop_missing is not False:
        return complete_rows([texts], source, lines)
    if missing := _without_text(texts):
        raise DataError(f"{source}: {_incomplete(missing, [], len(texts), lines)}; {_REMEDY}")
    return range(len(texts))


def _without_text(texts: Sequence[Any]) -> list[int]:
    """Return the numbers of the rows whose text is missing or shows nothing."""
    if isinstance(texts, TextColumn):
        return np.flatnonzero(texts.hashes == hash_texts([""])[0]).tolist()
    return [row for row, text in enumerate(texts) if _is_missing(text)]


def _is_missing(text: Any) -> bool:
    return not text_key(text) if isinstance(text, str) else is_missing_value(text)


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
        _warn(
            f"{source}: white space around labels was removed, or their characters were composed (NFC); labels that "
            f"have changed: {len(changed):,}, such as {_shown(changed)}"
        )
    remain = np.arange(len(values))
    if options.label_levels is not None:
        values = _nested(values, options.label_levels, source)
    elif options.multi_label is None:
        values, remain = _resolve_combined(
            values, source, options, incomplete=incomplete, fixed=fixed, several_labels=several_labels
        )
    counts = Counter(
        label for value in values if isinstance(value, str) for label in split_set(value, options.multi_label)
    )
    if placeholders := find_placeholders(counts):
        rows = sum(counts[label] for label in placeholders)
        emit_warning(
            WarningKind.DOUBTFUL_DATA,
            f"{source}: {rows:,} of {len(values):,} rows have the label {_shown(placeholders)}, which often stands "
            "for a missing label; if it does, remove these rows, because together they count as one label",
        )
    if similar := find_similar(counts):
        merged = _resolve_similar(similar, counts, source, options, incomplete=incomplete, fixed=fixed)
        if options.multi_label is not None:
            return renamed_sets(values, merged, options.multi_label), remain
        values = [merged.get(value, value) for value in values]
    return values, remain


def match_labels(
    labels: list[Any], known: Iterable[str], source: str, options: ReadOptions, known_from: str, *, fixed: bool = False
) -> list[Any]:
    """Give labels of evaluation data the form that they have in the training data.

    Args:
        labels: the labels of the evaluation data, as names.
        known: the names in the training data.
        source: the evaluation data, for messages.
        options: what to do with similar labels.
        known_from: the training data, for messages.
        fixed: as for `clean_labels`.

    Raises:
        DataError: a label has another form than in the training data, and `options` does not say what to do.
    """
    counts = Counter(labels)
    known = set(known)
    groups = [group for group in find_similar(counts, known) if group[0] in known]
    pairs = {label: group[0] for group in groups for label in group if label not in known and counts[label]}
    if not pairs or options.similar_labels == "keep":
        return labels
    rows = sum(counts[label] for label in pairs)
    shown = ", ".join(
        f"{short_repr(label)} for {short_repr(form)}" for label, form in list(pairs.items())[:_NAMED_LABELS]
    )
    message = (
        f"{source}: {rows:,} rows have a label that is written in another way than in {known_from}, such as {shown}"
    )
    if options.similar_labels is None:
        remedy = (
            "; to keep them apart, use a ClassLabel"
            if fixed
            else f", or pass similar_labels='merge' to use the form of {known_from}, or similar_labels='keep' to keep "
            "them apart"
        )
        raise DataError(f"{message}; correct the labels{remedy}")
    _warn(f"{message}; the form of {known_from} is used")
    return [pairs.get(label, label) for label in labels]


def _resolve_combined(
    values: list[Any], source: str, options: ReadOptions, *, incomplete: bool, fixed: bool, several_labels: bool
) -> tuple[list[Any], np.ndarray]:
    all_rows = np.arange(len(values))
    if any(isinstance(value, tuple) for value in values):
        # One form for lists and single labels: strings that cannot be split in another way.
        names = ["\0".join(value) if isinstance(value, tuple) else str(value) for value in values]
        parts = {name: tuple(name.split("\0")) for name in set(names)}
        rows = sum(isinstance(value, tuple) for value in values)
        found: CombinedLabels | None = CombinedLabels(separator="[]", parts=parts, rows=rows)
    else:
        names = values
        found = find_combined(names) if all(isinstance(value, str) for value in values) else None
    if found is None:
        return values, all_rows
    choice = options.combined_labels or ("keep" if incomplete else None)
    several = {name for name, parts in found.parts.items() if len(parts) > 1}
    examples = [", ".join(found.parts[name]) if "\0" in name else name for name in names if name in several]
    separator = "" if found.separator == "[]" else f", separated by {found.separator!r}"
    message = (
        f"{source}: {found.rows:,} of {len(values):,} rows have several labels in one cell{separator}, such as "
        f"{_shown(dict.fromkeys(examples))}"
    )
    mark = multi_label_for(found.separator)
    if choice is None:
        remedy = (
            "keep one label per row"
            if fixed
            else "pass combined_labels='first' to use the first label, combined_labels='drop' to leave these rows out, "
            "or combined_labels='keep' to use each combination as a label of its own"
        )
        if several_labels:
            remedy = f"pass multi_label={mark!r} to train on each label of a row; or {remedy}"
        raise DataError(f"{message}; {remedy}")
    if choice == "keep":
        if options.combined_labels is None:
            remedy = f"; pass multi_label={mark!r} to check each label of a row" if several_labels else ""
            emit_warning(
                WarningKind.DOUBTFUL_DATA, f"{message}; each combination is counted as a label of its own{remedy}"
            )
        elif not incomplete:
            _warn(f"{message}; each combination is a label of its own")
        return [name.replace("\0", ", ") for name in names], all_rows
    if choice == "first":
        _warn(f"{message}; the first label is used")
        return [found.parts.get(name, (name,))[0] for name in names], all_rows
    _warn(f"{message}; these rows are left out")
    remain = np.array([row for row, name in enumerate(names) if name not in several], dtype=np.int64)
    return [found.parts.get(names[row], (names[row],))[0] for row in remain], remain


def _nested(values: Sequence[Any], separator: str, source: str) -> list[str]:
    """Return the labels with normalized levels. A list of labels is the path of one label."""
    for value in values:
        if isinstance(value, tuple) and any(separator in level for level in value):
            raise DataError(
                f"{source}: the level {short_repr(value)} contains the separator {separator!r}; pass another "
                "label_levels, a character that no level contains"
            )
    joined = [join_path(value, separator) if isinstance(value, tuple) else str(value) for value in values]
    given = iter(normalize_nested([label for label in joined if label], separator, source))
    return [next(given) if label else "" for label in joined]  # "" is a missing label of an inspection.


def _resolve_similar(
    groups: list[tuple[str, ...]],
    counts: Counter[str],
    source: str,
    options: ReadOptions,
    *,
    incomplete: bool,
    fixed: bool,
) -> dict[str, str]:
    """Return the new form of each label that changes."""
    choice = options.similar_labels or ("keep" if incomplete else None)
    shown = "; ".join(
        " and ".join(f"{short_repr(label)} ({_rows(counts[label])})" for label in group)
        for group in groups[:_NAMED_LABELS]
    )
    message = (
        f"{source}: {len(groups):,} {'label is' if len(groups) == 1 else 'labels are'} written in several forms, which "
        f"differ only in case, spaces, punctuation, Unicode form or the form of a number: {shown}"
    )
    if choice is None:
        remedy = (
            "write them alike; to keep them apart, number the labels or use a ClassLabel"
            if fixed
            else "write them alike, or pass similar_labels='merge' to use the most frequent form of each, or "
            "similar_labels='keep' to keep them apart"
        )
        raise DataError(f"{message}; {remedy}")
    if choice == "keep":
        return {}
    _warn(f"{message}; the most frequent form of each is used")
    return {label: group[0] for group in groups for label in group[1:]}


def _incomplete(no_text: list[int], no_label: list[int], total: int, lines: Sequence[int] | None) -> str:
    parts = []
    for rows, what in ((no_label, "label"), (no_text, "text")):
        if rows:
            have = "has" if len(rows) == 1 else "have"
            parts.append(f"{len(rows):,} of {total:,} rows {have} no {what} ({_places(rows, lines)})")
    return " and ".join(parts)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _places(rows: list[int], lines: Sequence[int] | None) -> str:
    named = [str(row if lines is None else lines[row]) for row in rows[:_NAMED_ROWS]]
    kind = ("row" if lines is None else "line") + ("s" if len(rows) > 1 else "")
    return f"{kind} {', '.join(named)}{', …' if len(rows) > _NAMED_ROWS else ''}"


def _shown(labels: Iterable[str]) -> str:
    return ", ".join(short_repr(label) for label in list(labels)[:_NAMED_LABELS])


def _warn(message: str) -> None:
    emit_warning(WarningKind.CHANGED_DATA, message)
