"""Training and evaluation data of a run, from paths, names on the hub, or data sets in memory."""

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
        eval_data: the same; None holds out a part of `data`.
        eval_fraction: the fraction to hold out; the second value is None if that is no row.
        columns: which columns of a file or of a data set on the hub to read.
        triplets: whether the data are given triplets.
        seed: of the rows that are held out.

    Raises:
        DataError: the data cannot be used, or contain no triplet.
    """
    load = load_triplets if triplets else load_training_data
    source, eval_source = name_of(data), None if eval_data is None else name_of(eval_data)
    if source is not None and (eval_data is None or eval_source is not None):
        return load(source, eval_source, eval_fraction, columns, seed)
    if source is not None or eval_source is not None:
        raise DataError("data and eval_data must both be data sets in memory, or both be paths or names")
    return _of_datasets(data, eval_data, eval_fraction, triplets=triplets, seed=seed)


def name_of(data: "Source") -> str | None:
    """Return the path or the name of data, None for a data set in memory."""
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
            f"{name} has no column {listed(missing)}; this loss needs {listed(wanted)}, and the columns are "
            f"{listed(data.column_names, limit=12)}"
        )
