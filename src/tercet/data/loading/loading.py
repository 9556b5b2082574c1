"""Load and check training data from a file, from a data set on the hub, or from a table in memory.

load_training_data    returns training and evaluation data; holds out rows if there are no evaluation data
load_labelled         reads one table of labelled sentences, returns `LabelledSentences`
load_triplets         reads one table of triplets
as_dataset            converts `LabelledSentences` to a `datasets.Dataset`
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from tercet._multi_labels import renamed_sets, separator_for, split_set
from tercet._texts import validate_texts
from tercet.data.cleaning.cleaning import clean_rows
from tercet.data.cleaning.copies import copy_groups
from tercet.data.cleaning.incomplete_rows import complete_rows
from tercet.data.cleaning.resolving import match_labels
from tercet.data.columns.guessing import find_columns
from tercet.data.columns.names import TRIPLET_COLUMNS, log_unused
from tercet.data.columns.triplets import find_triplet_columns
from tercet.data.labels.doubts import warn_of_doubtful_labels, warn_of_doubtful_triplets
from tercet.data.labels.labels import LabelledSentences, check_trainable, number_labels
from tercet.data.labels.set_counts import check_several
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import evaluation_table, evaluation_value, read_all, read_data
from tercet.data.splits.splits import held_out_labelled, held_out_triplets
from tercet.data.tables.cells import plain_values
from tercet.data.tables.column_values import shared_values, take_rows
from tercet.data.tables.dataset_columns import add_labels, dataset_of, select_rows, texts_of
from tercet.data.tables.text_column import TextColumn
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    from datasets import Dataset

    from tercet.data.reading.in_memory import ArrowTable
    from tercet.data.tables.table import Table

    # A file, the name of a data set on the hub, a table in memory, or a table that was read.
    Source: TypeAlias = str | Path | Dataset | ArrowTable | Mapping[str, Any] | Sequence[Any] | Table

logger = logging.getLogger(__name__)

_DEFAULTS = ReadOptions()
# With fewer rows, a few repeated texts decide whether there are more labels than texts.
_FEWEST_ROWS_TO_SWAP = 10
_NO_LISTS = {str, int, float, bool, type(None)}


class TrainingData(NamedTuple):
    """The rows to train on, and those to evaluate on.

    Attributes:
        train: a data set with the columns `sentence` and `label`, or `anchor`, `positive` and `negative`.
        evaluation: a data set with the same columns; None if there is nothing to evaluate on.
        held_out_rows: the numbers of the rows of `evaluation` in the file or data set that both come from, from 0 for
            the first row of data; None if the evaluation data have a source of their own.
        train_rows: the numbers of the rows of `train` in their file or data set, from 0.
        multi_label: the separator of the labels in the names of the column `label`, if rows have several; else None.
        eval_split: the name of the split of the same file or folder that the evaluation rows are from; None if they
            have another source, or were held out.
    """

    train: "Dataset"
    evaluation: "Dataset | None"
    held_out_rows: list[int] | None
    train_rows: Sequence[int]
    multi_label: str | None = None
    eval_split: str | None = None


def load_labelled(
    source: "Source",
    options: ReadOptions = _DEFAULTS,
    *,
    incomplete: bool = False,
    known_labels: Sequence[str] | None = None,
    known_from: str = "the training data",
    several_labels: bool = False,
) -> LabelledSentences:
    """Read labelled sentences, clean their labels (see `ReadOptions`) and number them. Log unused columns.

    White space around labels is always removed, and their characters are composed (NFC). Such changes, and rows that
    are left out, are warnings of the kind `CHANGED_DATA`.

    Args:
        source: a file, the name of a data set on the hub, a table in memory (see `tercet.data.reading.in_memory`), or a
            table that was read.
        options: the columns and the split to read, and what to do with labels that are probably not what they seem.
        incomplete: whether to keep rows without a text or a label, with the empty string in its place, and labels as
            they are if `options` does not say what to do with them. For an inspection, which counts them.
        known_labels: the label names of other data, such as the training data. A label that differs from one of them
            only in form is an error, or gets its form if `similar_labels` is `merge`.
        known_from: the other data, for messages.
        several_labels: whether the caller takes rows with several labels, so that a column of lists needs no option.

    Raises:
        DataError: `source` cannot be read or has another type, a column is not found, a row is invalid, or `options`
            does not say what to do with the labels. The message names the place.
    """
    table = read_data(source, options)
    text, label = find_columns(table, options.text_column, options.label_name, options.level_columns)
    labels_of_rows = shared_values(table.columns[label])
    _warn_if_swapped(table.columns[text], labels_of_rows, text, label, table.source)
    if several_labels:
        options = with_lists(labels_of_rows, label, table.source, options)
    clean = clean_rows(
        table.columns[text],
        labels_of_rows,
        table.source,
        table.lines,
        options,
        incomplete=incomplete,
        several_labels=several_labels,
    )
    lines = None if table.lines is None else np.asarray(table.lines)[clean.rows]
    label_ids, label_names = number_labels(clean.labels, table.source, lines, allow_empty=incomplete)
    if known_labels is not None:
        labels = [label_names[label_id] for label_id in label_ids]
        matched = match_known(labels, known_labels, table.source, options, known_from)
        if matched is not labels:
            label_ids, label_names = number_labels(matched, table.source, lines)
    elif options.multi_label is not None:
        check_several(label_names, options.multi_label, table.source)
    validate_texts(clean.texts, table.source, lines, allow_empty=incomplete)
    rows = clean.rows if table.rows is None else np.array(table.rows, dtype=np.int64)[clean.rows]
    data = LabelledSentences(clean.texts, label_ids, label_names, rows, (text, label), options.multi_label)
    if not incomplete:
        warn_of_doubtful_labels(data, table.source)
    return data


def with_lists(labels: Sequence[Any], column: str, source: str, options: ReadOptions) -> ReadOptions:
    """Return options with a separator for several labels, if the label column has lists and no option is for them."""
    given = (options.multi_label, options.label_levels, options.combined_labels)
    if set(map(type, labels)) <= _NO_LISTS:  # Fast for the columns of nearly all files.
        return options
    lists = [value for value in plain_values(labels) if isinstance(value, tuple)]
    if not lists or any(option is not None for option in given):
        return options
    logger.info(f"{source}: column {short_repr(column)} has lists, so a row may have several labels")
    return replace(options, multi_label=separator_for(label for value in lists for label in value))


def match_known(
    labels: list[str], known: Sequence[str], source: str, options: ReadOptions, known_from: str
) -> list[str]:
    """Return labels in the form that they have in other data; the labels of a set one by one."""
    mark = options.multi_label
    if mark is None:
        return match_labels(labels, known, source, options, known_from)
    flat = [label for name in labels for label in split_set(name, mark)]
    matched = match_labels(flat, {label for name in known for label in split_set(name, mark)}, source, options,
                           known_from)  # fmt: skip
    new = {old: form for old, form in zip(flat, matched, strict=True) if old != form}
    return renamed_sets(labels, new, mark) if new else labels


def _warn_if_swapped(texts: Sequence[Any], labels: Sequence[Any], text: str, label: str, source: str) -> None:
    """Warn if most texts repeat and there are more labels than texts: the columns are then probably swapped.

    Fewer than ten rows are too few to decide.
    """
    if len(texts) < _FEWEST_ROWS_TO_SWAP:
        return
    num_labels = len(set(map(str, labels)))
    different: set[str] = set()
    for text_of_row in texts:
        different.add(str(text_of_row))
        if len(different) >= num_labels or len(different) > len(texts) / 2:
            return
    num_texts = len(different)
    if num_texts:
        logger.warning(
            f"{source}: {len(texts):,} rows have {num_texts:,} different texts (column {short_repr(text)}), but "
            f"{num_labels:,} different labels (column {short_repr(label)}); are the two columns swapped?"
        )


def load_triplets(source: "Source", options: ReadOptions = _DEFAULTS) -> "Dataset":
    """Read triplets into a data set with the columns `anchor`, `positive` and `negative`. Log unused columns.

    Args:
        source: a file, the name of a data set on the hub, or a table in memory, see `tercet.data.reading.in_memory`.
        options: the split to read, and whether to leave out incomplete rows. The names of the columns are fixed and
            there are no labels, so the options for columns and labels must be None.

    Raises:
        DataError: `source` cannot be read or has another type, `options` names a text or label column, a column is
            missing, or a row is invalid. The message names the place.
    """
    return _read_triplets(source, options)[0]


def _read_triplets(source: "Source", options: ReadOptions) -> "tuple[Dataset, np.ndarray]":
    """Return the triplets, and the number of each one's row in the table, int64 `(num_triplets,)`."""
    of_labels = ("label_file", "label_levels", "multi_label", "combined_labels", "similar_labels")
    if given := [name for name in of_labels if getattr(options, name) is not None]:
        raise DataError(f"triplets have no labels; pass no {' and no '.join(given)} with the triplet loss")
    table = read_data(source, options)
    names = find_triplet_columns(table.columns, table.source)
    if options.text_column is not None or options.label_column is not None:
        raise DataError(
            "the triplet loss reads the columns anchor, positive and negative; pass no text_column and no label_column"
        )
    log_unused(table.columns, names, table.source)
    columns: dict[str, Any] = {name: table.columns[name] for name in names}
    lines, kept = table.lines, np.arange(len(table))
    if options.drop_missing is not False:
        kept = np.array(complete_rows(list(columns.values()), table.source, lines), dtype=np.int64)
        columns = {name: take_rows(values, kept) for name, values in columns.items()}
        lines = None if lines is None else np.asarray(lines)[kept].tolist()
    for name, values in columns.items():
        validate_texts(values, f"{table.source}, {name}", lines)
    texts = {name: TextColumn.of(values) for name, values in columns.items()}
    warn_of_doubtful_triplets(texts, table.source, lines)
    rows = kept if table.rows is None else np.array(table.rows, dtype=np.int64)[kept]
    return dataset_of(texts), rows


