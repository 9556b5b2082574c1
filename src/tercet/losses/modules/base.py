"""Base class of all losses, and the names of the distances."""

from collections.abc import Callable
from enum import Enum
from typing import Any

from torch import Tensor, nn

from tercet import distances
from tercet._display import shown_beside
from tercet._events import WarningKind, emit_warning
from tercet._numbers import check_margin
from tercet.distances import DistanceLike, get_distance
from tercet.errors import EmbeddingError, short_repr
from tercet.losses._engine.stats import LossStats, PendingStats
from tercet.losses._peer_names import LossNames, MatrixDistance
from tercet.losses.margins import describe_misfit, have_unit_length

Features = dict[str, Tensor]


class TripletDistanceMetric(str, Enum):
    """The distances of `TripletLoss`, under the names of sentence-transformers.

    A member can be called: `TripletDistanceMetric.COSINE(x, y)` returns the distances `(batch,)` of each row of `x`
    `(batch, dim)` to the same row of `y`.
    """

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance from each row of `x` to the same row of `y`: `(batch, dim), (batch, dim) → (batch,)`."""
        return distances.pairs(x, y, self.value)


class BatchHardTripletLossDistanceFunction:
    """The distances of the batch losses, under the names of sentence-transformers.

    Each is the name of a distance, and can be called: `cosine_distance(embeddings)` returns the distances
    `(batch, batch)` within the embeddings `(batch, dim)`.
    """

    cosine_distance = MatrixDistance("cosine")
    euclidean_distance = eucledian_distance = MatrixDistance("euclidean")


class BaseLoss(LossNames):
    """Base class of all losses. Holds the model, the distance and the margin.

    Warns at the first batch of a run if the margin is not below the largest possible distance, or is far below the
    distances of the batch.

    Attributes:
        collect_stats: whether each forward pass computes `stats`. The trainer sets it to True.
        defer_checks: whether the values of embeddings are checked only when `pending_stats` are read, and not before
            the loss is computed. The trainer sets it on a GPU, where the check would wait in each step.
        warns_of_small_margin: whether the first batch is checked for a margin far below the distances. The trainer sets
            it to False after it has trained a linear head, which may separate all triplets.
        stats: the `LossStats` of the last batch, or None if they were not computed. Reading them waits for a GPU. In
            distributed training they cover the anchors of this process. Exception: if the distance of a batch loss is a
            function instead of a name or a `Distance`, the stats of the first process cover the complete batch, and
            those of the others are empty.
        pending_stats: the same before they are read from the device.
        has_margin: whether the loss of a triplet that satisfies the margin is exactly 0.
        takes_triplets: whether `compute_loss_from_embeddings` takes given triplets instead of labelled sentences.
        distance_metric: the distance. The name of one can be called as in sentence-transformers: with the embeddings of
            a batch, or with two tensors for `TripletLoss`.
    """

    has_margin = True
    takes_triplets = False
    _callable_name: type[str] = MatrixDistance

    def __init__(self, model: nn.Module | None, distance_metric: DistanceLike, margin: float) -> None:
        super().__init__()
        if model is not None and not isinstance(model, nn.Module):
            raise EmbeddingError(
                f"the first argument of {type(self).__name__} must be the model object or None, got "
                f"{short_repr(model)}; pass a distance as distance_metric=…"
            )
        self.collect_stats = self.defer_checks = False
        self.warns_of_small_margin = True
        self.pending_stats: PendingStats | None = None
        self._stats: LossStats | None = None
        self.model = model
        distance = distance_metric.value if isinstance(distance_metric, Enum) else distance_metric
        get_distance(distance)  # Raises for an unknown name.
        self.distance_metric: DistanceLike = self._callable_name(distance) if isinstance(distance, str) else distance
        self.margin = check_margin(margin)
        self._margin_checked = False

    @property
    def stats(self) -> LossStats | None:
        """The `LossStats` of the last batch, or None if they were not computed."""
        if self.pending_stats is not None and self._stats is None:
            self._stats = self.pending_stats.read()
        return self._stats

    @stats.setter
    def stats(self, value: LossStats | None) -> None:
        self._stats, self.pending_stats = value, None

    def _set_stats(self, pending: PendingStats | None) -> None:
        self._stats, self.pending_stats = None, pending

    def reset_warnings(self) -> None:
        """Re-arm the once-per-run warnings. The trainer calls this when a run starts."""
        self._margin_checked = False

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the loss, for the model card."""
        distance = self.distance_metric
        return {"distance_metric": str(distance) if isinstance(distance, str) else get_distance(distance).name}

    def _embed(self, features: Features) -> Tensor:
        """Run the model on tokenized sentences and return their embeddings `(batch, dim)`.

        Raises:
            EmbeddingError: the loss has no model.
        """
        if self.model is None:
            raise EmbeddingError(
                "this loss has no model to embed the sentences; create the loss with a model, or call "
                "compute_loss_from_embeddings"
            )
        embeddings: Tensor = self.model(features)["sentence_embedding"]
        return embeddings

    def _check_margin(
        self, embeddings: Tensor, loss: Tensor, measure: Callable[[], tuple[Tensor, Tensor]], *, has_triplet: bool
    ) -> None:
        """Warn at the first batch of a run if the margin is out of reach, or far below the distances.

        Args:
            embeddings: `(batch, dim)`.
            loss: the loss of the batch.
            measure: returns the distances to negatives and d(a,n) − d(a,p) of the triplets, see `batch_distances`.
            has_triplet: whether the batch has a triplet.
        """
        self._margin_checked = True
        if not self.has_margin:
            return
        unit_length = have_unit_length(embeddings)
        distance = get_distance(self.distance_metric)
        bound = distance.upper_bound(unit_length=unit_length, dim=embeddings.shape[1])
        if self.margin >= bound:
            limit = shown_beside(bound, self.margin, ".3g")
            emit_warning(
                WarningKind.UNREACHABLE_MARGIN,
                f"margin {self.margin:g} can never be met: the {distance.name} distance of these embeddings"
                f"{' (unit length)' if unit_length else ''} is at most {limit}, so every triplet stays active. "
                f"Use a margin well below {limit}, for example {bound / 8:.2g}.",
            )
            return
        if not self.warns_of_small_margin:
            return
        is_inactive = has_triplet and not loss.detach()
        misfit = describe_misfit(self.margin, distance, embeddings, *measure(), is_inactive=is_inactive)
        if misfit is not None:
            emit_warning(WarningKind.SMALL_MARGIN, misfit)
