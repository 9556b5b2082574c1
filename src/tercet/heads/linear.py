"""A linear head: a matrix that maps embeddings to new embeddings, in which rows with the same label are near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.errors import EmbeddingError

if TYPE_CHECKING:
    from tercet.encoder.modules import Dense

# The maximum number of rows that are converted to float32 and multiplied at once.
_BLOCK_ROWS = 1 << 14


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear map without a bias, followed by scaling to length 1.

    Attributes:
        weight: `(out_dim, in_dim)`, float32, on the CPU.

    Raises:
        EmbeddingError: the weight is not a matrix `(out_dim, in_dim)` of finite numbers.

    Example:
        >>> import torch
        >>> head = LinearHead(torch.eye(3)[:2])
        >>> head(torch.tensor([[3.0, 4.0, 7.0]]))
        tensor([[0.6000, 0.8000]])
    """

    weight: Tensor

    def __post_init__(self) -> None:
        weight = distances.as_embeddings(self.weight, "the weight of a head").detach().float().cpu().contiguous()
        if not bool(weight.isfinite().all()):
            raise EmbeddingError("the weight of a head has NaN or infinite values; train the head again")
        object.__setattr__(self, "weight", weight)

    @property
    def in_dim(self) -> int:
        """The dimension of the embeddings that the head takes."""
        return self.weight.shape[1]

    @property
    def out_dim(self) -> int:
        """The dimension of the embeddings that the head returns."""
        return self.weight.shape[0]

    @overload
    def __call__(self, embeddings: Tensor) -> Tensor: ...

    @overload
    def __call__(self, embeddings: Any) -> np.ndarray: ...

    def __call__(self, embeddings: Any) -> Tensor | np.ndarray:
        """Map embeddings `(n, in_dim)` to float32 embeddings `(n, out_dim)` of length 1.

        A row of zeros stays zero.

        Args:
            embeddings: a tensor, which gives a tensor on the same device; or an array or nested lists, which give an
                array.

        Raises:
            EmbeddingError: the embeddings have another dimension than the head takes, or a value that is NaN or
                infinite.
        """
        rows = distances.as_embeddings(embeddings)
        self.check_dimension(rows.shape[1])
        distances.check_norms(rows, distances.COSINE, advice="; remove or recompute these rows")
        weight = self.weight.to(rows.device)
        mapped = torch.cat(
            [distances.unit_rows(float_unit_rows(block) @ weight.T) for block in rows.split(_BLOCK_ROWS)]
        )
        return mapped if isinstance(embeddings, Tensor) else mapped.numpy()

    def check_dimension(self, dimension: int, source: str = "the embeddings") -> None:
        """Raise `EmbeddingError` unless the head takes embeddings of this dimension.

        Args:
            dimension: the dimension of the embeddings.
            source: the file or the model of the embeddings, for the message.
        """
        if dimension != self.in_dim:
            raise EmbeddingError(
                f"the head takes embeddings of dimension {self.in_dim}, but {source} have dimension {dimension}; use "
                "the model that the head was trained for, or train another head"
            )

    def to_dense(self) -> Dense:
        """Return the head as a `Dense` module of a `SentenceTransformer`. A `Normalize` module should follow it."""
        from tercet.encoder.modules import Dense

        dense = Dense(self.in_dim, self.out_dim, bias=False, activation=torch.nn.Identity())
        with torch.no_grad():
            dense.linear.weight.copy_(self.weight)
        return dense


def float_unit_rows(rows: Tensor) -> Tensor:
    """Return rows `(n, dim)` of any floating-point type in float32, scaled to length 1. A row of zeros stays zero."""
    return distances.unit_rows(distances.at_least_float32(rows)).float()
