"""Train a head or an encoder for a fixed number of steps with any batch loss, and measure MAP@R on the way."""

import tempfile
import time
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import model_folder
from datasets import Dataset
from torch.nn.functional import normalize
from transformers import TrainerCallback, set_seed

from tercet import SentenceTransformer
from tercet.catalogue import LOSSES
from tercet.data import GroupByLabelSampler
from tercet.errors import DataError
from tercet.evaluation import label_metrics
from tercet.losses import functional, miners
from tercet.runs import RunSettings
from tercet.runs.build import build_trainer

MARGIN = 0.3
_HEAD_BATCH, _HEAD_RATE = 128, 3e-3
_MINERS = {
    "batch-all": miners.all_triplets,
    "batch-hard": miners.hard,
    "batch-semi-hard": miners.semi_hard,
    "batch-hard-soft-margin": lambda _: miners.hard_soft_margin(),
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """The settings of a training. MAP@R is measured after each of `steps`; the last one ends the training.

    Attributes:
        loss: the name of a batch loss.
        distance: the name of the distance of the loss and of the ranking.
        normalize: whether the new embeddings have length 1.
        steps: the numbers of steps after which MAP@R is measured, ascending.
        seed: the seed.
        max_measured: the maximum number of training sentences that MAP@R is measured on.
    """

    loss: str
    distance: str = "euclidean"
    normalize: bool = True
    steps: tuple[int, ...]
    seed: int = 0
    max_measured: int = 1000

    def result(self, reference: torch.Tensor, labels: np.ndarray, queries: torch.Tensor, query_labels: np.ndarray):
        """Return MAP@R of the queries against the reference, and of a part of the reference against the rest."""
        order = np.random.default_rng(0).permutation(len(labels))
        split = min(self.max_measured, len(order) // 5)
        part, rest = order[:split], order[split:]
        return {
            "map@r": self.map_at_r(reference, labels, queries, query_labels),
            "map@r_training": self.map_at_r(reference[rest], labels[rest], reference[part], labels[part]),
        }

    def map_at_r(self, reference, labels, queries, query_labels) -> float:
        """Return MAP@R by the distance of the loss."""
        metrics = label_metrics(
            queries, query_labels, reference_embeddings=reference, reference_labels=labels, distance=self.distance
        )
        return metrics["map@r"]


def train_head(
    training: Training,
    embeddings: torch.Tensor,
    given: np.ndarray,
    correct: np.ndarray,
    queries: torch.Tensor,
    query_labels: np.ndarray,
) -> dict[str, Any]:
    """Train a linear layer, from the identity, on embeddings `(n, dim)`. Return MAP@R and its curve.

    Args:
        training: the settings.
        embeddings: the training rows.
        given: the labels to train with.
        correct: the labels to measure with.
        queries: the held-out rows.
        query_labels: their labels.
    """

    def head(rows: torch.Tensor) -> torch.Tensor:
        return normalize(rows @ weight.T, dim=1) if training.normalize else rows @ weight.T

    weight = torch.eye(embeddings.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=_HEAD_RATE)
    total, warmup = training.steps[-1], max(1, training.steps[-1] // 10)
    miner, targets = _MINERS[training.loss](MARGIN), torch.from_numpy(given)
    curve, seconds = {}, 0.0
    for step, batch in enumerate(islice(_batches(given, training.seed), total), 1):
        start = time.perf_counter()
        optimizer.param_groups[0]["lr"] = _HEAD_RATE * min(step / warmup, (total - step + 1) / total)
        loss, _ = functional.batch_loss_with_stats(head(embeddings[batch]), targets[batch], miner, training.distance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds += time.perf_counter() - start
        if step in training.steps:
            with torch.no_grad():
                new, held_out = head(embeddings), head(queries)
            curve[str(step)] = training.map_at_r(new, correct, held_out, query_labels), seconds
    return {**training.result(new, correct, held_out, query_labels), "curve": curve}


def _batches(labels: np.ndarray, seed: int) -> Any:
    sampler = GroupByLabelSampler(labels, _HEAD_BATCH, 4, seed)

    def epoch(number: int) -> torch.Tensor:
        sampler.set_epoch(number)
        return torch.from_numpy(sampler.batches())

    return chain.from_iterable(map(epoch, count()))


def train_encoder(
    training: Training, texts: list[str], given: np.ndarray, correct: np.ndarray, queries: list[str], query_labels
) -> dict[str, Any]:
    """Train the bundled encoder with the settings of `tercet train`. Arguments and result: as for `train_head`."""
    set_seed(training.seed)
    model = SentenceTransformer(model_folder("bundled"), device="cpu")
    if not training.normalize:
        model = SentenceTransformer(modules=list(model.children())[:2], device="cpu")
    curve: dict[str, tuple[float, float]] = {}
    embeddings: list[torch.Tensor] = []

    class Measure(TrainerCallback):
        def __init__(self) -> None:
            self.seconds, self.start = 0.0, time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step in training.steps:
                self.seconds += time.perf_counter() - self.start
                embeddings[:] = (model.encode(part, convert_to_tensor=True) for part in (texts, queries))
                curve[str(state.global_step)] = (
                    training.map_at_r(embeddings[0], correct, embeddings[1], query_labels),
                    self.seconds,
                )
                model.train()
                self.start = time.perf_counter()

    margin = MARGIN if LOSSES.find(training.loss, DataError).has_margin else None
    settings = RunSettings(
        train="encoder", loss=training.loss, margin=margin, distance=training.distance, seed=training.seed,
        max_steps=training.steps[-1],
    )  # fmt: skip
    data = Dataset.from_dict({"sentence": texts, "label": given.tolist()})
    with tempfile.TemporaryDirectory() as folder:
        build_trainer(model, data, settings, Path(folder), [Measure()], save_strategy="no").train()
    return {**training.result(embeddings[0], correct, embeddings[1], query_labels), "curve": curve}
