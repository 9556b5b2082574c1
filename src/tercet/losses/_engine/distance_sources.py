"""Sources of blocks of distances, which also turn derivatives by distances into gradients.

The engine knows the protocol `DistanceSource` and no distance by name. Three classes implement it:

- `MatrixProductDistances`, for a `tercet.distances.MatrixProductDistance`: matrix products, the fast one.
- `AutogradDistances`, for any other `Distance`: its `matrix` of blocks of rows, and autograd through each block.
- `PrecomputedDistances`, for a function of the user's own: its square matrix; autograd continues behind it.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from tercet.distances import Distance, FunctionDistance, MatrixProductDistance, at_least_float32
from tercet.errors import EmbeddingError
from tercet.losses._engine.block_gradient import BlockWithGraph, weights_of_block
from tercet.losses._engine.matrix_product import MatrixProductDistances
from tercet.losses._engine.precision import no_autocast
from tercet.losses.miners import MinedBlock


class DistanceSource(Protocol):
    """Blocks of distances between anchors `(A, ·)` and candidates `(C, ·)`, and the gradient of both."""

    dtype: torch.dtype
    non_negative: bool

    def distances(self, rows: slice, self_index: Tensor) -> Tensor:
        """Return the distances of some anchors to all candidates `(m, C)`, which the caller may overwrite.

        Args:
            self_index: the candidate that each anchor is `(m, 1)`; its entry holds the largest float.
        """

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Add the derivatives by the distances of the block that was returned last.

        Args:
            negatives: the block as returned by `distances`, whose memory may be overwritten.
        """

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradient of the candidates, and that of the anchors; None if there is none of its own."""


class AutogradDistances:
    """Distances from the `matrix` of any `Distance`, differentiated block by block.

    Args:
        distance: called with blocks of anchors and all candidates.
        candidates: `(C, dim)`.
        anchors: `(A, dim)`, or None if the candidates are the anchors.
    """

    def __init__(self, distance: Distance, candidates: Tensor, anchors: Tensor | None = None) -> None:
        self.dtype, self.non_negative = candidates.dtype, distance.non_negative
        self._distance = distance
        self._candidates, self._anchors = candidates, candidates if anchors is None else anchors
        self._candidate_gradient = torch.zeros_like(candidates)
        self._anchor_gradient = self._candidate_gradient if anchors is None else torch.zeros_like(anchors)
        self._block: BlockWithGraph | None = None

    def distances(self, rows: slice, self_index: Tensor) -> Tensor:
        """Return the distances of some anchors `(m, C)`, and keep the graph of the block."""
        self._block = BlockWithGraph.compute(self._distance.matrix, self._anchors[rows], self._candidates)
        distances = self._block.distances.detach()
        if distances.shape != (len(self_index), len(self._candidates)):
            raise EmbeddingError(
                f"the matrix of the distance {self._distance.name!r} has shape {tuple(distances.shape)}, "
                f"expected {(len(self_index), len(self._candidates))}"
            )
        return distances.scatter(1, self_index, torch.finfo(self.dtype).max)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Differentiate the block that was returned last."""
        assert self._block is not None
        to_anchors, to_candidates = self._block.gradients(weights_of_block(mined, negatives))
        self._anchor_gradient[rows] += to_anchors
        self._candidate_gradient += to_candidates

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients `(C, dim)` and `(A, dim)`."""
        is_shared = self._anchor_gradient is self._candidate_gradient
        return self._candidate_gradient, None if is_shared else self._anchor_gradient


class PrecomputedDistances:
    """Distances from a matrix `(A, C)`, and the gradient of that matrix as the gradient of the anchors."""

    non_negative = False  # It is not known of a function of the user's own.

    def __init__(self, matrix: Tensor) -> None:
        self.dtype = matrix.dtype
        self._matrix, self._weights = matrix, torch.zeros_like(matrix)

    def distances(self, rows: slice, self_index: Tensor) -> Tensor:
        """Return some rows of the matrix `(m, C)`."""
        return self._matrix[rows].scatter(1, self_index, torch.finfo(self.dtype).max)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Store the derivatives by the distances of some rows."""
        self._weights[rows] = weights_of_block(mined, negatives)

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradient of the matrix `(A, C)`."""
        return None, self._weights


def differentiable_inputs(distance: Distance, embeddings: Tensor, anchors: Tensor | None) -> list[Tensor]:
    """Return the tensors whose gradients the engine computes: points of candidates and anchors, or the square matrix.

    Raises:
        EmbeddingError: a function of the user's own with anchors apart from the candidates.
    """
    if isinstance(distance, FunctionDistance):
        if anchors is not None:
            raise EmbeddingError(
                "a distance function takes one set of embeddings; for anchors apart from the candidates, pass the name "
                "of a distance or a tercet.distances.Distance"
            )
        return [at_least_float32(distance.matrix(embeddings, embeddings))]
    sides = [embeddings] if anchors is None else [embeddings, anchors]
    points = distance.points if isinstance(distance, MatrixProductDistance) else at_least_float32
    with no_autocast(embeddings.device.type):
        return [points(side) for side in sides]


def distance_source(distance: Distance, inputs: Sequence[Tensor], anchor_index: Tensor | None) -> DistanceSource:
    """Return the source of a distance.

    Args:
        inputs: detached `differentiable_inputs`.
        anchor_index: the anchors that count, rows of the last input; None for all.
    """
    candidates = inputs[0]
    anchors = None if len(inputs) == 1 else inputs[1]
    if anchor_index is not None:
        anchors = inputs[-1][anchor_index]
    if isinstance(distance, FunctionDistance):
        return PrecomputedDistances(candidates if anchors is None else anchors)
    if isinstance(distance, MatrixProductDistance):
        return MatrixProductDistances(distance, candidates, anchors)
    return AutogradDistances(distance, candidates, anchors)
