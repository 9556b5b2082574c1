"""Read the rows to train on and those to evaluate on.

Evaluation rows are other data, the rows of another split, or rows that are held out.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tercet.data.cleaning.copies import copy_groups
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.trainable import check_trainable
from tercet.data.loading.evaluation_splits import (
    EvaluationSplit,
    find_evaluation_split,
    missing_labels,
    missing_triplets,
)
from tercet.data.loading.labelled import as_dataset, load_labelled
from tercet.data.loading.triplets import load_triplets, read_triplets
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.other_files import options_of_file, options_of_rows
from tercet.data.reading.selection import read_all
from tercet.data.reading.sources import name_of
from tercet.data.splits.held_out import held_out_labelled, held_out_triplets
from tercet.data.tables.dataset_columns import select_rows, texts_of
from tercet.errors import DataError, counted, listed

if TYPE_CHECKING:
    from datasets import Dataset

    from tercet.data.reading.sources import Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The rows to train on, and those to evaluate on.

    Attributes:
        train: a data set with the columns `sentence` and `label`, or `anchor`, `positive` and `negative`.
        evaluation: a data set with the same columns; None if there is nothing to evaluate on.
        held_out_rows: the numbers of the rows of `evaluation` in the file or data set that both come from, from 0 for
            the first row of data; None if the evaluation data have a source of their own.
        train_rows: the numbers of the rows of `train` in their file or data set, from 0.
        multi_label: the separator of the labels in the names of the column `label`, if rows have several; else None.
        eval_split: the name of the split of the same data that the evaluation rows are from; None if they have another
            source, or were held out.
        num_source_rows: the number of rows of the file or data set of `train`, with those that were left out; None if
            it is not known.
    """

    train: "Dataset"
    evaluation: "Dataset | None"
    held_out_rows: list[int] | None = None
    train_rows: Sequence[int]
    multi_label: str | None = None
    eval_split: str | None = None
    num_source_rows: int | None = None


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
        eval_data: the evaluation data; None takes another split with labels, such as `test`: the rows with this value
            in `split_column`, or those of a dictionary, a file or a folder with splits. Without one, rows of `data` are
            held out.
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
    if triplets:
        return _triplet_data(data, eval_data, eval_fraction, options, seed)
    return _labelled_data(data, eval_data, eval_fraction, options, seed, several_labels=several_labels)


def _triplet_data(
    data: "Source", eval_data: "Source | None", eval_fraction: float, options: ReadOptions, seed: int
) -> TrainingData:
    all_triplets = read_all(data, options_of_file(options, data, eval_data))
    train, numbers = read_triplets(all_triplets, options)
    choose_split = eval_data is None and eval_fraction > 0
    split = find_evaluation_split(
        data, all_triplets, options, missing_triplets, choose_split=choose_split, eval_fraction=eval_fraction
    )
    if split is not None:
        triplets, rows_of_split = read_triplets(split.table, split.options)
        _log_evaluation_rows(split, len(triplets))
        eval_rows = rows_of_split.tolist() if split.same_table else None
        return TrainingData(
            train=train, evaluation=triplets, held_out_rows=eval_rows, train_rows=_numbers(numbers),
            eval_split=split.name,
        )  # fmt: skip
    if eval_data is not None:
        evaluation_triplets = load_triplets(eval_data, options_of_rows(options, eval_data, data))
        return TrainingData(train=train, evaluation=evaluation_triplets, train_rows=_numbers(numbers))
    rows = held_out_triplets(train, eval_fraction, seed)
    others = np.setdiff1d(np.arange(len(train)), rows)
    kept, held_out = select_rows(train, others), select_rows(train, rows)
    if len(kept) == 0:
        raise DataError(
            f"{name_of(data) or 'data'} has {counted(len(train), 'row')}, too few to hold out {eval_fraction:.0%}; "
            "pass eval_fraction=0 to train on all rows"
        )
    _log_held_out(texts_of(held_out, "anchor"), texts_of(train, "anchor"), "triplets", eval_fraction)
    return TrainingData(
        train=kept, evaluation=held_out if len(held_out) else None, held_out_rows=numbers[rows].tolist(),
        train_rows=_numbers(numbers[others]),
    )  # fmt: skip


