"""A peer in its own process: an epoch of sentence-transformers, SetFit with its defaults, or semantic-router.

Other benchmarks start it with `common.alone`. The seconds count from `options["start"]`, the time before the process
was started, so they include the imports, the model and the tokenization; the evaluation is not included.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import few_rows, open_scores, read_rows, split_open, train_and_test

# semantic-router as it is, which rejects nothing, and calibrated on held-out rows as its README shows.
ROUTERS = ("semantic-router", "semantic-router, calibrated, below 0.5")


def sentence_transformers(options: dict[str, Any]) -> dict[str, Any]:
    """Train one epoch: batches of 64 grouped by label, BatchSemiHardTripletLoss, margin 0.3, and its default rate."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer import losses

    train, test = train_and_test(Path(options["data"]), options["set"])
    model = SentenceTransformer(options["model"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = Arguments(
            folder, num_train_epochs=1, per_device_train_batch_size=64, warmup_steps=0.1, seed=options["seed"],
            batch_sampler=BatchSamplers.GROUP_BY_LABEL, report_to="none", save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"sentence": train[0], "label": train[1]}),
            loss=losses.BatchSemiHardTripletLoss(model, margin=0.3),
        ).train()
    seconds = time.time() - options["start"]
    if not options.get("measure"):
        return {"seconds": seconds}
    from measured import scores

    reference, queries = (
        model.encode(texts, convert_to_tensor=True, normalize_embeddings=True) for texts in (train[0], test[0])
    )
    return {"seconds": seconds, **scores(reference, train[1], queries, test[1])}


def setfit(options: dict[str, Any]) -> dict[str, Any]:
    """Train SetFit on few sentences of each label, with its own defaults. Return its accuracy on the test file."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    (texts, labels), test = train_and_test(Path(options["data"]), options["set"])
    rows = few_rows(labels, options["per_label"], options["seed"])
    data = Dataset.from_dict({"text": [texts[row] for row in rows], "label": [labels[row] for row in rows]})
    model = SetFitModel.from_pretrained(options["model"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=options["seed"],
            report_to="none",
            save_strategy="no",
            max_steps=options["max_steps"],
        )
        Trainer(model=model, args=arguments, train_dataset=data).train()
    seconds = time.time() - options["start"]
    predicted = np.asarray(model.predict(test[0]))
    return {"seconds": seconds, "accuracy": float((predicted == np.asarray(test[1])).mean())}


def semantic_router(options: dict[str, Any]) -> dict[str, Any]:
    """Route the test sentences to three quarters of the labels. Return the scores of each seed for `ROUTERS`."""
    from semantic_router import Route
    from semantic_router.encoders import DenseEncoder
    from semantic_router.routers import IndexedRouter

    from tercet import SentenceTransformer

    folder, name = Path(options["data"]), options["set"]
    train, test = (read_rows(folder, name, part) for part in ("train", "test"))
    if (folder / name / "oos_test.csv").exists():
        test += read_rows(folder, name, "oos_test")
    texts = list({row["text"]: None for row in [*train, *test]})
    vectors = SentenceTransformer(options["model"], device="cpu").encode(texts, normalize_embeddings=True)
    vector_of = dict(zip(texts, vectors.tolist(), strict=True))

    class Encoded(DenseEncoder):
        """The vectors that were computed once."""

        def __call__(self, docs: list[str]) -> list[list[float]]:
            return [vector_of[text] for text in docs]

    labels, queries = np.array([row["label"] for row in train]), [row["text"] for row in test]
    runs = []
    for seed in range(options["seeds"]):
        known, calibration, rows = split_open(labels, seed)
        routes = [
            Route(name=label, utterances=[train[row]["text"] for row in rows if labels[row] == label])
            for label in known
        ]
        truth = np.array([row["label"] if row["label"] in known else "unknown" for row in test])
        router = IndexedRouter(Encoded(name="encoded"), routes)
        as_it_is = [router(query).name or "unknown" for query in queries]
        router.fit([train[row]["text"] for row in calibration], labels[calibration].tolist())
        router.confidence_threshold = 0.5
        calibrated = [router(query).name or "unknown" for query in queries]
        answers = (np.array(as_it_is), np.array(calibrated))
        runs.append({kind: open_scores(truth, found) for kind, found in zip(ROUTERS, answers, strict=True)})
    return {"runs": runs}


def one(options: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(options["threads"])
    peers = {"sentence-transformers": sentence_transformers, "setfit": setfit, "semantic-router": semantic_router}
    return peers[options["peer"]](options)


if __name__ == "__main__":
    print(json.dumps(one(json.loads(sys.argv[sys.argv.index("--one") + 1]))))
