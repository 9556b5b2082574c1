"""Run `tercet train` in its own process, as a user does, and measure the model that it writes."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import HERE, alone, few_rows, read_rows


def train_and_measure(
    options: dict[str, Any], arguments: Sequence[str] = (), keep: Path | None = None
) -> dict[str, Any]:
    """Return the scores of the trained model, the seconds of the command, what it chose, and what it measured itself.

    The seconds include the evaluations before and after training. The measuring afterwards is not included.

    Args:
        options: the options of `measured.py`: data, set, seed, per_label, model, threads, logistic.
        arguments: more arguments of `tercet train`.
        keep: a folder for the model; None keeps it only until it is measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = keep or Path(folder, "model")
        seconds = train_model(options, arguments, output)
        record = json.loads((output / "metrics.json").read_text("utf-8"))
        scores = alone(HERE / "measured.py", {**options, "model": str(output)})
    measured = {"evaluation": record["evaluation"]["against_reference"], "gain": record["gain"]}
    return {**scores, "seconds": seconds, "choices": record.get("choices"), "record": measured}


def train_model(options: dict[str, Any], arguments: Sequence[str], output: Path) -> float:
    """Train with the test file as evaluation data, and return the seconds. See `train_and_measure`."""
    data, name = Path(options["data"]), options["set"]
    rows = read_rows(data, name, "train")
    kept = few_rows([row["label"] for row in rows], options["per_label"], options["seed"])
    return train_on([rows[row] for row in kept], data / name / "test.csv", options, arguments, output)


def train_on(
    rows: Sequence[dict[str, str]], eval_file: Path, options: dict[str, Any], arguments: Sequence[str], output: Path
) -> float:
    """Run `tercet train` on rows with a text and a label, and return the seconds.

    Args:
        rows: the training rows.
        eval_file: the file to evaluate on.
        options: the model, the seed and the number of threads.
        arguments: more arguments of `tercet train`.
        output: the folder of the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder, "train.csv")
        write_rows(train, rows)
        command = [
            sys.executable, "-m", "tercet", "train", train, "--eval-data", eval_file, "--model", options["model"],
            "--output", output, "--seed", str(options["seed"]), "--quiet", "--overwrite", *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": str(options["threads"])}
        start = time.perf_counter()
        if subprocess.run(command, stdout=subprocess.DEVNULL, env=environment).returncode:
            sys.exit(f"failed: {' '.join(map(str, command))}")
        return time.perf_counter() - start


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the texts and labels of rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
