"""Score heads by cross-validation over the rows that they would be trained on.

Each candidate is trained on the rows outside a fold, and scored by the rows of the fold: how well they find the other
rows of their label (MAP@R), and how often a classifier gives them their label (accuracy). Both matter to a user, and
they disagree: a head without dropout fits the labels more closely, which raises MAP@R and may lower the accuracy if
there are few rows.

If rows have several labels, no classifier gives one, and MAP@R decides alone; rows that share a label are relevant.
With nested labels, MAP@R is the mean over the levels, because the head is trained for all of them: a head that only
separates the complete labels may move siblings apart.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tercet._durations import SHORTEST_FORECAST, in_words
from tercet.data.splits.folds import deal_folds
from tercet.evaluation.balanced_sample import first_rows_of_each_label, rows_per_label
from tercet.evaluation.classifiers import logistic_regression, rows_to_fit
from tercet.heads.decision import HeadScore, ScoredRows
from tercet.heads.labels import RowLabels
from tercet.heads.linear import LinearHead
from tercet.heads.scoring import score_labels
from tercet.heads.training import HeadSettings, default_batch_size, fit_head, initial_weight

logger = logging.getLogger(__name__)

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


def cross_validate(
    x: Tensor,
    labels: RowLabels,
    keys: Sequence[str],
    out_dim: int,
    seed: int,
    candidates: list[HeadSettings],
    *,
    with_regression: bool,
) -> tuple[list[HeadScore], ScoredRows | None]:
    """Return the scores of no head and of each candidate, and the scored rows; none if no fold can be scored.

    If it will take long, a line of the log says how long after the first fold.

    Args:
        x: `(n, dim)`, the embeddings.
        labels: their n labels.
        keys: a key of each row. Rows with the same key are in the same fold.
        out_dim: the dimension of the new embeddings.
        seed: the seed of the folds and of the sample.
        candidates: the settings of the heads.
        with_regression: whether to measure a logistic regression on the embeddings without a head, too.
    """
    if len(labels) < _MIN_ROWS:
        return [], None
    strata = labels.strata()
    rows = _sample(strata, seed)
    fold_of_row = deal_folds([keys[row] for row in rows], strata[rows], _FOLDS, seed)
    found: list[Tensor] = []
    scored: list[np.ndarray] = []
    by_regression: list[np.ndarray | None] = []
    start = time.monotonic()
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
            if len(scored) == 1:
                _log_forecast(time.monotonic() - start, len(queries), candidates)
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


def _log_forecast(seconds: float, num_queries: int, candidates: Sequence[HeadSettings]) -> None:
    """Log how long all folds and the final training take, if that is long.

    Args:
        seconds: the seconds of the first fold.
        num_queries: the number of rows that were scored in it.
        candidates: the settings of the heads.
    """
    folds = min(_FOLDS, math.ceil(_MIN_SCORED_ROWS / num_queries))
    # The final training has more steps, and twice the batch size.
    final = 2 * max(candidate.steps for candidate in candidates) / _FOLD_STEPS / len(candidates)
    if (expected := seconds * (folds + final)) >= SHORTEST_FORECAST:
        logger.info(f"the choice of the head takes about {in_words(expected)}")


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
