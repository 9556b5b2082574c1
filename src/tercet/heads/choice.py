"""Choose a head by cross-validation over the rows that it would be trained on, or no head if none is better."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tercet import distances
from tercet.data.loading.vectors import vector_keys
from tercet.errors import DataError, EmbeddingError
from tercet.heads.cross_validation import cross_validate
from tercet.heads.decision import HeadScore, decide
from tercet.heads.labels import NestedLabels
from tercet.heads.linear import LinearHead
from tercet.heads.training import (
    HeadSettings,
    check_new_dimension,
    check_rows,
    fit_head,
    initial_weight,
)

# The candidates differ in dropout only. Of all settings, its best value depends most on the data.
CANDIDATES = tuple(HeadSettings(dropout=dropout) for dropout in (0.0, 0.1, 0.3, 0.5))


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadChoice:
    """The chosen head.

    Attributes:
        head: the head, trained on all rows; None if no head is better than none.
        settings: the settings of its training; None for no head.
        scores: the scores of the candidates; the first one is that of no head. Empty if there are too few rows.
        reason: the reason in one sentence, with the scores.
    """

    head: LinearHead | None
    settings: HeadSettings | None
    scores: list[HeadScore]
    reason: str


def choose_head(
    embeddings: Any,
    labels: Any,
    *,
    keys: Sequence[str] | None = None,
    dimension: int | None = None,
    seed: int = 0,
    candidates: Sequence[HeadSettings] = CANDIDATES,
    allow_none: bool = True,
    beat_regression: bool = False,
    label_levels: str | None = None,
    jaccard_weights: bool = False,
) -> HeadChoice:
    """Choose the settings of a head by cross-validation, and train it on all rows.

    The candidate with the highest score wins. No head wins if the winner is not better by two standard errors, or if
    the labels are at chance: no classifier is better than always giving the most frequent label, or than at random if
    each label counts equally.
    With a smaller `dimension`, "no head" means the first principal directions, which are then returned as a head.

    Args:
        embeddings: `(n, dim)`, a tensor, an array or nested lists of floating-point numbers.
        labels: `(n,)`, the label of each row: all integers, or all strings; or a list or a set of labels of each row.
        keys: a key of each row. Rows with the same key, such as copies of a text, are in the same fold. By default,
            equal embeddings have the same key.
        dimension: the dimension of the new embeddings, at most `dim`; None keeps `dim`.
        seed: the seed of the folds and of the training.
        candidates: the settings to choose from. Their seed is replaced by `seed`.
        allow_none: whether to return no head if none of the candidates is better.
        beat_regression: return no head, if `allow_none`, whose accuracy is more than half a point below that of a
            logistic regression on the embeddings without a head. For a head before the training of an encoder on few
            rows of each label: such a head has learned the rows rather than the labels, and leaves little for the
            encoder to learn. Several labels of a row have no accuracy, so it has no effect on them.
        label_levels: the separator of the levels of nested labels, see `train_head`.
        jaccard_weights: whether all candidates have `jaccard_weights`, see `HeadSettings`.

    Raises:
        EmbeddingError: the embeddings or the labels are invalid or not equally many, or `dimension` is above `dim`.
        DataError: no batch can contain a triplet, a setting is invalid, or no label has several levels.

    Example:
        >>> import torch
        >>> labels = torch.arange(240) % 3
        >>> embeddings = torch.nn.functional.one_hot(labels, 8) + torch.randn(240, 8, generator=torch.manual_seed(0))
        >>> choice = choose_head(embeddings, labels, allow_none=False)
        >>> choice.head(embeddings).shape
        torch.Size([240, 8])
    """
    candidates = [
        replace(candidate, seed=seed, jaccard_weights=candidate.jaccard_weights or jaccard_weights)
        for candidate in candidates
    ]
    if not candidates:
        raise DataError("candidates must have at least one item")
    for candidate in candidates:
        candidate.check()
    x, rows = check_rows(embeddings, labels, label_levels)
    out_dim = check_new_dimension(dimension, x.shape[1])
    if keys is None:
        keys = vector_keys(distances.at_least_float32(x).cpu().numpy())
    if len(keys) != len(x):
        raise EmbeddingError(f"got {len(x)} embeddings and {len(keys)} keys; pass one key per embedding")
    start = initial_weight(x, out_dim)
    scores, scored = cross_validate(x, rows, keys, out_dim, seed, candidates, with_regression=beat_regression)
    metric = "MAP@R, the mean over the levels," if isinstance(rows, NestedLabels) else "MAP@R"
    settings, reason = decide(scores, candidates, metric, scored=scored, allow_none=allow_none)
    head = None if out_dim == x.shape[1] else LinearHead(start)
    if settings is not None:
        head = fit_head(x, rows, start, settings)
    return HeadChoice(head=head, settings=settings, scores=scores, reason=reason)