def load_training_data(
    data: "Source",
    eval_data: "Source | None",
    eval_fraction: float,
    options: ReadOptions,
    *,
    triplets: bool,
    seed: int,
    several_labels: bool = False,
) -> TrainingData:
    """Return training and evaluation data.

    Args:
        data: the training data: a file, the name of a data set on the hub, or a table in memory.
        eval_data: the evaluation data; None takes another split, such as `test`: the rows with this value in
            `split_column`, or those of a file or folder with splits. Without one, rows of `data` are held out.
        eval_fraction: the fraction to hold out if `eval_data` is None: of each label's rows (see `split_labelled`), or
            of all triplets (see `split_triplets`). If no row is held out, the evaluation data are None.
        options: the columns and the split to read from both.
        triplets: whether the rows are triplets instead of labelled sentences.
        seed: the seed of the random selection of held-out rows.
        several_labels: as for `load_labelled`.

    Raises:
        DataError: the data cannot be read or are invalid, the labels of the training data are decimal numbers or form
            no triplet, or all triplets would be held out.
    """
    wanted = eval_data is None and eval_fraction > 0
    if triplets:
        all_triplets = read_all(data, options)
        train, numbers = _read_triplets(all_triplets, options)
        split = evaluation_table(data, all_triplets, options, TRIPLET_COLUMNS, wanted=wanted)
        if split is not None:
            return TrainingData(train, load_triplets(split[1], options), None, _numbers(numbers), None, split[0])
        if eval_data is not None:
            evaluation_options = replace(options, split_column=None)
            return TrainingData(train, load_triplets(eval_data, evaluation_options), None, _numbers(numbers))
        if eval_fraction > 0 and (value := evaluation_value(all_triplets, options)) is not None:
            triplets_of_value, of_value = _read_triplets(all_triplets, replace(options, split=value))
            _log_evaluation_rows(all_triplets, len(of_value), value, options)
            return TrainingData(train, triplets_of_value, of_value.tolist(), _numbers(numbers), None, value)
        rows = held_out_triplets(train, eval_fraction, seed)
        others = np.setdiff1d(np.arange(len(train)), rows)
        kept, held_out = select_rows(train, others), select_rows(train, rows)
        if len(kept) == 0:
            raise DataError(
                f"{name_of(data) or 'data'} has {len(train)} row(s), too few to hold out {eval_fraction:.0%}; pass "
                "eval_fraction=0 to train on all rows"
            )
        _log_held_out(texts_of(held_out, "anchor"), texts_of(train, "anchor"), "triplets", eval_fraction)
        numbers_held_out = numbers[rows].tolist()
        return TrainingData(kept, held_out if len(held_out) else None, numbers_held_out, _numbers(numbers[others]))
    source = name_of(data) or "data"
    table = read_all(data, options)
    labelled = load_labelled(table, options, several_labels=several_labels)
    assert labelled.rows is not None
    mark = labelled.multi_label
    check_trainable(labelled.label_ids, labelled.label_names, source, mark)
    options = replace(options, multi_label=mark)
    columns = options.level_columns or [labelled.columns[1]]
    if (split := evaluation_table(data, table, options, columns, wanted=wanted)) is not None:
        evaluation = load_labelled(split[1], options, known_labels=labelled.label_names)
        train_rows = _numbers(labelled.rows)
        return TrainingData(as_dataset(labelled), as_dataset(evaluation), None, train_rows, mark, split[0])
    if eval_data is not None:
        options = replace(options, label_file=None, split_column=None)
        evaluation = load_labelled(eval_data, options, known_labels=labelled.label_names)
        return TrainingData(as_dataset(labelled), as_dataset(evaluation), None, _numbers(labelled.rows), mark)
    if eval_fraction > 0 and (value := evaluation_value(table, options)) is not None:
        evaluation = load_labelled(table, replace(options, split=value), known_labels=labelled.label_names)
        _log_evaluation_rows(table, len(evaluation), value, options)
        assert evaluation.rows is not None
        rows_of_evaluation = evaluation.rows.tolist()
        train_rows = _numbers(labelled.rows)
        return TrainingData(as_dataset(labelled), as_dataset(evaluation), rows_of_evaluation, train_rows, mark, value)
    rows = held_out_labelled(labelled, eval_fraction, seed)
    kept_rows, held_out_rows = labelled.take(np.setdiff1d(np.arange(len(labelled)), rows)), labelled.take(rows)
    if len(held_out_rows):
        without = f"{source} without the {eval_fraction:.0%} held out"
        check_trainable(kept_rows.label_ids, kept_rows.label_names, without, mark)
    _log_held_out(held_out_rows.sentences, labelled.sentences, "sentences", eval_fraction)
    assert held_out_rows.rows is not None
    assert kept_rows.rows is not None
    held_out = as_dataset(held_out_rows) if len(held_out_rows) else None
    return TrainingData(as_dataset(kept_rows), held_out, held_out_rows.rows.tolist(), _numbers(kept_rows.rows), mark)


