"""Choose a head by cross-validation over the rows that it would be trained on, or no head if none is better.

Each candidate is trained on the rows outside a fold, and scored by the rows of the fold: how well they find the other
rows of their label (MAP@R), and how often a classifier gives them their label (accuracy). Both matter to a user, and
they disagree: a head without dropout fits the labels more closely, which raises MAP@R and may lower the accuracy if
there are few rows.

If rows have several labels, no classifier gives one, and MAP@R decides alone; rows that share a label are relevant.
With nested labels, MAP@R is the mean over the levels, because the head is trained for all of them: a head that only
separates the complete labels may move siblings apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.data.loading.vectors import vector_keys
from tercet.data.splits.folds import deal_folds
from tercet.errors import DataError, EmbeddingError
from tercet.evaluation.balanced_sample import first_rows_of_each_label, rows_per_label
from tercet.evaluation.classifiers import logistic_regression, rows_to_fit
from tercet.heads.decision import HeadScore, ScoredRows, decide
from tercet.heads.labels import NestedLabels, RowLabels
from tercet.heads.linear import LinearHead
from tercet.heads.scoring import score_labels
from tercet.heads.training import (
    HeadSettings,
    check_new_dimension,
    check_rows,
    default_batch_size,
    fit_head,
    initial_weight,
)

# The candidates differ in dropout only. Of all settings, its best value depends most on the data.
CANDIDATES = tuple(HeadSettings(dropout=dropout) for dropout in (0.0, 0.1, 0.3, 0.5))

_FOLDS = 4
# As many folds are used as have this number of rows together. The standard error of an accuracy is then about 0.01.
_MIN_SCORED_ROWS = 1_500
# With fewer rows, no difference between candidates is beyond noise.
_MIN_ROWS = 100
# Larger data are sampled, because the time of a score grows with the square of the number of rows.
_MAX_ROWS = 20_000
# The training in a fold takes about a second. It ranks the candidates as the complete training does. If a candidate has
# no batch size, the default is halved.
_FOLD_STEPS, _FOLD_BATCH = 150, 256


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
    scores, scored = _cross_validate(x, rows, keys, out_dim, seed, candidates, with_regression=beat_regression)
    metric = "MAP@R, the mean over the levels," if isinstance(rows, NestedLabels) else "MAP@R"
    settings, reason = decide(scores, candidates, metric, scored=scored, allow_none=allow_none)
    head = None if out_dim == x.shape[1] else LinearHead(start)
    if settings is not None:
        head = fit_head(x, rows, start, settings)
    return HeadChoice(head=head, settings=settings, scores=scores, reason=reason)


def _cross_validate(
    x: Tensor,
    labels: RowLabels,
    keys: Sequence[str],
    out_dim: int,
    seed: int,
    candidates: list[HeadSettings],
    *,
    with_regression: bool,
) -> tuple[list[HeadScore], ScoredRows | None]:
    """Return the scores of no head and of each candidate, and the scored rows; none if no fold can be scored."""
    if len(labels) < _MIN_ROWS:
        return [], None
    strata = labels.strata()
    rows = _sample(strata, seed)
    fold_of_row = deal_folds([keys[row] for row in rows], strata[rows], _FOLDS, seed)
    found: list[Tensor] = []
    scored: list[np.ndarray] = []
    by_regression: list[np.ndarray | None] = []
    for fold in range(_FOLDS):
        inside, outside = rows[fold_of_row == fold], rows[fold_of_row != fold]
        reference = labels.take(outside)
        positives = labels.take(inside).num_positives(reference)
        # If each query shared a label with all rows, no ranking could be wrong.
        if reference.have_triplet() and ((positives > 0) & (positives < len(reference))).any():
            queries = inside[positives > 0]
            found.append(_score_fold(x, labels, outside, queries, out_dim, candidates))
            scored.append(strata[queries])
            by_regression.append(_found_by_regression(x, strata, outside, queries) if with_regression else None)
        if sum(map(len, scored)) >= _MIN_SCORED_ROWS:
            break
    if not found:
        return [], None
    ap, *correct = torch.cat(found, dim=1).unbind(dim=2)
    accurate, score = None, ap
    if correct:
        by_neighbours, by_means = correct
        accurate = torch.where((by_means.mean(1) > by_neighbours.mean(1)).unsqueeze(1), by_means, by_neighbours)
        score = (2 * accurate + ap) / 3
    differences = score - score[0]
    errors = differences.std(dim=1) / len(score[0]) ** 0.5
    scores = [
        HeadScore(
            settings=settings,
            map_at_r=float(ap[number].mean()),
            accuracy=None if accurate is None else float(accurate[number].mean()),
            score=float(score[number].mean()),
            standard_error=float(errors[number]),
        )
        for number, settings in enumerate([None, *candidates])
    ]
    given = torch.cat(correct).numpy() if correct else np.empty((0, len(score[0])))
    known = [part for part in by_regression if part is not None]
    regression = float(np.concatenate(known).mean()) if len(known) == len(scored) else None
    return scores, ScoredRows(label_ids=np.concatenate(scored), correct=given, regression_accuracy=regression)


def _found_by_regression(
    x: Tensor, label_ids: np.ndarray, outside: np.ndarray, queries: np.ndarray
) -> np.ndarray | None:
    """Return whether a regression on the rows outside a fold finds the label of each query; None with too many labels.

    Args:
        x: `(n, dim)`, the embeddings.
        label_ids: their label ids `(n,)`.
        outside: the rows outside the fold.
        queries: the rows of the fold `(q,)`.
    """
    ids = torch.from_numpy(label_ids[outside])
    fitted = rows_to_fit(ids, x.shape[1])
    if fitted is None:
        return None
    predicted = logistic_regression(x[outside][fitted], ids[fitted].to(x.device), x[queries])
    found: np.ndarray = predicted.cpu().numpy() == label_ids[queries]
    return found


def _score_fold(
    x: Tensor,
    labels: RowLabels,
    outside: np.ndarray,
    queries: np.ndarray,
    out_dim: int,
    candidates: list[HeadSettings],
) -> Tensor:
    """Return the scores of each query after each head, float64 `(1 + num_candidates, num_queries, 3)` or `(…, 1)`.

    They are those of `score_labels`.

    Args:
        x: `(n, dim)`, the embeddings.
        labels: the labels of the n rows.
        outside: the rows to train on.
        queries: the rows to score.
        out_dim: the dimension of the new embeddings.
        candidates: the settings of the heads. The first result is that of no head.
    """
    reference, held_out = x[outside], x[queries]
    given, wanted = labels.take(outside), labels.take(queries)
    start = initial_weight(reference, out_dim)
    heads = [LinearHead(start)]
    for settings in candidates:
        size = min(settings.batch_size or default_batch_size(given) // 2, _FOLD_BATCH)
        settings = replace(
            settings,
            steps=min(settings.steps, _FOLD_STEPS),
            batch_size=max(size, 2 * (settings.samples_per_label or 2)),
        )
        heads.append(fit_head(reference, given, start, settings))
    mapped = ((head(reference).cpu(), head(held_out).cpu()) for head in heads)
    return torch.stack([score_labels(found, given, rows, wanted) for found, rows in mapped])


def _sample(label_ids: np.ndarray, seed: int) -> np.ndarray:
    """Return all rows, or a random sample of them in which each label has the same number of rows or all it has.

    If that would leave fewer than 4 rows of each label, the sample has random labels with 4 rows.
    """
    if len(label_ids) <= _MAX_ROWS:
        return np.arange(len(label_ids))
    rng = np.random.default_rng(seed)
    counts, ids = np.bincount(label_ids), torch.from_numpy(label_ids)
    per_label = rows_per_label(torch.from_numpy(counts), _MAX_ROWS, least=4)
    order = first_rows_of_each_label(torch.from_numpy(rng.permutation(len(label_ids))), ids, per_label).numpy()
    labels = rng.permutation(len(counts))
    taken = labels[np.cumsum(np.minimum(counts, per_label)[labels]) <= _MAX_ROWS]
    return np.sort(order[np.isin(label_ids[order], taken)])
