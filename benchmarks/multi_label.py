"""Sentences with several labels: training on shared labels, against each combination as a label, and a classifier.

    python benchmarks/multi_label.py [--data DATA] [--sets mixed packages] [--rows 10000] [--steps 300]
        [--seeds 0 1 2] [--output FILE.json]

mixed      CLINC150 mixed as MixSNIPS and MixATIS are made (Qin et al. 2020, "AGIF"): one, two or three sentences of
           different labels (30, 50 and 20 % of the rows), joined by "and", with all their labels. Training rows are
           made of sentences of `DATA/clinc150/train.csv`, test rows of sentences of `test.csv`.
packages   descriptions of Debian packages, and their tags (what a package is used for, what it works with, its field,
           the kind of a game), which people have set. They are read from `apt-cache dumpavail`, or, where there is no
           apt, from its output in `DATA/packages.txt`. A fifth of the descriptions, at random, are test rows.

Each test row ranks the training rows; those that share a label are relevant. Compared are

    untouched          the encoder before training
    binary relevance   the probabilities of one logistic regression per label as the embedding of a sentence
    powerset           the encoder, trained with each combination of labels as a label; also a head, then the encoder
    shared label       a head, the encoder, or both, trained with the sentences that share a label as positives

Trainings of the encoder have the same rows, number of steps and settings. FILE is written after each run, and runs that
it has are not repeated.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Results, mean_and_std, print_table, read_rows
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from tercet import load_model
from tercet.evaluation import label_metrics
from tercet.evaluation.logistic import centre_and_factor
from tercet.runs import RunSettings, evaluate, train

METRICS = {"map@r": "MAP@R", "r_precision": "R-precision", "recall@1": "recall@1", "ndcg@10": "NDCG@10"}
# Of a logistic regression for each label, on the embeddings of the row of the table.
OF_REGRESSIONS = {"logistic_map_at_r": "MAP@R of probabilities", "micro_f1": "micro-F1", "macro_f1": "macro-F1"}
# The part that is trained, and whether each combination is a label.
TRAININGS: dict[str, tuple[str, bool]] = {
    "powerset, encoder": ("encoder", True),
    "powerset, head and encoder": ("both", True),
    "shared label, head": ("head", False),
    "shared label, encoder": ("encoder", False),
    "shared label, head and encoder": ("both", False),
}
RATIO = (0.3, 0.5, 0.2)  # of rows of one, two and three sentences in MixSNIPS and MixATIS
FACETS = ("use", "works-with", "field", "game")
MIN_PACKAGES = 30  # of a tag that is used
Rows = dict[str, list[Any]]


def mixed(folder: Path, part: str, num_rows: int, num_labels: int, seed: int) -> Rows:
    """Rows of joined sentences of the first labels in alphabetical order, and their labels."""
    by_label: dict[str, list[str]] = {}
    for row in read_rows(folder, "clinc150", part):
        by_label.setdefault(row["label"], []).append(row["text"])
    labels, rng = sorted(by_label)[:num_labels], np.random.default_rng(seed)
    rows: Rows = {"text": [], "label": []}
    for _ in range(num_rows):
        chosen = rng.choice(labels, rng.choice([1, 2, 3], p=RATIO), replace=False).tolist()
        rows["text"].append(" and ".join(str(rng.choice(by_label[label])) for label in chosen))
        rows["label"].append(chosen)
    return rows


def packages(folder: Path, num_rows: int, num_test_rows: int) -> tuple[Rows, Rows]:
    """The descriptions of packages and their tags, split at random, with a maximum number of rows in each part."""
    tags: dict[str, set[str]] = {}
    for entry in _entries(folder / "packages.txt"):
        if "Description" in entry and "Tag" in entry:
            found = {tag.strip() for tag in entry["Tag"].split(",")}
            tags.setdefault(entry["Description"], set()).update(t for t in found if t.split("::")[0] in FACETS)
    counts = Counter(tag for of_one in tags.values() for tag in of_one)
    kept = {text: sorted(tag for tag in of_one if counts[tag] >= MIN_PACKAGES) for text, of_one in tags.items()}
    texts = [text for text in sorted(kept) if kept[text]]
    if not texts:
        sys.exit(f"no package has a tag: run apt-get update, or write the output of apt-cache dumpavail into {folder}")
    texts = [texts[at] for at in np.random.default_rng(0).permutation(len(texts))]
    parts = texts[len(texts) // 5 :][:num_rows], texts[: len(texts) // 5][:num_test_rows]
    train_rows, test_rows = ({"text": part, "label": [kept[text] for text in part]} for part in parts)
    return train_rows, test_rows


def _entries(path: Path) -> Iterator[dict[str, str]]:
    """The fields of each package in a file, or else in what apt knows."""
    if path.exists():
        output = path.read_text("utf-8")
    else:
        output = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for block in output.split("\n\n"):
        fields = block.replace("\n ", " ").split("\n")
        yield {name: value.strip() for name, _, value in (field.partition(":") for field in fields)}


def trained(arguments: argparse.Namespace, data: tuple[Rows, Rows], kind: str, seed: int) -> dict[str, float]:
    """Train, and return the metrics of the trained model and the seconds of the training."""
    (rows, test), (part, powerset) = data, TRAININGS[kind]
    settings = RunSettings(train=part, max_steps=arguments.steps, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            rows, Path(folder) / "model", model=arguments.model, settings=settings, eval_fraction=0, classifier=False,
            show_progress_bar=False, **({"combined_labels": "keep"} if powerset else {}),
        )  # fmt: skip
        seconds = sum(run.record.run["parts"].get(name, 0.0) for name in ("head", "encoder"))
        return {**measured(run.model, test, rows), "seconds": seconds}


def measured(model: Any, test: Rows, rows: Rows) -> dict[str, float]:
    """The metrics of the embeddings of a model, and those of a logistic regression for each label on them."""
    result = evaluate(model, test, reference=rows)
    return {key: result[key] for key in METRICS} | {key: getattr(result.classifiers, key) for key in OF_REGRESSIONS}


def binary_relevance(model: Any, test: Rows, rows: Rows) -> dict[str, float]:
    """The metrics of the probabilities of one logistic regression per label, by scikit-learn, and the seconds."""
    x, queries = (model.encode(part["text"], convert_to_tensor=True).cpu() for part in (rows, test))
    start, (mean, factor) = time.monotonic(), centre_and_factor(x)
    classifier = OneVsRestClassifier(LogisticRegression(C=0.4, max_iter=500))
    classifier.fit(((x - mean) * factor).numpy(), MultiLabelBinarizer().fit_transform(rows["label"]))
    scores, of_test = (classifier.predict_proba(((part - mean) * factor).numpy()) for part in (x, queries))
    seconds = time.monotonic() - start
    metrics = label_metrics(of_test, test["label"], reference_embeddings=scores, reference_labels=rows["label"])
    return {**{key: metrics[key] for key in METRICS}, "seconds": seconds}


def runs_of(arguments: argparse.Namespace, data: tuple[Rows, Rows], results: Results, name: str) -> Iterator[Any]:
    """Each row of the table: its name, and its runs."""
    rows, test = data
    size = f"{name}, {len(rows['text'])} rows"
    once: dict[str, Callable[..., dict[str, float]]] = {"untouched": measured, "binary relevance": binary_relevance}
    for kind, function in once.items():
        yield kind, [results.get(f"{size}, {kind}", lambda f=function: f(load_model(arguments.model), test, rows))]
    for kind in TRAININGS:
        yield kind, [
            results.get(f"{size}, {kind}, {arguments.steps} steps, seed {seed}",
                        partial(trained, arguments, data, kind, seed))
            for seed in arguments.seeds
        ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder with clinc150")
    parser.add_argument("--sets", nargs="+", choices=["mixed", "packages"], default=["mixed", "packages"])
    parser.add_argument("--rows", type=int, default=10_000, help="the maximum number of training rows")
    parser.add_argument("--test-rows", type=int, default=2000)
    parser.add_argument("--labels", type=int, default=150, help="the number of labels of CLINC150")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("multi_label.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = Results(arguments.output)
    for name in arguments.sets:
        if name == "mixed":
            numbers = {"train": arguments.rows, "test": arguments.test_rows}
            data: Any = [
                mixed(arguments.data, part, number, arguments.labels, seed)
                for seed, (part, number) in enumerate(numbers.items())
            ]
        else:
            data = packages(arguments.data, arguments.rows, arguments.test_rows)
        columns = {**METRICS, **OF_REGRESSIONS}
        print_table(
            ["", *columns.values(), "seconds"],
            [
                [kind, *(mean_and_std(run[key] for run in runs if key in run) for key in columns),
                 mean_and_std((run["seconds"] for run in runs if "seconds" in run), 0)]
                for kind, runs in runs_of(arguments, data, results, name)
            ],
            f"{name}: {len(data[0]['text']):,} training rows, {len(data[1]['text']):,} test rows, "
            f"{len({label for row in data[0]['label'] for label in row})} labels, {arguments.steps} steps",
        )  # fmt: skip


if __name__ == "__main__":
    main()
