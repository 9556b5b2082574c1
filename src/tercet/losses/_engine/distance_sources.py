"""Sources of distance blocks. They also compute gradients from the derivatives with respect to the distances.

The engine uses sources only through the protocol `DistanceSource`. Four classes implement it:

- `MatrixProductSource`, for a `tercet.distances.MatrixProductDistance`: computes matrix products. It is the fastest.
- `DoubleProductSource`, for the same distances and small batches on a GPU: it never waits for the device.
- `AutogradSource`, for any other `Distance`: calls its `matrix` for each block and backpropagates through the block.
- `PrecomputedSource`, for a user-defined function: uses its square matrix. The gradient is that of the matrix, and
  autograd backpropagates it through the function.
"""

from collections.abc import Sequence
from copy import copy
from typing import Protocol

import torch
from torch import Tensor

from tercet.distances import Distance, FunctionDistance, MatrixProductDistance, at_least_float32
from tercet.errors import EmbeddingError
from tercet.losses._engine import double_product_source
from tercet.losses._engine.block_gradient import BlockWithGraph, LastBlock, weights_of_block, zero_accumulators
from tercet.losses._engine.double_product_source import DoubleProductSource
from tercet.losses._engine.label_groups import SelfColumns
from tercet.losses._engine.matrix_product_source import MatrixProductSource
from tercet.losses._engine.precision import no_autocast
from tercet.losses.miners import MinedBlock


class DistanceSource(Protocol):
    """A source of blocks of distances between A anchors and C candidates. It accumulates the gradients of both.

    Attributes:
        dtype: the dtype of the distances.
        non_negative: whether the distance is known to be at least 0 for every pair.
    """

    dtype: torch.dtype
    non_negative: bool

    def distances(self, rows: slice, self_columns: SelfColumns) -> Tensor:
        """Return the block `(m, C)` of distances of m anchors to all candidates. The caller may overwrite the block.

        Args:
            rows: the anchors of the block.
            self_columns: the distance of each anchor to itself, which is replaced by the largest finite float.
        """

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Backpropagate through the last block: add its gradients to those of the anchors and candidates.

        Args:
            rows: the anchors of the block.
            negatives: the block that `distances` returned last. This method may overwrite it.
            mined: the output of the miner for the block.
        """

    def with_own_gradients(self) -> "DistanceSource":
        """Return a copy with separate gradient accumulators. It reuses the blocks that this source computes."""

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return a pair: the gradient of the candidates, and the gradient of the anchors.

        If the anchors are the candidates, the second is None, and the first includes both. `PrecomputedSource` has no
        candidates: it returns None, and the gradient of its matrix.
        """


class AutogradSource:
    """Distances from the method `matrix` of any `Distance`. Autograd backpropagates through each block.

    Args:
        distance: the distance. Its `matrix` is called with a block of anchors and all candidates.
        candidates: `(C, dim)`.
        anchors: `(A, dim)`; None uses the candidates as anchors.
    """

    def __init__(self, distance: Distance, candidates: Tensor, anchors: Tensor | None = None) -> None:
        self.dtype, self.non_negative = candidates.dtype, distance.non_negative
        self._distance = distance
        self._candidates, self._anchors = candidates, candidates if anchors is None else anchors
        self._candidate_gradient = torch.zeros_like(candidates)
        self._anchor_gradient = self._candidate_gradient if anchors is None else torch.zeros_like(anchors)
        self._last, self._keeps_graph = LastBlock(), False

    def distances(self, rows: slice, self_columns: SelfColumns) -> Tensor:
        """Return the block `(m, C)` of the given anchors, and keep its autograd graph."""
        self._last.graph = BlockWithGraph.compute(self._distance.matrix, self._anchors[rows], self._candidates)
        distances = self._last.graph.distances.detach()
        expected = (len(self_columns.index), len(self._candidates))
        if distances.shape != expected:
            raise EmbeddingError(
                f"the matrix of the distance {self._distance.name!r} has shape {tuple(distances.shape)}, "
                f"expected {expected}: one row per row of x, one column per row of y"
            )
        return self_columns.fill(distances.clone(), torch.finfo(self.dtype).max)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Backpropagate through the last block."""
        assert self._last.graph is not None
        weights = weights_of_block(mined, negatives)
        to_anchors, to_candidates = self._last.graph.gradients(weights, keep_graph=self._keeps_graph)
        self._anchor_gradient[rows] += to_anchors
        self._candidate_gradient += to_candidates

    def with_own_gradients(self) -> "AutogradSource":
        """Return a copy with separate gradient accumulators. It reuses the blocks that this source computes."""
        self._keeps_graph = True
        other = copy(self)
        accumulators = zero_accumulators(self._candidate_gradient, self._anchor_gradient)
        other._candidate_gradient, other._anchor_gradient = accumulators
        return other

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradient of the candidates `(C, dim)`, and that of separate anchors `(A, dim)` or None."""
        anchors_are_candidates = self._anchor_gradient is self._candidate_gradient
        return self._candidate_gradient, None if anchors_are_candidates else self._anchor_gradient


