"""Classify, reject and add labels: LabelClassifier against logistic regression, neighbours and plain softmax.

    python benchmarks/classify.py --data DIR [--models DIR] [--parts trained frozen promise open new]
        [--sets banking77 clinc150 hwu64] [--seeds 10] [--open-epochs 0] [--semantic-router PYTHON] [--output FILE.json]

DIR has a folder for each data set with train.csv and test.csv (columns text, label), and clinc150/oos_test.csv. The
encoder is the bundled all-MiniLM-L6-v2.

trained   after the default run of `tercet train`, with the test file as evaluation data. --models keeps these models,
          and uses those that are there: a folder MiniLM-SET-all-auto-seed-0 for each set, as quality.py writes
frozen    on the untouched encoder
promise   ten random splits of each training file: 60 % to train a linear head, 10 % to calibrate, 30 % to judge
open      ten draws of 75 % of the labels; the sentences of the others, and those out of scope, are unknown. A head is
          trained on the untouched encoder, or with --open-epochs the encoder too, for this number of epochs
new       one label of CLINC150 at a time is added with ten sentences to a classifier of the others

--semantic-router names the Python of a virtual environment with Tercet and semantic-router, which the part `open` then
measures on the untouched encoder: with its defaults, which reject nothing, and with its calibration and a threshold of
0.5. `make bench-semantic-router` makes one.

FILE is written after each case, and cases that it has are not repeated.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classify_data import Data, accuracy_of, embedded_with_head
from classify_open import open_labels, print_open
from command import train_model
from common import HERE, SETS, Results, alone, mean_and_std, model_folder, print_table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from torch import Tensor

from tercet import SentenceTransformer
from tercet.decisions import LabelClassifier
from tercet.decisions.calibration import error_by_chance, reliability
from tercet.decisions.thresholds import choose_threshold
from tercet.evaluation.classifiers import nearest_neighbours
from tercet.heads import append_head, train_head

PARTS = ("trained", "frozen", "promise", "open", "new")
PRECISIONS = (0.90, 0.95, 0.98)
# The values of C in scikit-learn's logistic regression, on embeddings of length 1.
VALUES_OF_C = [1.0, 3.0, 10.0, 30.0, 100.0]
OPEN_SETS = ("clinc150", "banking77")
NUM_NEW_LABELS, NEW_SENTENCES = 20, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--models", type=Path, help="a folder that keeps the trained models")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--open-epochs", type=float, default=0.0, help="train the encoder in the part open")
    parser.add_argument("--semantic-router", type=Path, help="the Python of an environment that has semantic-router")
    parser.add_argument("--output", type=Path, default=Path("classify.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results, sets = Results(arguments.output), [name for name in arguments.sets if name in SETS]
    data = cache(lambda name: Data(arguments.data, name))
    if "trained" in arguments.parts:
        found = [results.get(f"trained {name}", lambda n=name: trained(data(n), arguments.models)) for name in sets]
        print_accuracy(sets, found, "After the default training run")
        print_promises(sets, found)
    if "frozen" in arguments.parts:
        found = [results.get(f"frozen {name}", lambda n=name: frozen(data(n))) for name in sets]
        print_accuracy(sets, found, "On the untouched encoder")
    if "promise" in arguments.parts:
        for name in sets:
            runs = [
                results.get(f"promise {name} {seed}", lambda n=name, s=seed: promises(data(n), s))
                for seed in range(arguments.seeds)
            ]
            print_kept(name, runs)
    if "open" in arguments.parts:
        epochs = arguments.open_epochs
        for name in (name for name in OPEN_SETS if name in sets):
            runs = [
                results.get(
                    f"open {name} {seed}" + (f", {epochs:g} epochs" if epochs else ""),
                    lambda n=name, s=seed: open_labels(data(n), s, epochs),
                )
                for seed in range(arguments.seeds)
            ]
            if arguments.semantic_router and not epochs:
                options = {
                    "peer": "semantic-router", "data": str(arguments.data), "set": name, "seeds": arguments.seeds,
                    "model": model_folder("bundled"), "threads": arguments.threads,
                }  # fmt: skip
                peer = results.get(
                    f"open {name} semantic-router",
                    lambda o=options: alone(HERE / "peers.py", o, arguments.semantic_router),
                )
                runs = [{**run, **more} for run, more in zip(runs, peer["runs"], strict=True)]
            print_open(name, runs, epochs)
    if "new" in arguments.parts:
        print_new(results.get("new clinc150", lambda: new_labels(data("clinc150"))))


def trained(data: Data, models: Path | None) -> dict[str, Any]:
    """Train as `tercet train` does by default, and classify the test file."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (models or Path(temporary)) / f"MiniLM-{data.name}-all-auto-seed-0"
        if not folder.exists():
            options = {"data": str(data.folder), "set": data.name, "seed": 0, "per_label": None}
            options |= {"model": model_folder("bundled"), "threads": torch.get_num_threads()}
            train_model(options, (), folder)
        model = SentenceTransformer(str(folder), device="cpu")
        chosen = json.loads((folder / "metrics.json").read_text("utf-8"))["choices"]
    held_out = np.array(chosen["validation"]["rows"])
    kept = np.setdiff1d(np.arange(len(data.train)), held_out)
    texts = [row["text"] for row in data.train]
    start = time.perf_counter()
    classifier = LabelClassifier(model).fit(
        [texts[row] for row in kept],
        data.y[kept],
        calibration_data=([texts[row] for row in held_out], data.y[held_out]),
    )
    seconds = time.perf_counter() - start
    embed = lambda rows: model.encode(rows, convert_to_tensor=True, normalize_embeddings=True)  # noqa: E731
    x, q = embed([texts[row] for row in kept]), embed([row["text"] for row in data.test])
    found = {**_scores(classifier, data, [row["text"] for row in data.test]), "seconds": seconds}
    found["others"] = {
        "logistic regression": accuracy_of(LogisticRegression(max_iter=1000).fit(x, data.y[kept]).predict(q), data.t),
        "5 nearest neighbours": accuracy_of(_neighbours(x, data.y[kept], q), data.t),
    }
    if unknown := data.out_of_scope():
        known, other = classifier.decision([row["text"] for row in data.test]), classifier.decision(unknown)
        truth = [0] * len(known) + [1] * len(other)
        found["auroc"] = {
            "novelty": roc_auc_score(truth, np.r_[known.novelty, other.novelty]),
            "confidence": roc_auc_score(truth, -np.r_[known.confidence, other.confidence]),
        }
    return found


