"""Cross-batch memory (XBM): embeddings of past batches as additional candidates of the current batch.

The memory gives a small batch as many negatives as a large batch, at little cost. After the first steps of the
training, the model changes slowly, so the stored embeddings are close to those that it would compute now. Stored
embeddings get no gradient. Source: Wang et al. 2020, "Cross-batch memory for embedding learning".
"""

import torch
from torch import Tensor, nn

from tercet._numbers import check_integer


class CrossBatchMemory(nn.Module):
    """A ring buffer of the last `size` embeddings and their labels. Its `state_dict` contains them.

    Args:
        size: the maximum number of embeddings. When the memory is full, a new embedding replaces the oldest.
        dim: the dimension of the embeddings.

    Raises:
        EmbeddingError: `size` or `dim` is not an integer of at least 1.

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
        size, dim = check_integer("size", size), check_integer("dim", dim)
        self.register_buffer("embeddings", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("added", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return min(int(self.added), len(self.labels))

    def contents(self) -> tuple[Tensor, Tensor]:
        """Return the stored embeddings `(n, dim)` and their labels `(n,)`, in no particular order.

        They are views of the memory, so `add` may change them.
        """
        return self.embeddings[: len(self)], self.labels[: len(self)]

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Store embeddings `(batch, dim)` and labels `(batch,)`. If `batch > size`, store only the last `size` rows."""
        size = len(self.labels)
        embeddings, labels = embeddings.detach()[-size:], labels[-size:]
        positions = (self.added + torch.arange(len(labels), device=self.labels.device)) % size
        self.embeddings[positions] = embeddings.to(self.embeddings.dtype)
        self.labels[positions] = labels.to(self.labels.device)
        self.added += len(labels)
