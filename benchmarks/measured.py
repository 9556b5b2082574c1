"""Measure embeddings of a training and a test file: MAP@R, and the accuracy of classifiers chosen on training rows."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import few_rows, read_rows, train_and_test
from torch import Tensor

from tercet.data.splits.folds import deal_folds
from tercet.evaluation.classifiers import class_means, logistic_regression, nearest_neighbours
from tercet.evaluation.retrieval import rank_queries

# To choose from, in this order if they are equally good: means are the smaller model.
_CLASSIFIERS = {"class means": class_means, "nearest neighbours": nearest_neighbours}
_FOLDS = 5


def scores(
    reference: Tensor, labels: Any, queries: Tensor, query_labels: Any, *, logistic: bool = False
) -> dict[str, Any]:
    """Return MAP@R, the accuracy, the chosen classifier, and the values of each query for paired intervals.

    Args:
        reference: the embeddings of the training rows.
        labels: their label ids.
        queries: the embeddings of the test rows.
        query_labels: their label ids.
        logistic: measure a logistic regression too.
    """
    ids, targets = torch.as_tensor(labels), torch.as_tensor(query_labels)
    chosen = choose_classifier(reference, ids)
    right = {name: classify(reference, ids, queries) == targets for name, classify in _CLASSIFIERS.items()}
    if logistic:
        right["logistic regression"] = logistic_regression(reference, ids, queries) == targets
    ranked = rank_queries(queries, targets, reference_embeddings=reference, reference_labels=ids)
    precision = ranked.average_precision
    return {
        "map@r": float(precision.mean()),
        "classifier": chosen,
        "accuracy": float(right[chosen].double().mean()),
        "accuracies": {name: float(values.double().mean()) for name, values in right.items()},
        "rows": {name: "".join(map(str, values.int().tolist())) for name, values in right.items()},
        "average_precision": [round(value, 4) for value in precision.tolist()],
    }


def choose_classifier(reference: Tensor, labels: Tensor) -> str:
    """Return the classifier with the highest accuracy in cross-validation over the training rows."""
    folds = torch.from_numpy(deal_folds([str(row) for row in range(len(labels))], labels.numpy(), _FOLDS))
    right = dict.fromkeys(_CLASSIFIERS, 0)
    for fold in range(_FOLDS):
        inside, outside = folds == fold, folds != fold
        for name, classify in _CLASSIFIERS.items():
            found = classify(reference[outside], labels[outside], reference[inside])
            right[name] += int((found == labels[inside]).sum())
    return max(right, key=lambda name: right[name])


def one(options: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a model folder on a data set, with all or few training rows."""
    from tercet import SentenceTransformer

    torch.set_num_threads(options["threads"])
    (texts, labels), test = train_and_test(Path(options["data"]), options["set"])
    rows = few_rows(labels, options["per_label"], options["seed"])
    model = SentenceTransformer(options["model"])
    reference, queries = (
        model.encode(part, convert_to_tensor=True, normalize_embeddings=True).float().cpu()
        for part in ([texts[row] for row in rows], test[0])
    )
    ids = np.asarray(labels)[rows]
    found = scores(reference, ids, queries, test[1], logistic=options["logistic"])
    if options.get("label_classifier"):
        found["accuracies"]["LabelClassifier"] = _label_classifier(model, rows, options)
    return (
        found if not options.get("head") else {"before": found, **_with_head(reference, ids, queries, test[1], options)}
    )


def _label_classifier(model: Any, rows: np.ndarray, options: dict[str, Any]) -> float:
    """Return the accuracy of the classifier that `tercet train` saved; of one that is fitted to the rows if none is."""
    from tercet import LabelClassifier

    train, test = (read_rows(Path(options["data"]), options["set"], part) for part in ("train", "test"))
    if Path(options["model"], "label_classifier.json").exists():
        classifier = LabelClassifier.load(options["model"], model)
    else:
        kept = [train[row] for row in rows]
        classifier = LabelClassifier(model).fit([row["text"] for row in kept], [row["label"] for row in kept])
    return float(classifier.score([row["text"] for row in test], [row["label"] for row in test]))


def _with_head(
    reference: Tensor, ids: np.ndarray, queries: Tensor, targets: Any, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the scores of the same vectors after a head that cross-validation chooses, and its seconds."""
    from tercet.heads import choose_head

    start = time.perf_counter()
    choice = choose_head(reference, ids, seed=options["seed"])
    seconds = time.perf_counter() - start
    if choice.head is not None:
        reference, queries = choice.head(reference), choice.head(queries)
    return {"after": scores(reference, ids, queries, targets), "head_seconds": seconds, "reason": choice.reason}


if __name__ == "__main__":
    print(json.dumps(one(json.loads(sys.argv[sys.argv.index("--one") + 1]))))
