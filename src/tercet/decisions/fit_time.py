"""Estimate how long it takes to fit a classifier, so that a run with a time limit keeps time for it."""

import time
from collections.abc import Sequence
from functools import cache

import torch

from tercet.decisions.predictions import MAX_PRODUCTS
from tercet.evaluation.classifiers import PENALTY
from tercet.evaluation.logistic import SCALE, fit_logistic

# The size of the regression whose time is measured: its rows, and rows × labels × dimension. It takes a fraction of a
# second on two CPU cores. Fewer rows would measure the work that does not depend on them.
_SAMPLE_ROWS = 500
_SAMPLE_PRODUCTS = 30_000_000
# `fit_rows` takes about as long as this number of logistic regressions on its rows.
_REGRESSIONS, _REGRESSIONS_IN_FOLDS = 4, 8


def seconds_to_fit(num_rows: int, num_labels: int, dims: Sequence[int], *, held_out: bool) -> float:
    """Estimate the seconds of `fit_rows` by the time of a logistic regression on a few random rows and labels.

    Args:
        num_rows: the number of training rows.
        num_labels: the number of labels.
        dims: the dimension of the embeddings; two if there are also those before the head.
        held_out: whether there are calibration rows. If not, the classifier is fitted to folds as well.
    """
    seconds = 0.0
    for dim in dims:
        rows = max(1, min(num_rows, MAX_PRODUCTS // (num_labels * dim)))
        sample = min(rows, _SAMPLE_ROWS)
        labels = min(num_labels, max(2, _SAMPLE_PRODUCTS // (sample * dim)))
        seconds += _seconds_of_regression(sample, labels, dim) * (rows / sample) * (num_labels / labels)
    return seconds * (_REGRESSIONS if held_out else _REGRESSIONS_IN_FOLDS)


@cache
def _seconds_of_regression(num_rows: int, num_labels: int, dim: int) -> float:
    """Measure the seconds of a logistic regression on random rows, once in a process."""
    x = torch.randn(num_rows, dim, generator=torch.Generator().manual_seed(0)) * (SCALE / dim**0.5)
    label_ids = torch.arange(num_rows) % num_labels
    # The first regression of a process loads parts of torch, which takes seconds.
    fit_logistic(x[:2], label_ids[:2], num_labels, SCALE**2 * PENALTY)
    start = time.perf_counter()
    fit_logistic(x, label_ids, num_labels, SCALE**2 * PENALTY)
    return time.perf_counter() - start
