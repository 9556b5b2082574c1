"""Which loss? Four losses, three seeds, one epoch, on real labelled sentences, by `tercet compare`; a markdown table.

    python benchmarks/variants.py --data DIR [--sets banking77,clinc150,hwu64] [--output FOLDER] [--steps N] [--seeds 3]
        [--wrong-labels SHARE]

DIR holds a folder a data set with train.csv and test.csv (columns text, label). The encoder is the packaged
all-MiniLM-L6-v2. With --wrong-labels a share of the training labels is changed, as in suspects.py, to any other; the
test set stays as it is. A benchmark that was stopped goes on where it stopped: FOLDER keeps what was run.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from suspects import change_labels

_COLUMNS = {
    "map@r": ("MAP@R", 4), "recall@1": ("recall@1", 4), "knn_accuracy": ("kNN accuracy", 4),
    "active_share": ("share active", 2), "seconds_per_step": ("s a step", 3), "peak_memory_mib": ("peak MiB", 0),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="banking77,clinc150,hwu64")
    parser.add_argument("--output", type=Path, default=Path("variants"))
    parser.add_argument("--steps", type=int, help="a trial of so many steps, in place of one epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wrong-labels", type=float, default=0.0, help="the share of training labels to change")
    arguments = parser.parse_args()
    names = arguments.sets.split(",")
    for name in names:
        if not (arguments.data / name / "train.csv").exists():
            sys.exit(
                f"no data set at {arguments.data / name}: it needs train.csv and test.csv (columns text and label)"
            )
    for name in names:
        train, output = arguments.data / name / "train.csv", arguments.output / name
        if arguments.wrong_labels:
            output = output.with_name(f"{name}-{arguments.wrong_labels:g}-wrong")
            train = _with_wrong_labels(train, arguments.output / f"{output.name}.csv", arguments.wrong_labels)
        command = [
            sys.executable, "-m", "tercet", "compare", train,
            "--eval-data", arguments.data / name / "test.csv", "--model", "bundled", "--output", output,
            "--seeds", str(arguments.seeds), "--json", *(["--steps", str(arguments.steps)] if arguments.steps else []),
            *(["--resume"] if (output / "compare.json").exists() else []),
        ]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
        print(markdown(output.name, json.loads(done.stdout)), flush=True)


def _with_wrong_labels(source: Path, target: Path, share: float) -> Path:
    """`target`, written: the rows of `source` with a share of the labels changed, the same ones each time."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["label"] for row in rows})
    codes = np.array([labels.index(row["label"]) for row in rows])
    given = change_labels(codes, torch.empty(0), nearest=0, share=share, seed=0)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((row["text"], labels[code]) for row, code in zip(rows, given, strict=True))
    return target


def markdown(name: str, results: dict[str, Any]) -> str:
    """The table of a comparison, and its recommendation."""
    before = next(run["before"] for run in results["runs"] if not run.get("failed"))
    rows = [f"| {name} | {' | '.join(title for title, _ in _COLUMNS.values())} |", "|---" * (len(_COLUMNS) + 1) + "|"]
    cells = (f"{before[key]:.{digits}f}" if key in before else "–" for key, (_, digits) in _COLUMNS.items())
    rows.append(f"| before training | {' | '.join(cells)} |")
    for line in results["summary"]:
        cells = (_cell(line[key], digits) for key, (_, digits) in _COLUMNS.items())
        rows.append(f"| {line['variant']} | {' | '.join(cells)} |")
        rows += [f"| {line['variant']}, seed {seed} | failed: {reason} |" for seed, reason in line["failed"].items()]
    recommendation = results["recommendation"]
    return "\n".join([*rows, "", f"Take {recommendation['variant']}: {recommendation['because']}", ""])


def _cell(figure: dict[str, float | None], digits: int) -> str:
    mean, spread = figure["mean"], figure["spread"]
    if mean is None:
        return "–"
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


if __name__ == "__main__":
    main()
