"""The sentences of a data set with their embeddings by the untouched encoder, for the benchmarks of decisions."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from common import model_folder, read_rows
from torch import Tensor

from tercet import SentenceTransformer
from tercet.decisions.inputs import Embedded, embedded
from tercet.decisions.spaces import with_head


class Data:
    """The sentences of a set, and their embeddings by the untouched encoder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.train, self.test = read_rows(folder, name, "train"), read_rows(folder, name, "test")
        self.x, self.q = (untouched(tuple(row["text"] for row in part)) for part in (self.train, self.test))
        self.y, self.t = (np.array([row["label"] for row in part]) for part in (self.train, self.test))

    def out_of_scope(self) -> list[str]:
        """The sentences that belong to no label; none if the set has no such file."""
        if not (self.folder / self.name / "oos_test.csv").exists():
            return []
        return [row["text"] for row in read_rows(self.folder, self.name, "oos_test")]


@cache
def encoder() -> SentenceTransformer:
    return SentenceTransformer(model_folder("bundled"), device="cpu")


@cache
def untouched(texts: tuple[str, ...]) -> Tensor:
    if not texts:
        return torch.empty(0, encoder().get_sentence_embedding_dimension())
    return encoder().encode(list(texts), convert_to_tensor=True, normalize_embeddings=True)


def embedded_with_head(model: SentenceTransformer, x: Tensor) -> Embedded:
    """Return rows as `LabelClassifier(model)` embeds sentences, from the embeddings before the head."""
    return embedded(with_head(x, model[-2].linear.weight))


def accuracy_of(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float((predicted == truth).mean()) if len(truth) else float("nan")
