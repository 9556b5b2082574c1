"""Names of sentence-transformers in the losses, for scripts and subclasses that use these names.

A subclass of a loss of sentence-transformers often calls or overrides `batch_hard_triplet_loss(labels, embeddings)`,
reads `triplet_margin` and `sentence_embedder`, or calls `distance_metric(embeddings)`. All of this works here too.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tercet import distances
from tercet._numbers import check_margin
from tercet.errors import EmbeddingError

_HERMANS = """
@misc{hermans2017defense,
    title={In Defense of the Triplet Loss for Person Re-Identification},
    author={Alexander Hermans and Lucas Beyer and Bastian Leibe},
    year={2017},
    eprint={1703.07737},
    archivePrefix={arXiv},
    primaryClass={cs.CV}
}
"""


class MatrixDistance(str):
    """The name of a distance, which can be called for the distances `(batch, batch)` within one batch.

    Example:
        >>> import torch
        >>> distance = MatrixDistance("euclidean")
        >>> distance == "euclidean", distance(torch.tensor([[0.0], [3.0]])).tolist()
        (True, [[0.0, 3.0], [3.0, 0.0]])
    """

    def __call__(self, embeddings: Tensor, squared: bool = False) -> Tensor:
        """Return the distances `(batch, batch)` of the rows `(batch, dim)`, squared if `squared` is True."""
        found = distances.matrix(embeddings, embeddings, str(self))
        return found.square() if squared else found


class PairDistance(str):
    """The name of a distance, which can be called for the distance from each row of `x` to the same row of `y`."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distances: `(batch, dim), (batch, dim) → (batch,)`."""
        return distances.pairs(x, y, str(self))


class LossNames(nn.Module):
    """Other names of the attributes `margin` and `model`, and the source of the losses."""

    margin: float
    has_margin: bool

    @property
    def triplet_margin(self) -> float:
        """The margin, under another name. Setting it sets `margin`.

        Raises:
            EmbeddingError: (when it is set) the loss has no margin, or the value is not a finite number of at least 0.
        """
        return self.margin

    @triplet_margin.setter
    def triplet_margin(self, value: float) -> None:
        if not self.has_margin:
            raise EmbeddingError(f"{type(self).__name__} has no margin; use BatchHardTripletLoss for one")
        self.margin = check_margin(value)

    @property
    def sentence_embedder(self) -> Any:
        """The model, under another name. Setting it sets `model`."""
        return self.model

    def __setattr__(self, name: str, value: Any) -> None:
        # `nn.Module` registers a module that is set as an attribute, even if the attribute is a property.
        super().__setattr__("model" if name == "sentence_embedder" else name, value)

    @property
    def citation(self) -> str:
        """The BibTeX entry of the paper of the loss."""
        return _HERMANS

    def extra_repr(self) -> str:
        """Return the distance and the margin, for `repr`."""
        distance: Any = getattr(self, "distance_metric", "euclidean")
        name = str(distance) if isinstance(distance, str) else distances.get_distance(distance).name
        return f"distance_metric={name!r}" + (f", margin={self.margin:g}" if self.has_margin else "")

    def __repr__(self) -> str:
        # Without the children: the model that the loss holds is printed by `print(model)`.
        return f"{type(self).__name__}({self.extra_repr()})"


class TripletMasks:
    """The masks of valid triplets and pairs of a batch, of `BatchHardTripletLoss`. The losses do not use them."""

    @staticmethod
    def get_triplet_mask(labels: Tensor) -> Tensor:
        """Return the mask `(batch, batch, batch)`, True where anchor, positive and negative form a triplet."""
        positive = TripletMasks.get_anchor_positive_triplet_mask(labels)
        negative = TripletMasks.get_anchor_negative_triplet_mask(labels)
        return positive.unsqueeze(2) & negative.unsqueeze(1)

    @staticmethod
    def get_anchor_positive_triplet_mask(labels: Tensor) -> Tensor:
        """Return the mask `(batch, batch)`, True where two different rows have the same label."""
        return (labels.unsqueeze(0) == labels.unsqueeze(1)).fill_diagonal_(False)

    @staticmethod
    def get_anchor_negative_triplet_mask(labels: Tensor) -> Tensor:
        """Return the mask `(batch, batch)`, True where two rows have different labels."""
        return torch.ne(labels.unsqueeze(0), labels.unsqueeze(1))
