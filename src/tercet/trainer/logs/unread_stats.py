"""Statistics of batches that are still on the device. Reading them waits for a GPU, so it is done for several."""

import torch
from torch import Tensor

from tercet.errors import EmbeddingError
from tercet.losses._engine.stats import LossStats, PendingStats, exact_dtype


class UnreadStats:
    """The statistics of batches that were not read from the device yet.

    Reading waits for a GPU. So the trainer reads the statistics of several batches together.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[PendingStats, int, Tensor]] = []

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, stats: PendingStats, embeddings: Tensor) -> None:
        """Add the statistics and the `embeddings` `(n, dim)` of a batch."""
        norms = norm_sums(embeddings)
        is_valid = norms.new_ones(()) if stats.is_valid is None else stats.is_valid.to(norms)
        numbers = torch.cat([stats.sums.to(norms), norms, is_valid.view(1)])
        self._batches.append((stats, len(embeddings), numbers))

    def read(self) -> list[tuple[LossStats, int, float, float]]:
        """Return what `LogStats.add` takes for each batch, in order, and forget it.

        Raises:
            EmbeddingError: the embeddings of a batch had values that the loss cannot use.
        """
        batches, self._batches = self._batches, []
        if not batches:
            return []
        result = []
        rows_of_numbers = torch.stack([numbers for _, _, numbers in batches]).tolist()
        for (stats, num_rows, _), numbers in zip(batches, rows_of_numbers, strict=True):
            *sums, norms, squares, is_valid = numbers
            if not is_valid:
                raise EmbeddingError(
                    f"the embeddings of a batch (one of the last {len(batches)}) have values that are NaN, infinite, "
                    "or too large or too small for their distance; use a lower learning rate, clip gradients, or train "
                    "in float32 or bfloat16"
                )
            result.append((stats.read(sums), num_rows, norms, squares))
        return result


def norm_sums(embeddings: Tensor) -> Tensor:
    """Return the sum of the norms of embeddings `(n, dim)`, and of the squared norms, in float64 `(2,)`.

    They stay on the device if it has float64. In float32 the rounding errors would show as a standard deviation.
    """
    norms = torch.linalg.vector_norm(embeddings.detach().float(), dim=1)
    norms = (norms if exact_dtype(norms.device) == torch.float64 else norms.cpu()).double()
    return torch.stack([norms.sum(), norms.square().sum()])
