"""The statistics of batches for the training log."""

import math

import torch
from torch import Tensor

from tercet._distributed import world_size
from tercet._gather import all_reduce_sum
from tercet.losses._engine.stats import LossStats
from tercet.trainer.logs.unread_stats import norm_sums


class LogStats:
    """The statistics of all batches since the last reset, summed over all processes when they are read."""

    def __init__(self) -> None:
        # Ten sums of the loss statistics; then the number of rows, the sum of their norms and of the squared norms.
        self._sums = torch.zeros(13, dtype=torch.float64)

    def update(self, statistics: LossStats, embeddings: Tensor) -> float:
        """Add the statistics and the `embeddings` `(n, dim)` of a batch of this process. Return the mean norm."""
        return self.add(statistics, len(embeddings), *norm_sums(embeddings).tolist())

    def add(self, statistics: LossStats, num_rows: int, norms: float, squares: float) -> float:
        """Add the statistics of a batch, and the sums of the norms and squared norms of its rows. Return the mean."""
        self._sums += torch.tensor([*statistics.sums(), num_rows, norms, squares], dtype=torch.float64)
        return norms / num_rows

    def compute_and_reset(self, device: torch.device) -> dict[str, float]:
        """Return the statistics by their names in the log, and reset them. Return `{}` if there was no batch.

        Statistics without a value, such as the distances of batches without a triplet, are left out.

        Args:
            device: the device of the all-reduce in distributed training.
        """
        sums = (all_reduce_sum(self._sums.to(device)) if world_size() > 1 else self._sums).tolist()
        self._sums.zero_()
        stats, (rows, total, squares) = LossStats.from_sums(sums[:10]), sums[10:]
        if not rows:
            return {}
        norm = total / rows
        named = {
            "active_fraction": stats.active_fraction,
            "anchors_without_triplet": 1 - stats.anchors / rows,
            "positive_distance": stats.mean_positive_distance,
            "negative_distance": stats.mean_negative_distance,
            "hardest_positive_distance": stats.mean_hardest_positive_distance,
            "hardest_negative_distance": stats.mean_hardest_negative_distance,
            "norm": norm,
            "norm_std": math.sqrt(max(0.0, squares / rows - norm**2)),
        }
        return {name: round(value, 5) for name, value in named.items() if math.isfinite(value)}