def frozen(data: Data) -> dict[str, Any]:
    """Classify the test file on the embeddings of the untouched encoder."""
    start = time.perf_counter()
    classifier = LabelClassifier(unseen_rows=True).fit(data.x, data.y)
    seconds = time.perf_counter() - start
    search = GridSearchCV(LogisticRegression(max_iter=200), {"C": VALUES_OF_C}, cv=3).fit(data.x, data.y)
    found = {**_scores(classifier, data, data.q), "seconds": seconds, "best C": search.best_params_["C"]}
    found["others"] = {
        "logistic regression": accuracy_of(search.predict(data.q), data.t),
        "5 nearest neighbours": accuracy_of(_neighbours(data.x, data.y, data.q), data.t),
    }
    return found


def _scores(classifier: LabelClassifier, data: Data, queries: Any) -> dict[str, Any]:
    decisions = classifier.decision(queries)
    right = decisions.predicted == data.t
    promises = {}
    for wanted in PRECISIONS:
        promise = classifier.promise(min_precision=wanted)
        answered = decisions.confidence >= (2 if promise.threshold is None else promise.threshold)
        promises[str(wanted)] = {
            "promise": promise.describe(),
            "coverage": float(answered.mean()),
            "precision": accuracy_of(decisions.predicted[answered], data.t[answered]),
        }
    return {
        "accuracy": float(right.mean()),
        "members": classifier.members_,
        "ece": reliability(decisions.confidence, right).error,
        "ece by chance": error_by_chance(decisions.confidence),
        "promises": promises,
    }


def promises(data: Data, seed: int) -> dict[str, Any]:
    """Train a head on 60 % of the training file, calibrate on 10 %, and judge on 30 %; the test file beside it."""
    order = np.random.default_rng(seed).permutation(len(data.y))
    parts = np.split(order, [round(0.6 * len(order)), round(0.7 * len(order))])
    train, calibration, judge = parts
    model = SentenceTransformer(model_folder("bundled"), device="cpu")
    append_head(model, train_head(data.x[train], data.y[train]))
    classifier = LabelClassifier(model).fit(
        embedded_with_head(model, data.x[train]),
        data.y[train],
        calibration_data=(embedded_with_head(model, data.x[calibration]), data.y[calibration]),
    )
    spaces = {"judged": (data.x[judge], data.y[judge]), "test": (data.q, data.t)}
    plain = _plain_softmax(model, data, train, calibration)
    found: dict[str, Any] = {}
    for wanted in PRECISIONS:
        entry: dict[str, Any] = {"threshold": classifier.promise(min_precision=wanted).threshold}
        for where, (x, labels) in spaces.items():
            decisions = classifier.decision(embedded_with_head(model, x), min_precision=wanted)
            answered = decisions.accepted
            entry[where] = [float(answered.mean()), accuracy_of(decisions.predicted[answered], labels[answered])]
        entry["plain"] = plain(wanted, *spaces["judged"])
        found[str(wanted)] = entry
    return found


