"""Load the training and evaluation data of a run from files, from the hub, or from data sets in memory."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tercet.data.columns import TRIPLET_COLUMNS
from tercet.data.labels import LabelledSentences, check_trainable, label_values, number_labels
from tercet.data.loading import Columns, as_dataset, load_training_data, load_triplets
from tercet.data.splits import split_held_out
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset

    Source: TypeAlias = str | Path | Dataset

LABELLED_COLUMNS = ("sentence", "label")


def load_run_data(
    data: "Source",
    eval_data: "Source | None",
    eval_fraction: float,
    columns: Columns,
    *,
    triplets: bool,
    seed: int,
) -> "tuple[Dataset, Dataset | None]":
    """Return training and evaluation data with the columns `sentence` and `label`, or `anchor`, `positive`, `negative`.

    Args:
        data: a file, the name of a data set on the hub, or a `datasets.Dataset` with these columns.
        eval_data: evaluation data of the same type as `data`; None holds out rows of `data`.
        eval_fraction: the fraction of `data` to hold out. If no row is held out, the evaluation data are None.
        columns: the columns, and the split on the hub, to read; not used for a `datasets.Dataset`.
        triplets: whether the rows are triplets instead of labelled sentences.
        seed: the random seed that determines which rows are held out.

    Raises:
        DataError: the data cannot be read, a column or a label is missing, or no triplet can be formed.
    """
    load = load_triplets if triplets else load_training_data
    source, eval_source = name_of(data), None if eval_data is None else name_of(eval_data)
    if source is not None and (eval_data is None or eval_source is not None):
        return load(source, eval_source, eval_fraction, columns, seed)
    if source is not None or eval_source is not None:
        raise DataError(
            "data and eval_data must both be a datasets.Dataset, or both be a path or a name on the hub; "
            f"got {type(data).__name__} and {type(eval_data).__name__}"
        )
    return _of_datasets(data, eval_data, eval_fraction, triplets=triplets, seed=seed)


def name_of(data: "Source") -> str | None:
    """Return the path of a file or the name on the hub as a string; None for a `datasets.Dataset`."""
    return str(data) if isinstance(data, (str, Path)) else None


def _of_datasets(
    data: "Dataset", eval_data: "Dataset | None", eval_fraction: float, *, triplets: bool, seed: int
) -> "tuple[Dataset, Dataset | None]":
    wanted = TRIPLET_COLUMNS if triplets else LABELLED_COLUMNS
    _check_columns(data, wanted, "data")
    if eval_data is not None:
        _check_columns(eval_data, wanted, "eval_data")
    if triplets:
        count = 0 if eval_data is not None else round(len(data) * eval_fraction)
        parts = data.train_test_split(test_size=count, seed=seed) if count else {"train": data, "test": eval_data}
        return parts["train"], parts["test"]
    label_ids, names = number_labels(label_values(data), "data")
    check_trainable(label_ids, names, "data")
    if eval_data is not None:
        return data, eval_data
    kept, held_out = split_held_out(LabelledSentences(data["sentence"][:], label_ids, names), eval_fraction, seed)
    if len(held_out) == 0:
        return data, None
    check_trainable(kept.label_ids, names, f"data without the {eval_fraction:.0%} held out")
    return as_dataset(kept), as_dataset(held_out)


def _check_columns(data: "Dataset", wanted: tuple[str, ...], name: str) -> None:
    missing = [column for column in wanted if column not in data.column_names]
    if missing:
        raise DataError(
            f"{name} has no column {listed(missing)}: this loss needs {listed(wanted)}, but the columns are "
            f"{listed(data.column_names, limit=12)}; rename them with {name}.rename_column"
        )