class PrecomputedSource:
    """Distances from a precomputed matrix `(A, C)`. The gradient of the matrix is returned as that of the anchors."""

    non_negative = False  # Unknown for a user-defined function. False selects a slower search, which is always correct.

    def __init__(self, matrix: Tensor) -> None:
        self.dtype = matrix.dtype
        self._matrix, self._weights = matrix, torch.zeros_like(matrix)

    def distances(self, rows: slice, self_columns: SelfColumns) -> Tensor:
        """Return the block `(m, C)` of the given anchors."""
        return self_columns.fill(self._matrix[rows].clone(), torch.finfo(self.dtype).max)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Store the derivatives with respect to the distances of the block."""
        self._weights[rows] = weights_of_block(mined, negatives)

    def with_own_gradients(self) -> "PrecomputedSource":
        """Return a source of the same matrix, with weights of its own."""
        return PrecomputedSource(self._matrix)

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return None, and the gradient of the matrix `(A, C)`."""
        return None, self._weights


def differentiable_inputs(distance: Distance, embeddings: Tensor, anchors: Tensor | None) -> list[Tensor]:
    """Return the tensors whose gradients the engine computes.

    For a distance function, this is its square matrix. For any other distance, these are the candidates and, if
    `anchors` is given, the anchors: as points for a `MatrixProductDistance`, else in float32 or float64.

    Raises:
        EmbeddingError: the distance is a function, and `anchors` is given or the matrix has the wrong shape.
    """
    if isinstance(distance, FunctionDistance):
        if anchors is not None:
            raise EmbeddingError(
                "a distance function computes distances within one set of embeddings only; to select anchors, pass the "
                "name of a distance, such as 'euclidean', or a tercet.distances.Distance"
            )
        return [at_least_float32(distance.matrix(embeddings, embeddings))]
    sides = [embeddings] if anchors is None else [embeddings, anchors]
    points = distance.points if isinstance(distance, MatrixProductDistance) else at_least_float32
    with no_autocast(embeddings.device.type):
        return [points(side) for side in sides]


def distance_source(distance: Distance, inputs: Sequence[Tensor], anchor_index: Tensor | None) -> DistanceSource:
    """Return the source of the blocks of a distance.

    Args:
        distance: the distance.
        inputs: the tensors that `differentiable_inputs` returned, detached.
        anchor_index: `(A,)`, the rows of the last input that are used as anchors; None uses all rows.
    """
    candidates = inputs[0]
    anchors = None if len(inputs) == 1 else inputs[1]
    if anchor_index is not None:
        anchors = inputs[-1][anchor_index]
    if isinstance(distance, FunctionDistance):
        return PrecomputedSource(candidates if anchors is None else anchors)
    if isinstance(distance, MatrixProductDistance):
        source = DoubleProductSource if double_product_source.suits(candidates) else MatrixProductSource
        return source(distance, candidates, anchors)
    return AutogradSource(distance, candidates, anchors)
