"""Functions for several benchmarks: read data and models, write results and tables, start processes.

Nothing here imports torch at once, because its memory would count in the benchmarks that measure memory.
"""

import csv
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tercet.comparison.peak_memory import peak_mib as peak_mib

HERE = Path(__file__).parent
Rows = tuple[list[str], list[int]]
SETS = ("banking77", "clinc150", "hwu64")


def read_rows(folder: Path, name: str, part: str) -> list[dict[str, str]]:
    """The rows of `folder/name/part.csv`; ends the program if there are none."""
    path = folder / name / f"{part}.csv"
    if not path.exists():
        sys.exit(f"no data set at {path.parent}: it needs {path.name} with the columns text and label (--data DIR)")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labelled(folder: Path, name: str, part: str = "train") -> Rows:
    """The texts and label numbers of `folder/name/train.csv`; ends the program if there are none."""
    return _numbered([read_rows(folder, name, part)])[0]


def train_and_test(folder: Path, name: str) -> tuple[Rows, Rows]:
    """The texts and label numbers of the training and of the test file; a label has the same number in both."""
    train, test = _numbered([read_rows(folder, name, part) for part in ("train", "test")])
    return train, test


def _numbered(parts: Sequence[list[dict[str, str]]]) -> list[Rows]:
    labels = sorted({row["label"] for rows in parts for row in rows})
    numbers = {label: number for number, label in enumerate(labels)}
    return [([row["text"] for row in rows], [numbers[row["label"]] for row in rows]) for rows in parts]


def few_rows(label_ids: Any, per_label: int | None, seed: int) -> Any:
    """The row numbers of at most `per_label` rows of each label, drawn by the seed, ascending; None takes all rows."""
    import numpy as np

    label_ids = np.asarray(label_ids)
    if per_label is None:
        return np.arange(len(label_ids))
    order = np.random.default_rng(seed).permutation(len(label_ids))
    order = order[np.argsort(label_ids[order], kind="stable")]
    _, first, counts = np.unique(label_ids[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, counts)
    return np.sort(order[place < per_label])


def split_open(labels: Any, seed: int) -> tuple[Any, Any, Any]:
    """Return three quarters of the labels, and the numbers of their rows: those to calibrate and those to train on."""
    import numpy as np

    names = np.unique(labels)
    known = np.random.default_rng(seed).permutation(names)[: round(0.75 * len(names))]
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.isin(labels, known)))
    return known, *np.split(rows, [len(rows) // 10])


def open_scores(truth: Any, answers: Any) -> dict[str, float]:
    """Return the F1 of "unknown", the mean F1 of all labels with it, and the accuracy, in percent."""
    from sklearn.metrics import accuracy_score, f1_score

    names = sorted(set(truth))
    scores = f1_score(truth, answers, labels=names, average=None)
    return {
        "unknown": 100 * float(scores[names.index("unknown")]),
        "all": 100 * float(scores.mean()),
        "accuracy": 100 * float(accuracy_score(truth, answers)),
    }


def model_folder(name: str) -> str:
    """A folder that both libraries load: the packaged all-MiniLM-L6-v2, or the one that is named."""
    if name != "bundled":
        if not Path(name).is_dir():
            sys.exit(f"no model folder at {name}")
        return name
    from tercet.encoder.loading import encoder_folder

    return str(encoder_folder())


def alone(script: str | Path, options: dict[str, Any], python: str | Path = sys.executable) -> dict[str, Any]:
    """Run `script --one OPTIONS` in its own process, and return the JSON value of its last line.

    `options["start"]` is the time before that process starts.
    """
    options = {**options, "start": time.time()}
    done = subprocess.run([python, script, "--one", json.dumps(options)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{script} failed with {options}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def step_starts(trainer: Any) -> list[float]:
    """Return a list that gets the time at which each step of a trainer starts.

    A callback would be simpler, but with callbacks of others Tercet trains the word embeddings of all tokens.
    """
    import torch

    starts: list[float] = []
    training_step = trainer.training_step

    def run(*args: Any, **kwargs: Any) -> Any:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        starts.append(time.perf_counter())
        return training_step(*args, **kwargs)

    trainer.training_step = run
    return starts


class Results:
    """A JSON file with the result of each run by its key. A run whose key is in the file is not repeated."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def get(self, key: str, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of a run, and write it at once."""
        if key not in self.runs:
            print(f"{key} …", file=sys.stderr, flush=True)
            self.runs[key] = run()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self.path.with_suffix(".unfinished")
            unfinished.write_text(_as_json(self.runs), "utf-8")
            unfinished.replace(self.path)
        return self.runs[key]


def _as_json(runs: dict[str, dict[str, Any]]) -> str:
    """Return the runs as JSON with an indent. A list of numbers is one line, because some have thousands of them."""
    text = json.dumps(runs, indent=1, sort_keys=True)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text)


def mean_and_std(values: Iterable[float], digits: int = 3, scale: float = 1.0) -> str:
    """The mean of the seeds and their standard deviation, such as `0.712 ± 0.004`; the value alone for one seed."""
    numbers = [scale * value for value in values]
    if not numbers:
        return "–"
    spread = f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.{digits}f}{spread}"


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table in Markdown."""
    if title:
        print(f"\n{title}\n")
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(map(str, row))} |", flush=True)
