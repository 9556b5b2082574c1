"""Resolve labels that are probably not what they seem, as `CleaningRules` say.

resolve_combined  cells with several labels: one label, a label for each combination, or no row
resolve_similar   labels that differ only in form: the most frequent form
match_labels      labels that differ only in form from those of other data: the form there

Changes are warnings of the kind `CHANGED_DATA`. Without an option for such labels, an error names the option.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet._multi_labels import renamed_sets, split_set
from tercet.data.cleaning.combined_labels import CombinedLabels, find_combined, multi_label_for
from tercet.data.cleaning.label_forms import find_similar
from tercet.data.cleaning.messages import NAMED_LABELS, shown_labels, warn_of_change
from tercet.data.cleaning.rules import CleaningRules
from tercet.errors import DataError, counted, rows_have, short_repr


def match_labels(
    labels: list[str], known: Iterable[str], known_from: str, rules: CleaningRules, *, multi_label: str | None = None
) -> list[str]:
    """Give labels of evaluation data the form that they have in the training data.

    Args:
        labels: the labels of the evaluation data, as names.
        known: the names in the training data.
        known_from: the training data, for messages.
        rules: the evaluation data, and what to do with similar labels.
        multi_label: the separator of the labels in names of sets, which are matched one by one; None for one label.

    Raises:
        DataError: a label has another form than in the training data, and `rules.options` do not say what to do.
    """
    counts = Counter(label for name in labels for label in split_set(name, multi_label))
    known = {label for name in known for label in split_set(name, multi_label)}
    groups = [group for group in find_similar(counts, known) if group[0] in known]
    pairs = {label: group[0] for group in groups for label in group if label not in known and counts[label]}
    if not pairs or rules.options.similar_labels == "keep":
        return labels
    rows = sum(counts[label] for label in pairs)
    shown = ", ".join(
        f"{short_repr(label)} for {short_repr(form)}" for label, form in list(pairs.items())[:NAMED_LABELS]
    )
    message = (
        f"{rules.source}: {counted(rows, 'row')} {'has' if rows == 1 else 'have'} a label that is written in "
        f"another way than in {known_from}, such as {shown}"
    )
    if rules.options.similar_labels is None:
        remedy = (
            "; to keep them apart, use a ClassLabel"
            if rules.fixed
            else f", or pass similar_labels='merge' to use the form of {known_from}, or similar_labels='keep' to keep "
            "them apart"
        )
        raise DataError(f"{message}; correct the labels{remedy}")
    warn_of_change(f"{message}; the form of {known_from} is used")
    return renamed_sets(labels, pairs, multi_label)


def resolve_combined(values: list[Any], rules: CleaningRules) -> tuple[list[Any], np.ndarray]:
    """Apply `combined_labels` to cells with several labels.

    Args:
        values: the label of each row; a list of labels is a tuple.
        rules: the table, and what to do with combined labels.

    Returns:
        The labels, and the numbers of the rows that remain, int64.

    Raises:
        DataError: a cell has several labels, and `rules.options` do not say what to do.
    """
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
    choice = rules.options.combined_labels or ("keep" if rules.incomplete else None)
    several = {name for name, parts in found.parts.items() if len(parts) > 1}
    examples = [", ".join(found.parts[name]) if "\0" in name else name for name in names if name in several]
    separator = "" if found.separator == "[]" else f", separated by {found.separator!r}"
    message = (
        f"{rules.source}: {rows_have(found.rows, len(values))} several labels in one cell{separator}, such as "
        f"{shown_labels(dict.fromkeys(examples))}"
    )
    mark = multi_label_for(found.separator)
    if choice is None:
        remedy = (
            "keep one label per row"
            if rules.fixed
            else "pass combined_labels='first' to use the first label, combined_labels='drop' to leave these rows out, "
            "or combined_labels='keep' to use each combination as a label of its own"
        )
        if rules.several_labels:
            remedy = f"pass multi_label={mark!r} to train on each label of a row; or {remedy}"
        raise DataError(f"{message}; {remedy}")
    if choice == "keep":
        if rules.options.combined_labels is None:
            remedy = f"; pass multi_label={mark!r} to check each label of a row" if rules.several_labels else ""
            emit_warning(
                WarningKind.DOUBTFUL_DATA, f"{message}; each combination is counted as a label of its own{remedy}"
            )
        elif not rules.incomplete:
            warn_of_change(f"{message}; each combination is a label of its own")
        return [name.replace("\0", ", ") for name in names], all_rows
    if choice == "first":
        warn_of_change(f"{message}; the first label is used")
        return [found.parts.get(name, (name,))[0] for name in names], all_rows
    warn_of_change(f"{message}; these rows are left out")
    remain = np.array([row for row, name in enumerate(names) if name not in several], dtype=np.int64)
    return [found.parts.get(names[row], (names[row],))[0] for row in remain], remain


def resolve_similar(groups: list[tuple[str, ...]], counts: Counter[str], rules: CleaningRules) -> dict[str, str]:
    """Apply `similar_labels` to groups of labels. Return the new form of each label that changes.

    Raises:
        DataError: `rules.options` do not say what to do.
    """
    choice = rules.options.similar_labels or ("keep" if rules.incomplete else None)
    shown = "; ".join(
        " and ".join(f"{short_repr(label)} ({counted(counts[label], 'row')})" for label in group)
        for group in groups[:NAMED_LABELS]
    )
    message = (
        f"{rules.source}: {len(groups):,} {'label is' if len(groups) == 1 else 'labels are'} written in several forms, "
        f"which differ only in case, spaces, punctuation, Unicode form or the form of a number: {shown}"
    )
    if choice is None:
        remedy = (
            "write them alike; to keep them apart, number the labels or use a ClassLabel"
            if rules.fixed
            else "write them alike, or pass similar_labels='merge' to use the most frequent form of each, or "
            "similar_labels='keep' to keep them apart"
        )
        raise DataError(f"{message}; {remedy}")
    if choice == "keep":
        return {}
    warn_of_change(f"{message}; the most frequent form of each is used")
    return {label: group[0] for group in groups for label in group[1:]}
