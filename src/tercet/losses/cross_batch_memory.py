"""Embeddings of past batches, as candidates of the present one: a large batch's negatives at a small one's cost.

Wang et al. 2020, "Cross-batch memory for embedding learning". Embeddings drift little from step to step once
training is under way, so those of the last batches stand for sentences that the batch does not hold. They get no
gradient.
"""

import torch
from torch import Tensor, nn


class CrossBatchMemory(nn.Module):
    """The last `size` embeddings with their labels; the oldest give way. Its state is saved as any module's.

    Args:
        size: how many embeddings it holds.
        dim: their dimension.
    """

    embeddings: Tensor
    labels: Tensor
    added: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("added", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return min(int(self.added), len(self.labels))

    def contents(self) -> tuple[Tensor, Tensor]:
        """The embeddings `(n, dim)` and labels `(n,)` that are in it."""
        return self.embeddings[: len(self)], self.labels[: len(self)]

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Put in a batch `(batch, dim)`, `(batch,)`; of a batch larger than the memory the last rows."""
        size = len(self.labels)
        embeddings, labels = embeddings.detach()[-size:], labels[-size:]
        places = (self.added + torch.arange(len(labels), device=self.labels.device)) % size
        self.embeddings[places] = embeddings.to(self.embeddings.dtype)
        self.labels[places] = labels.to(self.labels.device)
        self.added += len(labels)
