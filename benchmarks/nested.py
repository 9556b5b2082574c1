"""Nested labels against flat training: the metrics of both levels, after the same number of steps.

    python benchmarks/nested.py --data DIR [--sets hwu64 clinc150] [--train encoder head both auto] [--steps 60]
        [--seeds 0 1 2] [--output FILE.json]

HWU64 has 18 scenarios and 64 intents in its labels, such as alarm_query; CLINC150 has ten domains, in `domains.csv`.
Flat training takes each label as one label. Both kinds train the same parts (the encoder alone, unless --train names
others), with the same number of rows in a batch, and are measured by the same protocol: test sentences rank the
training sentences.
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from common import Results, mean_and_std, print_table, read_rows
from datasets import Dataset

from tercet.runs import RunSettings, evaluate, train
from tercet.runs.limits import PARTS

SEPARATORS = {"flat": None, "nested": "/"}
METRICS = {
    "map@r": "MAP@R, labels",
    "map@r_level1": "MAP@R, parents",
    "tree_distance": "distance in the tree",
    "ndcg@10": "NDCG@10 in the tree",
    "recall@1": "recall@1",
}


def read(folder: Path, name: str, part: str, number: int) -> Dataset:
    """Some rows of a part of a data set, drawn by a fixed seed, with labels such as alarm/query."""
    rows = read_rows(folder, name, part)
    if name == "clinc150":
        domains = {row["label"]: row["domain"] for row in read_rows(folder, name, "domains")}
        labels = [f"{domains[row['label']]}/{row['label']}" for row in rows]
    else:
        labels = [row["label"].replace("_", "/", 1) for row in rows]
    data = Dataset.from_dict({"text": [row["text"] for row in rows], "label": labels}).shuffle(seed=0)
    return data.select(range(min(number, len(data))))


def measure(data: Sequence[Dataset], settings: RunSettings, model: str) -> dict[str, Any]:
    """Train once, and return the metrics of the trained model and the seconds of the training."""
    rows, test_rows = data
    # A flat run keeps the complete labels apart, whatever characters they contain.
    combined: dict[str, Any] = {} if settings.label_levels else {"combined_labels": "keep"}
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            rows, Path(folder) / "model", model=model, settings=settings, eval_fraction=0, classifier=False,
            show_progress_bar=False, **combined,
        )  # fmt: skip
        metrics = evaluate(run.model, test_rows, reference=rows, label_levels="/")
    seconds = sum(run.record.run["parts"].get(part, 0.0) for part in ("head", "encoder"))
    return {**{key: metrics[key] for key in METRICS}, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--sets", nargs="+", default=["hwu64", "clinc150"])
    parser.add_argument("--train", nargs="+", choices=list(PARTS), default=["encoder"], help="what is trained")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=3000, help="number of training rows")
    parser.add_argument("--test-rows", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("nested.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = Results(arguments.output)
    for name in arguments.sets:
        data = [
            read(arguments.data, name, part, number)
            for part, number in (("train", arguments.rows), ("test", arguments.test_rows))
        ]
        found: dict[str, list[dict[str, Any]]] = {}
        for seed, train_part, (kind, separator) in product(arguments.seeds, arguments.train, SEPARATORS.items()):
            settings = RunSettings(train=train_part, max_steps=arguments.steps, seed=seed, label_levels=separator)
            kind = kind if train_part == "encoder" else f"{kind}, {train_part}"
            key = f"{name}, {kind}, {arguments.rows} rows, {arguments.steps} steps, seed {seed}"
            run = results.get(key, partial(measure, data, settings, arguments.model))
            found.setdefault(kind, []).append(run)
        print_table(
            ["training", *METRICS.values(), "seconds"],
            [
                [
                    kind,
                    *(mean_and_std(run[key] for run in runs) for key in METRICS),
                    mean_and_std((run["seconds"] for run in runs), 0),
                ]
                for kind, runs in found.items()
            ],
            f"{name}: {arguments.rows:,} training rows, {arguments.steps} steps, {len(arguments.seeds)} seeds",
        )


if __name__ == "__main__":
    main()
