"""Which loss? Four losses, three seeds, one epoch on labelled sentences, by `tercet compare`; prints markdown tables.

    python benchmarks/variants.py --data DIR [--sets banking77,clinc150,hwu64] [--output FOLDER] [--steps N] [--seeds 3]
        [--wrong-labels FRACTION [--near]]

DIR has a folder per data set with train.csv and test.csv (columns text, label). The encoder is the packaged
all-MiniLM-L6-v2. With --wrong-labels, a fraction of the training labels is changed, as in label_issues.py: to any other
label, or with --near to one of the three labels with the nearest centroids; the test set is unchanged. FOLDER keeps
the results, so a benchmark that was interrupted resumes.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from common import labelled
from label_issues import change_labels
from trained import embed

from tercet.catalogue import metric_digits, metric_title
from tercet.comparison.recommendation import compared_metrics
from tercet.records import ComparisonRecord, MeanAndStd, baseline_title


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="banking77,clinc150,hwu64")
    parser.add_argument("--output", type=Path, default=Path("variants"))
    parser.add_argument("--steps", type=int, help="train for this number of steps instead of one epoch, as a trial")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wrong-labels", type=float, default=0.0, help="the fraction of training labels to change")
    parser.add_argument("--near", action="store_true", help="change them to one of the three nearest labels")
    arguments = parser.parse_args()
    if not 0 <= arguments.wrong_labels < 1:
        parser.error("--wrong-labels is a fraction: 0.2 changes one label in five")
    if arguments.near and not arguments.wrong_labels:
        parser.error("--near needs --wrong-labels")
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
        print(markdown(run, ComparisonRecord.from_dict(json.loads(done.stdout))), flush=True)


def _write_with_wrong_labels(path: Path, texts: list[str], label_ids: list[int], fraction: float, near: bool) -> None:
    """Write the texts with their label ids, a fraction of them changed, the same ones in each run."""
    embeddings = embed(path.stem, texts, cache=None) if near else None
    given = change_labels(np.array(label_ids), fraction, seed=0, near=embeddings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, given.tolist(), strict=True))


def markdown(name: str, record: ComparisonRecord) -> str:
    """Return the table of a comparison, and its recommendation."""
    metrics = compared_metrics()
    rows = [[name, *map(metric_title, metrics)], ["---"] * (len(metrics) + 1)]
    for baseline in record.baselines:
        values = {key: MeanAndStd(mean=value) for key, value in baseline.metrics.items()}
        rows.append([baseline_title(record, baseline), *_cells(values)])
    for line in record.summary:
        rows.append([line.variant, *_cells(line.metrics)])
        rows += [[f"{line.variant}, seed {seed}", f"failed: {reason}"] for seed, reason in line.failed.items()]
    table = [f"| {' | '.join(row)} |" for row in rows]
    assert record.recommendation is not None
    return "\n".join([*table, "", f"Take {record.recommendation.variant}: {record.recommendation.reason}", ""])


def _cells(values: Mapping[str, MeanAndStd]) -> list[str]:
    return [values.get(key, MeanAndStd()).format(metric_digits(key)) for key in compared_metrics()]


if __name__ == "__main__":
    main()
