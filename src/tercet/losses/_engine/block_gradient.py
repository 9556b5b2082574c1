"""Derivatives by the distances of a block, and autograd through a block."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.losses.miners import MinedBlock


@dataclass(frozen=True, kw_only=True)
class BlockWithGraph:
    """A block of distances that remembers how it was computed.

    Attributes:
        distances: `(m, C)`.
        anchors: `(m, dim)`, a leaf of the graph.
        candidates: `(C, dim)`, a leaf of the graph.
    """

    distances: Tensor
    anchors: Tensor
    candidates: Tensor

    @classmethod
    def compute(
        cls, matrix: Callable[[Tensor, Tensor], Tensor], anchors: Tensor, candidates: Tensor
    ) -> "BlockWithGraph":
        """Compute the distances with a graph, whatever the gradient mode is."""
        with torch.enable_grad():
            anchors, candidates = anchors.detach().requires_grad_(), candidates.detach().requires_grad_()
            return cls(distances=matrix(anchors, candidates), anchors=anchors, candidates=candidates)

    def gradients(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of anchors and candidates for derivatives `(m, C)` by the distances."""
        to_anchors, to_candidates = torch.autograd.grad(self.distances, (self.anchors, self.candidates), weights)
        return to_anchors, to_candidates


def weights_of_block(mined: MinedBlock, negatives: Tensor) -> Tensor:
    """Return the derivative by each distance of a block `(m, C)`, in the memory of what may be overwritten."""
    weights = negatives.zero_() if mined.negative_weights is None else mined.negative_weights.neg_()
    return weights.scatter_add_(1, mined.candidate_index, mined.weights)
