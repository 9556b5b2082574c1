"""Estimate how long it takes to fit a classifier, so that a run with a time limit keeps time for it."""

import time
from collections.abc import Sequence

import torch

from tercet.decisions.predictions import MAX_PRODUCTS
from tercet.evaluation.classifiers import PENALTY
from tercet.evaluation.logistic import SCALE, fit_logistic

# The rows of the regression whose time is measured. It takes a fraction of a second.
_SAMPLE_ROWS = 1000
# `fit_rows` takes about as long as this number of logistic regressions on its rows.
_REGRESSIONS, _REGRESSIONS_IN_FOLDS = 4, 8


def seconds_to_fit(num_rows: int, num_labels: int, dims: Sequence[int], *, held_out: bool) -> float:
    """Estimate the seconds of `fit_rows` by the time of a logistic regression on a few random rows.

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
        x = torch.randn(sample, dim, generator=torch.Generator().manual_seed(0)) * (SCALE / dim**0.5)
        start = time.perf_counter()
        fit_logistic(x, torch.arange(sample) % num_labels, num_labels, SCALE**2 * PENALTY)
        seconds += (time.perf_counter() - start) * rows / sample
    return seconds * (_REGRESSIONS if held_out else _REGRESSIONS_IN_FOLDS)
