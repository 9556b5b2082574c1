"""Mean embeddings of the labels, from the batches of the training itself: no row is encoded again.

The batches of an epoch need one mean per label (see `neighbor_labels` in `tercet.data.sampling.sampler`). Each training
step adds its embeddings to the sums of an epoch. When the next epoch begins, the means of these sums replace the old
ones.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tercet._distributed import rank
from tercet._gather import all_reduce_sum
from tercet.data.sampling.label_space import check_label_means

FILE = "label_means.safetensors"
_NO_EPOCH = -1
# A number of a normalized embedding becomes an integer of at most this size.
_SCALE = 2.0**20


class LabelMeans:
    """The means of the current epoch, and the sums for the next epoch.

    Embeddings are normalized to length 1 and rounded to integers before they are added. Sums of integers do not depend
    on their order. So all processes get equal means, also on GPUs, and a resumed run gets those of the run that was
    stopped. The sums take eight bytes for each label and dimension.

    Args:
        labels: `(num_rows,)`, the label id of each training row.
        dim: the dimension of the embeddings.
        device: the device of the embeddings.

    Attributes:
        current: the means of the current epoch, `(num_labels, dim)` in the sorted order of the labels; None if there
            are none.
        first: those of the first epoch of a run that is not resumed, see `set_first`.
    """

    def __init__(self, labels: Any, dim: int, device: torch.device) -> None:
        self._labels = torch.from_numpy(np.unique(np.asarray(labels))).to(device)
        self._sums = torch.zeros(len(self._labels), dim, dtype=torch.int64, device=device)
        self.first: np.ndarray | None = None
        self.current: np.ndarray | None = None
        self._epoch_of_sums = _NO_EPOCH

    def set_first(self, means: Any, *, of_sets: bool = False) -> None:
        """Set the means of the first epoch of each run that is not resumed; None for random batches.

        Args:
            means: as for `SentenceTransformerTrainer.set_label_means`.
            of_sets: whether a row of the data has a set of labels, for messages.

        Raises:
            DataError: the means have another number of rows than there are labels, or are not finite.
        """
        self.first = None if means is None else check_label_means(means, len(self._labels), of_sets=of_sets)

    def reset(self) -> None:
        """Start a new run: no sums, and the means of the first epoch."""
        self.current, self._epoch_of_sums = self.first, _NO_EPOCH
        self._sums.zero_()

    def start_epoch(self, epoch: int) -> None:
        """Make the means of the sums the current ones, unless the sums are of this epoch, which was resumed.

        A label without a row in the sums keeps its mean. All processes must call it.
        """
        if self._epoch_of_sums not in (_NO_EPOCH, epoch):
            sums = all_reduce_sum(self._sums).cpu().numpy()
            seen = sums.any(axis=1)
            means = sums.astype(np.float32)
            if self.current is not None and self.current.shape == means.shape:
                means[~seen] = self.current[~seen]
            self.current = means
            self._sums.zero_()
        self._epoch_of_sums = epoch

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Add the embeddings `(n, dim)` of rows of this process with the labels `(n,)`. This never waits for a GPU."""
        directions = nn.functional.normalize(embeddings.detach().float(), dim=1)
        numbers = (directions * _SCALE).round().to(torch.int64)
        self._sums.index_add_(0, torch.searchsorted(self._labels, labels), numbers)

    def save(self, checkpoint: Path) -> None:
        """Write the state into a checkpoint. All processes must call it; the first one writes."""
        total = all_reduce_sum(self._sums).cpu()
        if rank() == 0:
            state = {"sums": total, "epoch": torch.tensor(self._epoch_of_sums)}
            if self.current is not None:
                state["current"] = torch.from_numpy(np.ascontiguousarray(self.current))
            save_file(state, checkpoint / FILE)

    def load(self, checkpoint: Path) -> None:
        """Load the state of a checkpoint. The sums of all processes go to the first one, which adds nothing twice."""
        state = load_file(checkpoint / FILE)
        self._sums.copy_(state["sums"] if rank() == 0 else torch.zeros_like(state["sums"]))
        self._epoch_of_sums = int(state["epoch"])
        self.current = state["current"].numpy() if "current" in state else None
