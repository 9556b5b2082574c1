"""The command `tercet train` for vectors: only a head is trained, so most options are not for it."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tercet.cli.console import finish, print_metrics, print_note, print_result
from tercet.cli.evaluations import print_evaluation
from tercet.cli.flags import flag_of
from tercet.cli.outputs import check_outputs
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION
from tercet.errors import DataError, listed
from tercet.records import RunRecord
from tercet.runs import train_vectors as run_train_vectors
from tercet.runs.repeat import read_record
from tercet.runs.vectors import INPUTS

# The arguments of `tercet train` that are for vectors. The library has the same names for them.
_PASSED = (
    "dimension", "eval_data", "eval_label_file", "label_column", "label_file", "vector_column", "header",
    "csv_separator", "encoding", "combined_labels", "similar_labels", "drop_missing", "label_levels", "multi_label",
    "jaccard_weights", "seed", "overwrite",
)  # fmt: skip
_USED = (*_PASSED, "data", "output", "train", "eval_fraction", "config", "repeat", "as_json", "quiet")


def is_for_vectors(given: Mapping[str, Any]) -> bool:
    """Return whether the arguments of `tercet train` name vectors instead of sentences.

    Raises:
        DataError: a file of evaluation labels is named, but no vectors.
    """
    from tercet.data.formats.vector_files import is_vector_file

    if is_vector_file(given["data"]) or given["vector_column"] is not None:
        return True
    if given["eval_label_file"] is not None:
        raise DataError("eval_label_file is for vectors: pass a .npy file as data, or pass vector_column")
    return False


def train_vectors(given: Mapping[str, Any]) -> None:
    """Train a head on vectors, with the arguments `given` to `tercet train`."""
    from tercet.cli.train import train as command  # which imports this module
    from tercet.data.formats.vector_files import is_vector_file

    defaults = {name: parameter.default for name, parameter in inspect.signature(command).parameters.items()}
    others = [name for name, value in given.items() if name not in _USED and value != defaults[name]]
    if others:
        flags = list(map(flag_of, others))
        raise DataError(f"with vectors, only a linear head is trained, so {listed(flags)} cannot be used; leave it out")
    if given["train"] not in (defaults["train"], "auto", "head"):
        raise DataError(f"with vectors, only a linear head can be trained; leave out --train {given['train']}")
    output: Path = given["output"]
    repeat = given["repeat"]
    inputs = {**{name: given[argument] for argument, name in INPUTS.items()}, "the record to repeat": repeat}
    check_outputs({}, inputs, overwrite=given["overwrite"], folder=output)
    fraction = DEFAULT_EVAL_FRACTION if given["eval_fraction"] is None else given["eval_fraction"]
    passed = {name: given[name] for name in _PASSED}
    repeats = None if repeat is None else read_record(repeat)
    run = run_train_vectors(given["data"], output, eval_fraction=fraction, repeats=repeats, **passed)
    print_note(f"chosen: {run.reason}")
    if given["as_json"]:
        print_result(json.dumps(run.record.to_dict(), indent=2))
    else:
        print_evaluation(run.record)
        _print_dimensions(run.record)
    print_note(f"head written to {output}")
    column = [] if given["vector_column"] is None else ["--vector-column", given["vector_column"]]
    vectors = "YOUR.npy" if is_vector_file(given["data"]) else "YOUR.parquet"
    finish(["tercet", "encode", vectors, *column, "--head", output, "--output", "mapped.npy"])


def _print_dimensions(record: RunRecord) -> None:
    if record.by_dimension and record.before is not None:
        print_metrics(
            "By the dimension of the vectors, against the training rows",
            {"before": record.before} | {f"head, {size}": metrics for size, metrics in record.by_dimension.items()},
        )
