"""Nested labels against flat training: the metrics of both levels, after the same number of steps.

    python benchmarks/nested.py TRAIN.csv TEST.csv --separator / [--steps 80] [--seeds 0 1 2] [--rows 900]

The files have the columns `text` and `label`; labels have levels, such as `alarm/query`. Flat training takes each label
as one label. Both runs train the encoder alone, with the same batches per step, and are measured by the same protocol:
the test sentences rank the training sentences. Prints one line per run and the means; `--output` writes JSON.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import torch
from datasets import Dataset

from tercet.runs import RunSettings, evaluate, train

METRICS = ("map@r", "map@r_level1", "recall@1", "tree_distance", "ndcg@10")


def read(path: str, rows: int | None, seed: int) -> Dataset:
    data = Dataset.from_csv(path).shuffle(seed=seed)
    return data if rows is None else data.select(range(min(rows, len(data))))


def measure(arguments: argparse.Namespace, seed: int, *, nested: bool) -> dict[str, float]:
    """Train once, and return the metrics of the trained model and the seconds of the run."""
    train_rows, test_rows = read(arguments.train, arguments.rows, 0), read(arguments.test, arguments.rows, 0)
    settings = RunSettings(
        train="encoder", max_steps=arguments.steps, seed=seed, label_levels=arguments.separator if nested else None
    )
    with tempfile.TemporaryDirectory() as folder:
        # A flat run keeps the complete labels apart, whatever characters they contain.
        combined = {} if nested else {"combined_labels": "keep"}
        run = train(
            train_rows, Path(folder) / "model", model=arguments.model, settings=settings, eval_fraction=0,
            classifier=False, show_progress_bar=False, **combined,
        )  # fmt: skip
        metrics = evaluate(run.model, test_rows, reference=train_rows, label_levels=arguments.separator)
    return {**{key: metrics[key] for key in METRICS}, "seconds": run.record.run["parts"]["encoder"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--separator", default="/")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--rows", type=int, help="use this number of rows of each file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="where to write the metrics as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results: dict[str, list[dict[str, float]]] = {"flat": [], "nested": []}
    for seed in arguments.seeds:
        for kind, found in results.items():
            found.append(measure(arguments, seed, nested=kind == "nested"))
            print(kind, seed, {key: round(value, 4) for key, value in found[-1].items()}, flush=True)
    for kind, found in results.items():
        means = {key: round(statistics.mean(one[key] for one in found), 4) for key in found[0]}
        print(f"{kind:7s} mean of {len(found)}: {means}")
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
