"""Train a linear head on embeddings that were computed once."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet._numbers import check_integer, check_margin
from tercet.errors import DataError, EmbeddingError, counted
from tercet.heads.labels import LossOfRows, RowLabels, SharedLabels, row_labels
from tercet.heads.linear import LinearHead, float_unit_rows

# The principal directions are those of at most this number of rows.
_MAX_PRINCIPAL_ROWS = 50_000
_BLOCK_ROWS = 1 << 14
_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """The settings of the training of a head.

    The defaults have the highest MAP@R and accuracy of those that train in five seconds on one core, on BANKING77,
    HWU64 and CLINC150 with embeddings of all-MiniLM-L6-v2.

    Attributes:
        steps: the number of steps.
        batch_size: the number of rows in a batch, or all rows if there are fewer. None takes 512; or 256 if labels are
            few, so that two random rows have the same one with a probability above 1/8. Of nested labels, the coarsest
            level counts.
        samples_per_label: the number of rows of each label in a batch; None takes the number that puts all labels into
            a batch, but at least 4 and at most the median number of rows per label.
        learning_rate: the highest learning rate of Adam. It rises over the first 10 % of the steps, then it decays
            linearly to 0.
        margin: the margin of the semi-hard triplet loss, for the Euclidean distance between rows of length 1. With
            nested labels, that of the finest level; a coarser level has twice the margin, up to 3 × `margin`.
        dropout: the probability that a value of an embedding is set to 0 in a step. More dropout suits fewer rows.
        jaccard_weights: if rows have several labels, whether the loss of a pair of an anchor and a positive is
            multiplied by the Jaccard overlap of their labels.
        seed: the seed of the batches and of the dropout.
    """

    steps: int = 300
    batch_size: int | None = None
    samples_per_label: int | None = None
    learning_rate: float = 1e-2
    margin: float = 0.2
    dropout: float = 0.1
    jaccard_weights: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raise `DataError` if a setting is outside its valid range; the message names the setting and the range."""
        check_integer("steps", self.steps, error=DataError)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, minimum=4, error=DataError)
        check_integer("seed", self.seed, minimum=0, error=DataError)
        check_margin(self.margin, error=DataError)
        if self.samples_per_label is not None:
            check_integer("samples_per_label", self.samples_per_label, minimum=2, error=DataError)
            size = self.batch_size or _BATCH
            if size < 2 * self.samples_per_label:
                raise DataError(
                    f"batch_size must be at least twice samples_per_label={self.samples_per_label}, got {size}: a "
                    "batch needs two labels"
                )
        if not 0 < self.learning_rate < math.inf:
            raise DataError(f"learning_rate must be above 0, got {self.learning_rate!r}")
        if not 0 <= self.dropout < 1:
            raise DataError(f"dropout must be at least 0 and below 1, got {self.dropout!r}")


def train_head(
    embeddings: Any,
    labels: Any,
    *,
    dimension: int | None = None,
    settings: HeadSettings | None = None,
    label_levels: str | None = None,
) -> LinearHead:
    """Train a linear head on embeddings with the semi-hard triplet loss.

    Each row is scaled to length 1 first, which does not change what a head returns. The head starts as the identity; if
    `dimension` is smaller than that of the embeddings, it starts as their first principal directions. Training takes
    the device of the embeddings; the head is on the CPU. The same embeddings, labels and settings give the same head.

    Args:
        embeddings: `(n, dim)`, a tensor, an array or nested lists of floating-point numbers.
        labels: `(n,)`, the label of each row: all integers, or all strings. If rows have several labels, a list or a
            set of labels of each row; rows that share a label are then positives.
        dimension: the dimension of the new embeddings, at most `dim`; None keeps `dim`.
        settings: the settings of the training; None uses the defaults.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund". The loss is then
            the sum of those of the levels; each finer level has twelve times the weight of the next coarser one.

    Raises:
        EmbeddingError: the embeddings or the labels are invalid or not equally many, or `dimension` is above `dim`.
        DataError: no batch can contain a triplet, because there is one label only or no label has two rows; a setting
            is invalid; or no label has several levels.

    Example:
        >>> import numpy as np
        >>> embeddings = np.array([[1.0, 0.1], [1.0, -0.1], [0.9, 0.3], [0.9, -0.3]])
        >>> head = train_head(embeddings, ["a", "b", "a", "b"], settings=HeadSettings(steps=20))
        >>> head(embeddings).shape
        (4, 2)
    """
    if settings is None:
        settings = HeadSettings()
    elif not isinstance(settings, HeadSettings):
        raise DataError(f"settings must be HeadSettings, got a {type(settings).__name__}; pass HeadSettings(…)")
    settings.check()
    x, rows = check_rows(embeddings, labels, label_levels)
    if isinstance(rows, SharedLabels) and not rows.have_triplet():  # Batches of other labels are checked later.
        raise DataError("the labels form no triplet: no row shares a label with some other rows and none with others")
    return fit_head(x, rows, initial_weight(x, check_new_dimension(dimension, x.shape[1])), settings)


