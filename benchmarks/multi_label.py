"""Sentences with several labels: training on shared labels, against each combination as a label, and a classifier.

    python benchmarks/multi_label.py --data DATA [--rows 2000] [--labels 150] [--steps 100] [--seeds 0 1 2]

`DATA/clinc150` has `train.csv` and `test.csv` with the columns `text` and `label`. Rows are mixed as MixSNIPS and
MixATIS are made (Qin et al. 2020, "AGIF"): one to three sentences of different labels, joined by "and", with all their
labels. Each test row ranks the training rows; those that share a label are relevant. Compared are

    untouched          the encoder before training
    powerset           the encoder, trained with each combination of labels as a label
    binary relevance   the probabilities of one logistic regression per label as the embedding of a sentence
    shared label       the encoder, trained with the sentences that share a label as positives

Both trainings have the same rows, number of steps and settings. Prints one line per run and the means; `--output`
writes JSON.
"""

import argparse
import csv
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from tercet import load_model
from tercet.evaluation import label_metrics
from tercet.runs import RunSettings, evaluate, train

METRICS = ("map@r", "r_precision", "recall@1", "ndcg@10")
Rows = dict[str, list]


def mixed(path: Path, num_rows: int, num_labels: int, seed: int) -> Rows:
    """Return rows of one to three joined sentences, of the first labels in alphabetical order, and their labels."""
    with path.open(encoding="utf-8", newline="") as file:
        by_label: dict[str, list[str]] = {}
        for row in csv.DictReader(file):
            by_label.setdefault(row["label"], []).append(row["text"])
    labels, rng = sorted(by_label)[:num_labels], np.random.default_rng(seed)
    rows: Rows = {"text": [], "label": []}
    for _ in range(num_rows):
        chosen = rng.choice(labels, rng.integers(1, 4), replace=False).tolist()
        rows["text"].append(" and ".join(str(rng.choice(by_label[label])) for label in chosen))
        rows["label"].append(chosen)
    return rows


def trained(arguments: argparse.Namespace, rows: Rows, test: Rows, seed: int, **options: str) -> dict[str, float]:
    """Train the encoder, and return its metrics and the seconds of the training."""
    settings = RunSettings(train="encoder", max_steps=arguments.steps, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            rows, Path(folder) / "model", model=arguments.model, settings=settings, eval_fraction=0,
            classifier=False, show_progress_bar=False, **options,
        )  # fmt: skip
        metrics = evaluate(run.model, test, reference=rows)
    return {**{key: metrics[key] for key in METRICS}, "seconds": run.record.run["parts"]["encoder"]}


def binary_relevance(embeddings: torch.Tensor, test_embeddings: torch.Tensor, rows: Rows, test: Rows) -> dict:
    """Return the metrics of the probabilities of one logistic regression per label, and the seconds of the fit."""
    start = time.monotonic()
    known = MultiLabelBinarizer().fit(rows["label"])
    model = OneVsRestClassifier(LogisticRegression(C=10, max_iter=500))
    model.fit(embeddings.numpy(), known.transform(rows["label"]))
    scores, of_test = (model.predict_proba(part.numpy()) for part in (embeddings, test_embeddings))
    seconds = time.monotonic() - start
    metrics = label_metrics(of_test, test["label"], reference_embeddings=scores, reference_labels=rows["label"])
    return {**{key: metrics[key] for key in METRICS}, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with clinc150")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--test-rows", type=int, default=1000)
    parser.add_argument("--labels", type=int, default=150)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="where to write the metrics as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = mixed(arguments.data / "clinc150/train.csv", arguments.rows, arguments.labels, 0)
    test = mixed(arguments.data / "clinc150/test.csv", arguments.test_rows, arguments.labels, 1)
    encoder = load_model(arguments.model)
    embedded = [encoder.encode(part["text"], convert_to_tensor=True).cpu() for part in (rows, test)]
    untouched = label_metrics(
        embedded[1], test["label"], reference_embeddings=embedded[0], reference_labels=rows["label"]
    )
    results: dict[str, list[dict[str, float]]] = {
        "untouched": [{key: untouched[key] for key in METRICS}],
        "binary relevance": [binary_relevance(*embedded, rows, test)],
        "powerset": [],
        "shared label": [],
    }
    for seed in arguments.seeds:
        for kind, options in (("powerset", {"combined_labels": "keep"}), ("shared label", {})):
            results[kind].append(trained(arguments, rows, test, seed, **options))
            print(kind, seed, {key: round(value, 4) for key, value in results[kind][-1].items()}, flush=True)
    for kind, found in results.items():
        means = {key: round(statistics.mean(one[key] for one in found), 4) for key in found[0]}
        print(f"{kind:16s} mean of {len(found)}: {means}")
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