def _labelled_data(
    data: "Source",
    eval_data: "Source | None",
    eval_fraction: float,
    options: ReadOptions,
    seed: int,
    *,
    several_labels: bool,
) -> TrainingData:
    source = name_of(data) or "data"
    table = read_all(data, options_of_file(options, data, eval_data))
    labelled = load_labelled(table, options, several_labels=several_labels)
    assert labelled.rows is not None
    mark, num_source_rows = labelled.multi_label, labelled.num_source_rows
    check_trainable(labelled.label_ids, labelled.label_names, source, mark)
    options = replace(options, multi_label=mark)
    choose_split = eval_data is None and eval_fraction > 0
    split = find_evaluation_split(
        data,
        table,
        options,
        lambda split: missing_labels(split, labelled),
        choose_split=choose_split,
        eval_fraction=eval_fraction,
    )
    if split is not None:
        evaluation = load_labelled(split.table, split.options, known_labels=labelled.label_names)
        _log_evaluation_rows(split, len(evaluation))
        _log_unmeasured_labels(labelled, evaluation)
        assert evaluation.rows is not None
        return TrainingData(
            train=as_dataset(labelled), evaluation=as_dataset(evaluation),
            held_out_rows=evaluation.rows.tolist() if split.same_table else None,
            train_rows=_numbers(labelled.rows), multi_label=mark, eval_split=split.name,
            num_source_rows=num_source_rows,
        )  # fmt: skip
    if eval_data is not None:
        of_rows = options_of_rows(options, eval_data, data)
        evaluation = load_labelled(eval_data, of_rows, known_labels=labelled.label_names)
        _log_unmeasured_labels(labelled, evaluation)
        return TrainingData(
            train=as_dataset(labelled), evaluation=as_dataset(evaluation), train_rows=_numbers(labelled.rows),
            multi_label=mark, num_source_rows=num_source_rows,
        )  # fmt: skip
    rows = held_out_labelled(labelled, eval_fraction, seed)
    kept_rows, held_out_rows = labelled.take(np.setdiff1d(np.arange(len(labelled)), rows)), labelled.take(rows)
    if len(held_out_rows):
        without = f"{source} without the {eval_fraction:.0%} held out"
        check_trainable(kept_rows.label_ids, kept_rows.label_names, without, mark)
    _log_held_out(held_out_rows.sentences, labelled.sentences, "sentences", eval_fraction)
    if len(held_out_rows):
        why = f" (they have fewer than four different sentences, or too few for eval_fraction={eval_fraction:g})"
        _log_unmeasured_labels(kept_rows, held_out_rows, why)
    assert held_out_rows.rows is not None
    assert kept_rows.rows is not None
    held_out = as_dataset(held_out_rows) if len(held_out_rows) else None
    return TrainingData(
        train=as_dataset(kept_rows), evaluation=held_out, held_out_rows=held_out_rows.rows.tolist(),
        train_rows=_numbers(kept_rows.rows), multi_label=mark, num_source_rows=num_source_rows,
    )  # fmt: skip


def _numbers(rows: np.ndarray) -> Sequence[int]:
    """Return the numbers of rows: a range if they are all rows, which takes no memory, else a list."""
    return range(len(rows)) if (rows == np.arange(len(rows))).all() else rows.tolist()


def _log_evaluation_rows(split: EvaluationSplit, count: int) -> None:
    if split.same_table:
        logger.info(
            f"{split.table.source}: evaluated on the {count:,} rows with {split.name!r} in "
            f"{split.options.split_column!r}"
        )


def _log_unmeasured_labels(train: LabelledSentences, evaluation: LabelledSentences, why: str = "") -> None:
    """Log how many labels of the training rows have no evaluation row, if there are some. Not for sets of labels."""
    if train.multi_label is not None:
        return
    measured = {evaluation.label_names[label] for label in np.unique(evaluation.label_ids)}
    names = [train.label_names[label] for label in np.unique(train.label_ids)]
    missing = [name for name in names if name not in measured]
    if missing:
        logger.warning(
            f"{len(missing):,} of {counted(len(names), 'label')} have no evaluation sentence, so the metrics do "
            f"not measure them: {listed(missing, 5)}{why}"
        )


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
            f"for an evaluation, pass eval_data or another eval_fraction{limit}"
        )
