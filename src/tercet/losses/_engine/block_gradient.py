"""Backpropagation through one block of distances."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.losses.miners import MinedBlock


def zero_accumulators(candidates: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return accumulators of zeros for the gradients of candidates and anchors: one tensor if these are one tensor."""
    zeros = torch.zeros_like(candidates)
    return zeros, zeros if anchors is candidates else torch.zeros_like(anchors)


@dataclass(frozen=True, kw_only=True)
class BlockWithGraph:
    """A block of distances with its autograd graph.

    Attributes:
        distances: `(m, C)`, the distances of the anchors to the candidates.
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
        """Compute the distances with an autograd graph, also inside `torch.no_grad()`."""
        with torch.enable_grad():
            anchors, candidates = anchors.detach().requires_grad_(), candidates.detach().requires_grad_()
            return cls(distances=matrix(anchors, candidates), anchors=anchors, candidates=candidates)

    def gradients(self, weights: Tensor, *, keep_graph: bool = False) -> tuple[Tensor, Tensor]:
        """Backpropagate `weights` `(m, C)`, the derivatives of the loss terms with respect to the distances.

        Args:
            weights: the derivatives.
            keep_graph: whether to keep the graph for another call.

        Returns:
            The gradients of the anchors `(m, dim)` and of the candidates `(C, dim)`.
        """
        to_anchors, to_candidates = torch.autograd.grad(
            self.distances, (self.anchors, self.candidates), weights, retain_graph=keep_graph
        )
        return to_anchors, to_candidates


@dataclass
class LastBlock:
    """The last block that a source computed. Sources with gradients of their own share it.

    Attributes:
        graph: the block with its autograd graph, if it was not computed by matrix products.
        distances: the block, for a source that needs it again.
        close_pairs: the rows and columns of the pairs that were recomputed from differences.
    """

    graph: BlockWithGraph | None = None
    distances: Tensor | None = None
    close_pairs: tuple[Tensor, Tensor] | None = None


def weights_of_block(mined: MinedBlock, negatives: Tensor) -> Tensor:
    """Return the derivatives of the loss terms with respect to all distances of a block, `(m, C)`.

    The result overwrites `mined.negative_weights`, or `negatives` if `mined.negative_weights` is None.
    """
    weights = negatives.zero_() if mined.negative_weights is None else mined.negative_weights.neg_()
    return weights.scatter_add_(1, mined.candidate_index, mined.weights)