def check_rows(embeddings: Any, labels: Any, label_levels: str | None = None) -> tuple[Tensor, RowLabels]:
    """Return embeddings as a tensor `(n, dim)` of their own type, and the labels of the n rows.

    Raises:
        EmbeddingError: the embeddings or the labels are invalid, or not equally many.
        DataError: no label has several levels, or a level is empty.
    """
    x = distances.as_embeddings(embeddings).detach()
    distances.check_norms(x, distances.COSINE, advice="; remove or recompute these rows")
    rows = row_labels(labels, label_levels)
    if len(rows) != len(x):
        raise EmbeddingError(
            f"got {counted(len(x), 'embedding')} and {counted(len(rows), 'label')}; pass one label per embedding"
        )
    return x, rows


def check_new_dimension(dimension: int | None, dim: int) -> int:
    """Return the dimension of the new embeddings. Raise `EmbeddingError` if it is above `dim`."""
    if dimension is not None and check_integer("dimension", dimension) > dim:
        raise EmbeddingError(f"dimension must be at most {dim}, the dimension of the embeddings, got {dimension}")
    return dim if dimension is None else int(dimension)


def fit_head(x: Tensor, labels: RowLabels, weight: Tensor, settings: HeadSettings) -> LinearHead:
    """Train a head from a first weight, without checks. See `train_head`.

    Args:
        x: `(n, dim)`, the embeddings.
        labels: the labels of the n rows.
        weight: `(out_dim, dim)`, the weight before the first step; it is not changed.
        settings: the settings of the training.
    """
    weight = weight.clone().requires_grad_()
    label_ids = torch.as_tensor(labels.ids, device=x.device)
    loss = labels.loss(settings.margin, jaccard_weights=settings.jaccard_weights)
    generator = torch.Generator(x.device).manual_seed(settings.seed)
    optimizer = torch.optim.Adam([weight], lr=settings.learning_rate)
    warmup = max(1, settings.steps // 10)
    for step, batch in zip(range(settings.steps), _batches(labels, settings), strict=False):
        rate = min((step + 1) / warmup, (settings.steps - step) / settings.steps)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * rate
        rows = float_unit_rows(x[batch])
        if settings.dropout:
            rows = rows * torch.empty_like(rows).bernoulli_(1 - settings.dropout, generator=generator)
        optimizer.zero_grad()
        head_loss(rows, label_ids[batch], weight, loss).backward()
        optimizer.step()
    return LinearHead(weight.detach())


def head_loss(rows: Tensor, label_ids: Tensor, weight: Tensor, loss: LossOfRows) -> Tensor:
    """Return the loss of rows `(batch, dim)` after a head with this weight."""
    return loss(distances.unit_rows(rows @ weight.T), label_ids)


def initial_weight(x: Tensor, dimension: int) -> Tensor:
    """Return the identity `(dim, dim)`, or the first principal directions `(dimension, dim)` of the rows."""
    dim = x.shape[1]
    if dimension == dim:
        return torch.eye(dim, device=x.device)
    sample = x[:: -(-len(x) // _MAX_PRINCIPAL_ROWS)]
    total, products = (torch.zeros(dim, *size, dtype=torch.float64, device=x.device) for size in ((), (dim,)))
    for block in sample.split(_BLOCK_ROWS):
        rows = float_unit_rows(block).double()
        total += rows.sum(dim=0)
        products += rows.T @ rows
    mean = total / len(sample)
    directions: Tensor = torch.linalg.eigh(products / len(sample) - torch.outer(mean, mean)).eigenvectors
    return directions.flip(1)[:, :dimension].T.float().contiguous()


def default_batch_size(labels: RowLabels) -> int:
    """Return the number of rows in a batch, see `HeadSettings`.

    The time of a step grows with the number of pairs of an anchor and a positive. If labels are few, half of the rows
    take a third of the time, and the head is as good (measured, see dev/LOG.md).
    """
    return _BATCH // 2 if labels.are_few() else _BATCH


def _batches(labels: RowLabels, settings: HeadSettings) -> Iterator[Tensor]:
    """Yield the row numbers of the batches, epoch after epoch."""
    size = settings.batch_size or default_batch_size(labels)
    samples = settings.samples_per_label or _samples_per_label(labels.counts(), size)
    size = samples * max(2, size // samples)
    sampler = labels.sampler(size, samples, settings.seed)
    epoch = 0
    while True:
        sampler.set_epoch(epoch)
        yield from torch.from_numpy(sampler.batches())
        epoch += 1


def _samples_per_label(counts: np.ndarray, batch_size: int) -> int:
    """Return the number of rows of each label that puts all labels into a batch, within limits; see `HeadSettings`."""
    return max(2, min(batch_size // 2, max(4, min(batch_size // len(counts), int(np.median(counts))))))
