"""A loss on the leading dimensions of the embeddings, for embeddings that are truncated later.

Source: Kusupati et al. 2022, "Matryoshka representation learning".
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tercet.errors import EmbeddingError
from tercet.losses._engine.stats import LossStats
from tercet.losses.functional.labels import Labels
from tercet.losses.modules import BaseLoss
from tercet.losses.modules.base import Features


class MatryoshkaLoss(nn.Module):
    """The weighted sum of a loss over several numbers of leading dimensions, each scaled to length 1.

    The values are those of sentence-transformers. The model runs once for all dimensions, also with cached gradients.

    Args:
        model: as in `BatchLoss`; None if you call only `compute_loss_from_embeddings`.
        loss: a loss of Tercet.
        matryoshka_dims: the numbers of dimensions.
        matryoshka_weights: the weight of each number of dimensions; by default 1.
        n_dims_per_step: how many of the numbers each step uses, drawn with Python's `random`; -1 uses all.

    Raises:
        EmbeddingError: `loss` is no loss of Tercet, there are no dimensions, one is below 1 or above that of the model,
            or there is not one weight for each.

    Example:
        >>> import torch
        >>> from tercet.losses import BatchAllTripletLoss, MatryoshkaLoss
        >>> loss = MatryoshkaLoss(None, BatchAllTripletLoss(margin=0.5), matryoshka_dims=[4, 2])
        >>> loss.compute_loss_from_embeddings(torch.eye(4), [0, 0, 1, 1]).shape
        torch.Size([])
    """

    def __init__(
        self,
        model: nn.Module | None,
        loss: nn.Module,
        matryoshka_dims: Sequence[int],
        matryoshka_weights: Sequence[float] | None = None,
        n_dims_per_step: int = -1,
    ) -> None:
        super().__init__()
        if not isinstance(loss, BaseLoss):
            raise EmbeddingError(f"MatryoshkaLoss needs a loss of Tercet, got {type(loss).__name__}")
        weights = [1.0] * len(matryoshka_dims) if matryoshka_weights is None else list(matryoshka_weights)
        if not matryoshka_dims or min(matryoshka_dims) < 1 or len(weights) != len(matryoshka_dims):
            raise EmbeddingError(
                f"matryoshka_dims must be numbers of at least 1, with one weight each; got {matryoshka_dims} and "
                f"{matryoshka_weights}"
            )
        dimension = getattr(model, "get_sentence_embedding_dimension", lambda: None)()
        if dimension is not None and max(matryoshka_dims) > dimension:
            raise EmbeddingError(
                f"matryoshka_dims has {max(matryoshka_dims)}, but the model has {dimension} dimensions"
            )
        self.model, self.loss, self.n_dims_per_step = model, loss, n_dims_per_step
        pairs = sorted(zip(matryoshka_dims, weights, strict=True), reverse=True)
        self.matryoshka_dims, self.matryoshka_weights = tuple(zip(*pairs, strict=True))
        self.collect_stats = False
        self.stats: LossStats | None = None

    @property
    def takes_triplets(self) -> bool:
        """True if the inner loss takes given triplets."""
        return self.loss.takes_triplets

    def forward(self, sentence_features: Iterable[Features], labels: Labels | None = None) -> Tensor:
        """Embed the columns of tokenized sentences and return the scalar loss.

        Raises:
            EmbeddingError: the loss has no model, or the inner loss raises it.
        """
        if self.model is None:
            raise EmbeddingError("this loss has no model; create it with one, or call compute_loss_from_embeddings")
        embeddings = [self.model(features)["sentence_embedding"] for features in sentence_features]
        return self.compute_loss_from_embeddings(embeddings, labels)

    def compute_loss_from_embeddings(self, embeddings: Any, labels: Labels | None = None) -> Tensor:
        """Return the weighted sum of the inner loss.

        Args:
            embeddings: `(batch, dim)`, or a list of the columns that the inner loss takes, each of this shape.
            labels: as for the inner loss.

        Raises:
            EmbeddingError: an embedding has fewer dimensions than `matryoshka_dims`, or the inner loss raises it.
        """
        columns = [embeddings] if isinstance(embeddings, Tensor) else list(embeddings)
        largest, size = self.matryoshka_dims[0], columns[0].shape[-1]
        if size < largest:
            raise EmbeddingError(f"matryoshka_dims has {largest}, but the embeddings have {size} dimensions")
        chosen = list(range(len(self.matryoshka_dims)))
        if 0 < self.n_dims_per_step < len(chosen):
            chosen = sorted(random.sample(chosen, self.n_dims_per_step))
        compute: Any = self.loss.compute_loss_from_embeddings
        total: Any = 0.0
        for index in chosen:
            dimension = self.matryoshka_dims[index]
            # The statistics are those of the first, largest number of dimensions.
            self.loss.collect_stats = self.collect_stats and index == chosen[0]
            shrunk = [F.normalize(column[..., :dimension], dim=-1) for column in columns]
            total = total + self.matryoshka_weights[index] * compute(shrunk, labels)
            if index == chosen[0]:
                self.stats = self.loss.stats
        result: Tensor = total
        return result

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the loss, and those of the inner loss, for the model card."""
        return {
            "loss": type(self.loss).__name__,
            **self.loss.get_config_dict(),
            "matryoshka_dims": list(self.matryoshka_dims),
            "matryoshka_weights": list(self.matryoshka_weights),
            "n_dims_per_step": self.n_dims_per_step,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.loss!r}, matryoshka_dims={list(self.matryoshka_dims)})"
