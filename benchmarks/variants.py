"""Which loss? Four losses, three seeds, one epoch, on real labelled sentences, by `tercet compare`; a markdown table.

    python benchmarks/variants.py --data DIR [--sets banking77,clinc150,hwu64] [--output FOLDER] [--steps N] [--seeds 3]
        [--wrong-labels SHARE [--near]]

DIR holds a folder a data set with train.csv and test.csv (columns text, label). The encoder is the packaged
all-MiniLM-L6-v2. With --wrong-labels a share of the training labels is changed, as in label_issues.py: to any other, or
with --near to one of the three whose centroids are nearest; the test set stays as it is. A benchmark that was stopped
goes on where it stopped: FOLDER keeps what was run.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import labelled
from label_issues import change_labels, embed

_COLUMNS = {
    "map@r": ("MAP@R", 4), "recall@1": ("recall@1", 4), "knn_accuracy": ("kNN accuracy", 4),
    "active_fraction": ("share active", 2), "seconds_per_step": ("s a step", 3), "peak_memory_mib": ("peak MiB", 0),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="banking77,clinc150,hwu64")
    parser.add_argument("--output", type=Path, default=Path("variants"))
    parser.add_argument("--steps", type=int, help="a trial of so many steps, in place of one epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wrong-labels", type=float, default=0.0, help="the share of training labels to change")
    parser.add_argument("--near", action="store_true", help="change them to one of the three nearest labels")
    arguments = parser.parse_args()
    if not 0 <= arguments.wrong_labels < 1:
        parser.error("--wrong-labels is a share: 0.2 changes one label in five")
    if arguments.near and not arguments.wrong_labels:
        parser.error("--near says which wrong labels --wrong-labels SHARE makes")
    names = arguments.sets.split(",")
    for name in names:
        if not (arguments.data / name / "train.csv").exists():
            sys.exit(
                f"no data set at {arguments.data / name}: it needs train.csv and test.csv (columns text and label)"
            )
    for name in names:
        run, train = name, arguments.data / name / "train.csv"
        if arguments.wrong_labels:
            run = f"{name}-{arguments.wrong_labels:g}-wrong{'-near' if arguments.near else ''}"
            train = arguments.output / f"{run}.csv"
            _write_with_wrong_labels(train, *labelled(arguments.data, name), arguments.wrong_labels, arguments.near)
        output = arguments.output / run
        command = [
            sys.executable, "-m", "tercet", "compare", train,
            "--eval-data", arguments.data / name / "test.csv", "--model", "bundled", "--output", output,
            "--seeds", str(arguments.seeds), "--json", *(["--steps", str(arguments.steps)] if arguments.steps else []),
            *(["--resume"] if (output / "compare.json").exists() else []),
        ]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
        print(markdown(run, json.loads(done.stdout)), flush=True)


def _write_with_wrong_labels(path: Path, texts: list[str], label_ids: list[int], share: float, near: bool) -> None:
    """A file of the texts with label numbers of which a share was changed, the same ones each time."""
    embeddings = embed(path.stem, texts, cache=None) if near else None
    given = change_labels(np.array(label_ids), share, seed=0, near=embeddings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, given.tolist(), strict=True))


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