def _plain_softmax(model: SentenceTransformer, data: Data, train: np.ndarray, calibration: np.ndarray) -> Any:
    """Return a function that answers by the softmax of scikit-learn's logistic regression, with the same bound."""
    head = model[-2].linear.weight.detach()
    embed = lambda x: torch.nn.functional.normalize(x @ head.T)  # noqa: E731
    regression = LogisticRegression(max_iter=1000).fit(embed(data.x[train]), data.y[train])
    confidence = regression.predict_proba(embed(data.x[calibration])).max(axis=1)
    right = regression.predict(embed(data.x[calibration])) == data.y[calibration]

    def answer(wanted: float, x: Tensor, labels: np.ndarray) -> list[float]:
        threshold = choose_threshold(confidence, right, wanted)
        answered = regression.predict_proba(embed(x)).max(axis=1) >= (2 if threshold is None else threshold)
        return [float(answered.mean()), accuracy_of(regression.predict(embed(x))[answered], labels[answered])]

    return answer


def new_labels(data: Data) -> list[dict[str, Any]]:
    """Add one label at a time with ten sentences, and fit everything again for comparison."""
    labels, found = np.unique(data.y), []
    for label in np.random.default_rng(0).permutation(labels)[:NUM_NEW_LABELS]:
        old, new = np.flatnonzero(data.y != label), np.flatnonzero(data.y == label)[:NEW_SENTENCES]
        both = np.r_[old, new]
        classifier = LabelClassifier(unseen_rows=True).fit(data.x[old], data.y[old])
        others = data.t != label
        before = accuracy_of(classifier.predict(data.q[others]), data.t[others])
        start = time.perf_counter()
        classifier.partial_fit(data.x[new], data.y[new])
        seconds = time.perf_counter() - start
        again = LabelClassifier(unseen_rows=True).fit(data.x[both], data.y[both]).predict(data.q)
        predicted = classifier.predict(data.q)
        found.append({
            "label": str(label), "seconds": seconds, "recall": accuracy_of(predicted[~others], data.t[~others]),
            "recall of a full fit": accuracy_of(again[~others], data.t[~others]),
            "others before": before, "others": accuracy_of(predicted[others], data.t[others]),
        })  # fmt: skip
    return found


def _neighbours(x: Tensor, y: np.ndarray, q: Tensor) -> np.ndarray:
    names, ids = np.unique(y, return_inverse=True)
    return names[nearest_neighbours(x, torch.from_numpy(ids), q).numpy()]


def print_accuracy(sets: Iterable[str], found: Iterable[dict[str, Any]], title: str) -> None:
    rows = []
    for name, result in zip(sets, found, strict=True):
        others = result["others"]
        auroc = f"{result['auroc']['novelty']:.3f}" if "auroc" in result else "–"
        rows.append([
            name, f"{100 * result['accuracy']:.1f}", *(f"{100 * value:.1f}" for value in others.values()),
            f"{result['ece']:.3f}", f"{result['ece by chance']:.3f}" if "ece by chance" in result else "–",
            " + ".join(result["members"]), f"{result['seconds']:.0f}", auroc,
        ])  # fmt: skip
    header = ["data", "LabelClassifier, %", "logistic regression", "5 neighbours", "ECE", "ECE by chance", "chosen",
              "seconds", "AUROC"]  # fmt: skip
    print_table(header, rows, title)


def print_promises(sets: Iterable[str], found: Iterable[dict[str, Any]]) -> None:
    rows = [
        [name, wanted, entry["promise"], f"{entry['coverage']:.1%}", f"{entry['precision']:.1%}"]
        for name, result in zip(sets, found, strict=True)
        for wanted, entry in result["promises"].items()
    ]
    print_table(["data", "asked for", "promise", "answered of the test file", "precision there"], rows, "Promises")


def print_kept(name: str, runs: list[dict[str, Any]]) -> None:
    rows = []
    for wanted in map(str, PRECISIONS):
        made = [run[wanted] for run in runs if run[wanted]["threshold"] is not None]
        kept = sum(run["judged"][1] >= float(wanted) for run in made)
        rows.append([
            name, wanted, f"{kept} of {len(made)}", mean_and_std((run[wanted]["judged"][0] for run in runs), 1, 100),
            mean_and_std((run[wanted]["plain"][0] for run in runs), 1, 100),
            mean_and_std((run["test"][1] for run in made), 1, 100),
        ])  # fmt: skip
    header = [
        "data",
        "promised",
        "kept",
        "coverage, %",
        "coverage of plain softmax, %",
        "precision on the test file, %",
    ]
    print_table(header, rows, "Random splits of the training file")


def print_new(found: list[dict[str, Any]]) -> None:
    rows = [
        [run["label"], f"{run['seconds']:.2f}", f"{run['recall']:.3f}", f"{run['recall of a full fit']:.3f}",
         f"{100 * (run['others'] - run['others before']):+.2f}"]
        for run in found
    ]  # fmt: skip
    means = [np.mean([run[key] for run in found]) for key in ("seconds", "recall", "recall of a full fit")]
    rows.append([
        "mean", *(f"{mean:.3f}" for mean in means),
        f"{100 * np.mean([run['others'] - run['others before'] for run in found]):+.2f}",
    ])  # fmt: skip
    header = ["new label", "seconds", "recall", "recall of a full fit", "accuracy of the others, points"]
    print_table(header, rows, "A label with ten sentences is added")


if __name__ == "__main__":
    main()
