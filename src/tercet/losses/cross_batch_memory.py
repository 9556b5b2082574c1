"""Cross-batch memory (XBM): embeddings of past batches as candidates of the present one.

A small batch gets the negatives of a large one at little cost. Embeddings change slowly from step to step after the
first steps, so those of the last batches can stand for sentences that the batch does not contain. They get no gradient.
Source: Wang et al. 2020, "Cross-batch memory for embedding learning".
"""

import torch
from torch import Tensor, nn


class CrossBatchMemory(nn.Module):
    """A ring buffer of the last embeddings and their labels, saved and loaded as any module.

    Args:
        size: the number of embeddings; a new one replaces the oldest.
        dim: their dimension.

    Example:
        >>> import torch
        >>> from tercet.losses.cross_batch_memory import CrossBatchMemory
        >>> memory = CrossBatchMemory(size=2, dim=1)
        >>> memory.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1]))
        >>> memory.contents()
        (tensor([[2.],
                [3.]]), tensor([0, 1]))
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
        """Return the stored embeddings `(n, dim)` and labels `(n,)`, in no particular order."""
        return self.embeddings[: len(self)], self.labels[: len(self)]

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Store embeddings `(batch, dim)` and labels `(batch,)`; if they are more than `size`, the last ones."""
        size = len(self.labels)
        embeddings, labels = embeddings.detach()[-size:], labels[-size:]
        positions = (self.added + torch.arange(len(labels), device=self.labels.device)) % size
        self.embeddings[positions] = embeddings.to(self.embeddings.dtype)
        self.labels[positions] = labels.to(self.labels.device)
        self.added += len(labels)
