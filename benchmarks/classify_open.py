"""Unknown labels, for classify.py: three quarters of the labels are known, and what belongs to none is to be rejected.

The embeddings are those of the untouched encoder with a linear head, or of an encoder that `tercet train` trains. Both,
and the classifier, see sentences of the known labels alone.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classify_data import Data, embedded_with_head, untouched
from command import train_on, write_rows
from common import mean_and_std, model_folder, open_scores, print_table, split_open
from peers import ROUTERS
from sklearn.metrics import roc_auc_score

from tercet import SentenceTransformer
from tercet.decisions import LabelClassifier
from tercet.heads import append_head, train_head

# Zhang et al. 2021 (ADB, bert-base), Table 2, 75 % of the labels known: F1 of unknown, F1 of all.
ADB = {"clinc150": (84.8, 89.0), "banking77": (67.3, 86.1)}


def open_labels(data: Data, seed: int, epochs: float = 0.0) -> dict[str, Any]:
    """Return F1 and accuracy with `max_novelty="auto"` and with a limit of the confidence, and the AUROC of both.

    Args:
        data: the data set.
        seed: the seed that draws the known labels.
        epochs: for how many epochs `tercet train` trains the encoder with its head; 0 trains the head alone.
    """
    known, calibration, train = split_open(data.y, seed)
    unknown = data.out_of_scope()
    if epochs:
        model = _trained_encoder(data, train, calibration, seed, epochs)
        texts = np.array([row["text"] for row in data.train])
        gallery, held_out = texts[train].tolist(), texts[calibration].tolist()
        queries: Any = [row["text"] for row in data.test] + unknown
    else:
        model = SentenceTransformer(model_folder("bundled"), device="cpu")
        append_head(model, train_head(data.x[train], data.y[train]))
        gallery, held_out = (embedded_with_head(model, data.x[rows]) for rows in (train, calibration))
        queries = embedded_with_head(model, torch.cat([data.q, untouched(tuple(unknown))]))
    classifier = LabelClassifier(model).fit(gallery, data.y[train], calibration_data=(held_out, data.y[calibration]))
    truth = np.r_[np.where(np.isin(data.t, known), data.t, "unknown"), ["unknown"] * len(unknown)]
    decisions = classifier.decision(queries, max_novelty="auto")
    answers = np.array(["unknown" if label is None else label for label in decisions.labels])
    softmax = np.where(decisions.confidence < 0.5, "unknown", decisions.predicted)
    is_unknown = truth == "unknown"
    return {
        **{name: open_scores(truth, found) for name, found in (("novelty", answers), ("softmax below 0.5", softmax))},
        "auroc": {
            "novelty": roc_auc_score(is_unknown, decisions.novelty),
            "confidence": roc_auc_score(is_unknown, -decisions.confidence),
        },
    }


def _trained_encoder(
    data: Data, train: np.ndarray, calibration: np.ndarray, seed: int, epochs: float
) -> SentenceTransformer:
    """Return the model that `tercet train` writes for some of the training rows. The calibration rows evaluate it."""
    options = {"model": model_folder("bundled"), "seed": seed, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        eval_file, output = Path(folder, "calibration.csv"), Path(folder, "model")
        write_rows(eval_file, [data.train[row] for row in calibration])
        train_on(
            [data.train[row] for row in train], eval_file, options, ["--epochs", str(epochs), "--no-classifier"], output
        )
        return SentenceTransformer(str(output), device="cpu")


def print_open(name: str, runs: Sequence[dict[str, Any]], epochs: float = 0.0) -> None:
    """Print the means over the draws, with the published values."""
    rows = [
        [name, method, *(mean_and_std((run[method][key] for run in runs), 1) for key in ("unknown", "all", "accuracy"))]
        for method in ("novelty", "softmax below 0.5", *ROUTERS)
        if method in runs[0]
    ]
    rows.append([name, "ADB, bert-base (published)", *map(str, ADB[name]), "–"])
    trained = f"the encoder trained for {epochs:g} epochs" if epochs else "a head on the untouched encoder"
    title = f"75 % of the labels known, {trained}, {len(runs)} draws"
    print_table(["data", "unknown if", "F1 of unknown", "F1 of all", "accuracy, %"], rows, title)