def _numbers(rows: np.ndarray) -> Sequence[int]:
    """Return the numbers of rows: a range if they are all rows, which takes no memory, else a list."""
    return range(len(rows)) if (rows == np.arange(len(rows))).all() else rows.tolist()


def name_of(source: "Source | None") -> str | None:
    """Return the path of a file or the name on the hub as a string; None for a table in memory and for None."""
    return str(source) if isinstance(source, (str, Path)) else None


def _log_evaluation_rows(table: "Table", count: int, value: str, options: ReadOptions) -> None:
    logger.info(f"{table.source}: evaluated on the {count:,} rows with {value!r} in {options.split_column!r}")


def _log_held_out(held_out: Sequence[str], texts: Sequence[str], rows: str, eval_fraction: float) -> None:
    if len(held_out):
        different, held = len(np.unique(copy_groups(texts))), len(np.unique(copy_groups(held_out)))
        anchors = "anchors" if rows == "triplets" else "texts"
        copies = (
            f"; the {len(texts)} {rows} have only {different} different {anchors}, of which {held} are held out with "
            "all their copies"
            if different < len(texts)
            else ""
        )
        logger.info(
            f"held out {len(held_out)} of {len(texts)} {rows} for evaluation (eval_fraction={eval_fraction:g}){copies}"
        )
    else:
        limit = (
            " (only labels with at least four different sentences are split)"
            if rows == "sentences"
            else " (triplets with the same anchor are not split)"
        )
        logger.info(
            f"no row is held out (eval_fraction={eval_fraction:g}), so the model will not be evaluated; "
            f"for an evaluation, pass evaluation data or another eval_fraction{limit}"
        )


def as_dataset(data: LabelledSentences) -> "Dataset":
    """Convert labelled sentences to a `datasets.Dataset` with the columns `sentence` and `label`.

    The label column is a `ClassLabel` with the ids and the names of `data`.
    """
    from datasets import ClassLabel

    texts = dataset_of({"sentence": TextColumn.of(data.sentences)})
    return add_labels(texts, data.label_ids, ClassLabel(names=data.label_names))
