"""Train a head on vectors that the user already has. Importing this module imports no torch."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet._distributed import launched_world_size
from tercet._events import collect_warnings
from tercet._files import check_separate, expand_path, reserved_folder
from tercet._files.head_files import check_head_places
from tercet._files.model_files import METRICS_FILE
from tercet._multi_labels import number_label_sets
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION, ReadOptions
from tercet.errors import DataError
from tercet.records import RunRecord
from tercet.runs.limits import check_eval_fraction, check_jaccard_weights
from tercet.runs.output import runs_inside
from tercet.runs.repeat import changed_arguments, check_kind, check_same_rows, note_other_environment

if TYPE_CHECKING:
    from tercet.heads import LinearHead


@dataclass(frozen=True, kw_only=True)
class HeadRun:
    """The result of the training of a head on vectors.

    Attributes:
        head: the head that was saved.
        record: the content of `metrics.json`.
        reason: why these settings of the head were chosen, in one sentence.
    """

    head: "LinearHead"
    record: RunRecord
    reason: str


# What a training on vectors reads, by its arguments.
INPUTS = {
    "data": "the input data",
    "label_file": "the file of labels",
    "eval_data": "the evaluation data",
    "eval_label_file": "the file of labels of the evaluation data",
}


@contextmanager
def _reserved(given: Mapping[str, Any]) -> Iterator[None]:
    """Check that the head can be written, and let no other process write to its folder meanwhile."""
    output = expand_path(given["output"], "output")
    check_separate({"output": output}, {name: given[argument] for argument, name in INPUTS.items()})
    with reserved_folder(output, overwrite=given["overwrite"]) as target:
        check_head_places(target)
        yield


@runs_inside(_reserved)
def train_vectors(
    data: str | Path,
    output: str | Path,
    *,
    vector_column: str | None = None,
    label_column: str | None = None,
    label_file: str | Path | None = None,
    eval_data: str | Path | None = None,
    eval_label_file: str | Path | None = None,
    eval_fraction: float = DEFAULT_EVAL_FRACTION,
    dimension: int | None = None,
    seed: int = 0,
    header: bool | None = None,
    csv_separator: str | None = None,
    encoding: str | None = None,
    combined_labels: str | None = None,
    similar_labels: str | None = None,
    drop_missing: bool | None = None,
    label_levels: str | None = None,
    multi_label: str | None = None,
    jaccard_weights: bool = False,
    overwrite: bool = False,
    repeats: RunRecord | None = None,
) -> HeadRun:
    """Train a linear head on vectors, such as embeddings of a paid service, and save it with its `metrics.json`.

    The settings of the head are chosen by cross-validation over the training rows, see `tercet.heads.choose_head`. The
    vectors are evaluated before and after on rows that the head is not trained on. With `dimension`, a head is trained
    and evaluated for the dimension of the vectors, and for each half of it that is above `dimension`, too.

    Args:
        data: a .npy file with an array `(n, dim)`, or a .parquet file with a column of vectors.
        output: the folder for the head.
        vector_column: the column of the vectors of .parquet files; None takes the only one.
        label_column: the column of the labels; None finds it by a usual name, such as `label` or `intent`.
        label_file: a file (.csv, .tsv, .jsonl or .parquet) with the label of each vector, in the same order; None reads
            the labels from `data`.
        eval_data: evaluation data of the same type as `data`; None holds out rows of `data`. Rows whose vector is also
            in the training data are left out of the metrics.
        eval_label_file: the labels of `eval_data`; None reads them from `eval_data`.
        eval_fraction: the fraction of the rows of each label to hold out if `eval_data` is None; equal vectors stay
            together. With 0, the head is not evaluated.
        dimension: the dimension of the new vectors, at most that of the vectors; None keeps it.
        seed: the seed of held-out rows, cross-validation and training.
        header: whether the first line of .csv and .tsv files contains the column names; None decides by the line.
        csv_separator: the separator of the columns of text files of labels, such as ";" or "tab". None finds it.
        encoding: the encoding of text files of labels, such as "cp1252". None finds it.
        combined_labels: what to do with cells that contain several labels: `"keep"`, `"first"` or `"drop"`. None raises
            an error.
        similar_labels: what to do with labels that differ only in form: `"merge"` or `"keep"`. None raises an error.
        drop_missing: what to do with rows without a vector or a label: None and True leave them out with a warning,
            False is an error.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund".
        multi_label: the separator of the labels of a row, such as ";" in "billing;refund", if rows have several; a
            column of lists needs none.
        jaccard_weights: with several labels per row, see `tercet.heads.HeadSettings`.
        overwrite: replace the head in `output`; other files there are kept.
        repeats: the record of a run that this run repeats, see `repeat_arguments`. Arguments that differ are logged;
            with the same arguments, the data must be the same.

    Raises:
        DataError: an argument is invalid, the data cannot be read or used for training, or they are not those of the
            record in `repeats`.
        ModelError: the head cannot be saved.
        EmbeddingError: `dimension` is larger than that of the vectors, or a vector is too long or too short.

    Example:
        ```python
        import tercet.runs

        run = tercet.runs.train_vectors("vectors.npy", "my-head", label_file="labels.csv")
        print(run.reason, run.record.after["map@r"])
        ```
    """
    check_eval_fraction(eval_fraction)
    if eval_label_file is not None and eval_data is None:
        raise DataError("eval_label_file needs eval_data")
    if launched_world_size() > 1:
        raise DataError("a head is trained in one process; start the command without torchrun or accelerate launch")
    if repeats is not None:
        check_kind(repeats, of_vectors=True)
    options = ReadOptions.of(locals(), label_file=None)
    from tercet.heads.storage import save_head  # imports torch, which takes seconds
    from tercet.runs.environment import environment, utc_now
    from tercet.runs.vector_training import load_vector_data, train_on_vectors

    settings: dict[str, Any] = {
        "train": "head",
        "data": str(data),
        "label_file": _text(label_file),
        "vector_column": vector_column,
        "label_column": options.label_name,
        "eval_data": _text(eval_data),
        "eval_label_file": _text(eval_label_file),
        "eval_fraction": eval_fraction if eval_data is None else None,
        "header": header,
        "csv_separator": csv_separator,
        "encoding": encoding,
        "combined_labels": combined_labels,
        "similar_labels": similar_labels,
        "drop_missing": drop_missing,
        "label_levels": label_levels,
        "multi_label": multi_label,
        "jaccard_weights": jaccard_weights,
        "dimension": dimension,
        "seed": seed,
    }
    started, clock = utc_now(), time.monotonic()
    with collect_warnings() as warnings:
        loaded = load_vector_data(
            str(data), _text(eval_data), eval_fraction, options, vector_column=vector_column,
            label_file=_text(label_file), eval_label_file=_text(eval_label_file), seed=seed,
        )  # fmt: skip
        check_jaccard_weights(jaccard_weights, loaded.train.rows.multi_label)
        settings |= {"multi_label": loaded.train.rows.multi_label}
        if repeats is not None:
            check_same_rows(repeats, loaded.facts(), changed_arguments(repeats, settings))
            note_other_environment(repeats, environment())
        trained = train_on_vectors(loaded, dimension, seed, label_levels, jaccard_weights=jaccard_weights)
    chosen = None if trained.choice.settings is None else asdict(trained.choice.settings)
    settings |= {"head": chosen, "reason": trained.choice.reason}
    record = RunRecord(
        evaluation=trained.record(),
        gain=trained.gain(),
        by_dimension=trained.by_dimension,
        settings=settings,
        data=loaded.facts(),
        warnings=[warning.to_dict() for warning in warnings],
        run={"started": started, "seconds": round(time.monotonic() - clock, 1)},
        environment=environment(),
    )
    rows = loaded.train.rows
    names = rows.label_names if rows.multi_label is None else number_label_sets(rows.label_names, rows.multi_label)[1]
    facts = {"settings": chosen, "label_names": names}
    more = {METRICS_FILE: record.to_dict()}
    save_head(trained.head, expand_path(output, "output"), facts=facts, more_files=more, overwrite=overwrite)
    return HeadRun(head=trained.head, record=record, reason=trained.choice.reason)


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
