"""Write the embeddings of batches into one matrix. From a GPU to the CPU they are copied while the GPU computes."""

from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tercet._transfer import to_device

# The number of batches whose copies may be unfinished. With one, the GPU would wait for the processor after each batch.
_COPIES_IN_FLIGHT = 2


class RowWriter:
    """A float32 matrix of which each batch gives some rows.

    Args:
        shape: the numbers of rows and columns.
        device: the device of the matrix. Batches may come from another one.

    Example:
        >>> writer = RowWriter((2, 1), torch.device("cpu"))
        >>> writer.write(np.array([1, 0]), torch.tensor([[5.0], [6.0]]))
        >>> writer.finish().tolist()
        [[6.0], [5.0]]
    """

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        self._matrix = torch.zeros(shape, device=device, dtype=torch.float32)
        self._copies: deque[tuple[np.ndarray, Tensor, Callable[[], None]]] = deque()

    def write(self, rows: np.ndarray, values: Tensor) -> None:
        """Write float32 values `(n, columns)` of rows `(n,)`. From a GPU to the CPU, this does not wait for them."""
        self._copies.append((rows, *_start_copy(values, self._matrix.device)))
        while len(self._copies) > _COPIES_IN_FLIGHT:
            self._write_oldest()

    def finish(self) -> Tensor:
        """Return the matrix, when all rows are written."""
        while self._copies:
            self._write_oldest()
        return self._matrix

    def _write_oldest(self) -> None:
        rows, values, wait = self._copies.popleft()
        wait()
        (index,) = to_device([rows], self._matrix.device)
        self._matrix.index_copy_(0, index, values)


def _start_copy(values: Tensor, device: torch.device) -> tuple[Tensor, Callable[[], None]]:
    """Start to copy values to a device. Return the copy, and a function that waits until it is done."""
    if values.device.type != "cuda" or device.type != "cpu":
        return values.to(device), lambda: None
    # Only a copy into pinned memory lets the processor go on.
    copy = torch.empty(values.shape, dtype=values.dtype, device="cpu", pin_memory=True)
    copy.copy_(values, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(values.device))
    return copy, done.synchronize
