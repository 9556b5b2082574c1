"""Find the split to evaluate on, if no evaluation data are passed: the first of `EVALUATION_SPLITS` that exists.

A split without labels, as in many competitions, is not one to evaluate on: rows of the training split are then held
out.

find_evaluation_split  returns another split of a dictionary, a file or a folder, or other rows by `split_column`
missing_labels         returns why a table of labelled sentences cannot be evaluated on
missing_triplets       returns why a table of triplets cannot be evaluated on
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tercet._events import WarningKind, emit_warning
from tercet.data.cleaning.cleaning import cell_labels, paths_of_lists
from tercet.data.cleaning.incomplete_rows import without_text
from tercet.data.cleaning.label_forms import find_placeholders
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.columns.labelled import find_given_labels
from tercet.data.columns.names import TRIPLET_COLUMNS
from tercet.data.formats.split_names import EVALUATION_SPLITS
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION, ReadOptions
from tercet.data.reading.selection import log_not_read, read_all, read_data
from tercet.data.tables.cells import plain_values
from tercet.data.tables.table import Table
from tercet.errors import listed, short_repr

logger = logging.getLogger(__name__)

# Data sets of the hub have this label in a split whose labels are not published.
_UNPUBLISHED = "-1"


@dataclass(frozen=True)
class EvaluationSplit:
    """A split to evaluate on.

    Attributes:
        name: its name.
        table: the table that has its rows.
        options: how to read them from `table`.
        same_table: whether `table` also has the rows to train on. Row numbers then count the rows of both.
    """

    name: str
    table: Table
    options: ReadOptions
    same_table: bool


def find_evaluation_split(
    source: Any,
    table: Table,
    options: ReadOptions,
    reason_against: Callable[[EvaluationSplit], str | None],
    *,
    choose_split: bool,
    eval_fraction: float,
) -> EvaluationSplit | None:
    """Return the split to evaluate on, or None if there is none. What is chosen, and what is not used, is logged.

    If a split is found, a warning of the kind `UNUSED_ARGUMENT` says that a fraction to hold out is not used.

    Args:
        source: a dictionary of tables, a file or a folder, which may have splits.
        table: the rows of the split to train on; with `split_column`, those of all splits.
        options: how they were read.
        reason_against: a function that returns why a split cannot be evaluated on, such as "has no …"; None if it can.
        choose_split: whether to choose a split, as there are no other rows to evaluate on. If False, only what is not
            read is logged.
        eval_fraction: the fraction to hold out without a split. A warning names one that is not the default.
    """
    if options.split_column is not None:
        log_not_read(table, options)
        found = _in_column(table, options) if choose_split else None
    else:
        found = _in_source(source, table, options) if choose_split else None
        if found is None:
            log_not_read(table, options)
    if found is None:
        return None
    reason = reason_against(found)
    if reason is not None:
        logger.info(
            f"{table.source}: trains on the split {options.split!r}, and is not evaluated on the split {found.name!r}, "
            f"which {reason}"
        )
        return None
    if not found.same_table:
        others = [split for split in table.splits if split not in (found.name, options.split)]
        unread = f"; not used: {listed(others, 5)}" if others else ""
        logger.info(
            f"{table.source}: trains on the split {options.split!r} and evaluates on the split {found.name!r}{unread}; "
            "for other rows, pass eval_data"
        )
    if eval_fraction != DEFAULT_EVAL_FRACTION:
        emit_warning(
            WarningKind.UNUSED_ARGUMENT,
            f"eval_fraction={eval_fraction:g} is not used, because the data have a split to evaluate on; to hold rows "
            "out instead, pass the rows of one split only as data",
        )
    return found


def _in_source(source: Any, table: Table, options: ReadOptions) -> EvaluationSplit | None:
    name = next((name for name in EVALUATION_SPLITS if name in table.splits and name != options.split), None)
    if name is None or options.label_file is not None:  # The labels in the file are those of the split to train on.
        return None
    options = replace(options, split=name)
    return EvaluationSplit(name, read_all(source, options), options, same_table=False)


def _in_column(table: Table, options: ReadOptions) -> EvaluationSplit | None:
    """Return the rows with another value in `split_column`; if no value is an evaluation split, log that."""
    column = options.split_column
    if column is None or column not in table.columns:
        return None
    values = {str(value).strip() for value in table.columns[column]} - {options.split}
    by_name = {value.lower(): value for value in sorted(values)}
    found = next((by_name[name] for name in EVALUATION_SPLITS if name in by_name), None)
    if found is not None:
        return EvaluationSplit(found, table, replace(options, split=found), same_table=True)
    if values:
        logger.info(
            f"{table.source}: rows with {listed(sorted(values), 5)} in {column!r} are not used, because "
            f"evaluation rows have one of {listed(EVALUATION_SPLITS, 10)}"
        )
    return None


def missing_labels(split: EvaluationSplit, train: LabelledSentences) -> str | None:
    """Return why a split of labelled sentences cannot be evaluated on, or None if it can.

    It cannot if every text or every label is missing, by the rule of `clean_rows`, or if every label is a placeholder,
    such as -1 or "?".

    Args:
        split: the split.
        train: the rows to train on.
    """
    options = split.options
    if options.level_columns:  # Without values in one of them, the labels would not be nested.
        columns = read_data(split.table, replace(options, label_column=None, label_levels=None)).columns
        for level in options.level_columns:
            if level not in columns or all(value is None for value in plain_values(columns[level])):
                return f"has no values in the column {short_repr(level)}"
    table = read_data(split.table, options)
    text = train.columns[0]
    if text in table.columns and len(without_text(table.columns[text])) == len(table):
        return f"has no text in the column {short_repr(text)}"
    column = options.label_name or train.columns[1]
    if column not in table.columns and options.label_column is None:  # Another usual name of labels.
        column = find_given_labels(table.columns, table.source) or column
    rules = CleaningRules(table.source, options)
    values = cell_labels(plain_values(paths_of_lists(table.columns.get(column, []), rules)), rules)
    names = {str(value) for value in values if value is not None}
    if not names:
        return f"has no values in the column {short_repr(column)}"
    if names <= {*find_placeholders(names), _UNPUBLISHED} and names.isdisjoint(train.label_names):
        return f"has only {listed(sorted(names))} in the column {short_repr(column)}, a placeholder for a missing label"
    return None


def missing_triplets(split: EvaluationSplit) -> str | None:
    """Return why a split of triplets cannot be evaluated on, or None if it can."""
    table = read_data(split.table, split.options)
    if missing := [name for name in TRIPLET_COLUMNS if name not in table.columns]:
        return f"has no column {listed(missing)}"
    without = (set(without_text(table.columns[name])) for name in TRIPLET_COLUMNS)
    return "has no row with three texts" if len(set.union(*without)) == len(table) else None
