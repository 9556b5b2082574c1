"""Fit the candidates, and predict rows that they were not fitted to.

Each row is predicted by a classifier that was fitted to the other folds. If the encoder was trained on these rows, its
embeddings already know their labels, and such predictions look too good. Then rows that the encoder has not seen must
decide (`calibration_data.py`), and no folds are needed.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet.data.cleaning.copies import first_occurrences
from tercet.data.splits.folds import deal_folds
from tercet.decisions import novelty
from tercet.decisions.candidates import Rows, fit, is_logistic, space_of
from tercet.decisions.models import Model
from tercet.decisions.spaces import Spaces
from tercet.evaluation.balanced_sample import balanced_rows

logger = logging.getLogger(__name__)

NUM_FOLDS = 5
# Above this number of rows × labels × dimensions, a logistic regression is fitted to a sample of the rows. At the
# limit, a fit takes about ten seconds on two cores. In a fold, the limit is a third.
MAX_PRODUCTS = 3_000_000_000
# Out-of-fold predictions are made for a sample of the rows above this number of rows × labels: 64 MiB of float32.
_MAX_PREDICTIONS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class CandidatePredictions:
    """The predictions of the candidates for n rows that they were not fitted to.

    Attributes:
        rows: the numbers of the rows `(n,)`.
        label_ids: their labels `(n,)`.
        known: whether the label has a row among those that the candidates were fitted to `(n,)`.
        log_probabilities: `(n, num_labels)` for each candidate.
        quantities: how familiar each row is, see `novelty.quantities`.
    """

    rows: Tensor
    label_ids: Tensor
    known: Tensor
    log_probabilities: dict[str, Tensor]
    quantities: np.ndarray


def rows_to_fit(rows: Rows, *, seed: int, max_products: int = MAX_PRODUCTS) -> Tensor:
    """Return the numbers of the rows to fit a logistic regression to: all, or a balanced sample of them."""
    dim = max(values.shape[1] for _, values in rows.spaces.items())
    return balanced_rows(rows.label_ids, max_products // (rows.num_labels * dim), least=1, seed=seed)


def predict_out_of_fold(
    rows: Rows, keys: Sequence[str], penalties: Mapping[str, float], *, seed: int
) -> CandidatePredictions:
    """Predict each row by candidates that are fitted to the other folds. Of many rows, a random sample is predicted.

    Of the rows with the same text and label, one is predicted. Copies are not independent: if each one counted, one
    text could count as many right answers, and the promised precision would be too high.

    The sample has the mix of labels of all rows, because the thresholds are chosen on it. Rows whose label has no row
    in the other folds are predicted too, always wrongly, because no candidate can know the label: so it is with new
    sentences of a label that has one row.
    """
    folds = torch.from_numpy(deal_folds(keys, rows.label_ids.numpy(), NUM_FOLDS, seed))
    order = torch.randperm(len(folds), generator=torch.Generator().manual_seed(seed))
    in_sample = torch.zeros(len(folds), dtype=torch.bool)
    distinct = torch.zeros(len(folds), dtype=torch.bool)
    distinct[first_occurrences(zip(keys, rows.label_ids.tolist(), strict=True))] = True
    if copies := int((~distinct).sum()):
        logger.info(f"{copies:,} of {len(keys):,} rows repeat a text with its label, and are not measured again")
    order = order[distinct[order]]
    in_sample[order[: max(NUM_FOLDS, _MAX_PREDICTIONS // rows.num_labels)]] = True
    parts = []
    for fold in range(NUM_FOLDS):
        inside, outside = in_sample & (folds == fold), (folds != fold).nonzero().flatten()
        if not len(outside):
            continue
        part, numbers = rows.select(outside), inside.nonzero().flatten()
        if len(numbers):
            models = fit_models(part, penalties, seed=seed, max_products=MAX_PRODUCTS // 3)
            parts.append((numbers, predict(part, models, rows.spaces[numbers], rows.label_ids[numbers])))
    if not parts:
        empty = torch.empty(0, dtype=torch.long)
        return CandidatePredictions(
            rows=empty, label_ids=empty, known=empty == 1, log_probabilities={}, quantities=np.empty((0, 0))
        )
    predicted = torch.cat([numbers for numbers, _ in parts])
    order = predicted.argsort()
    return CandidatePredictions(
        rows=predicted[order],
        label_ids=torch.cat([found.label_ids for _, found in parts])[order],
        known=torch.cat([found.known for _, found in parts])[order],
        log_probabilities={
            name: torch.cat([found.log_probabilities[name] for _, found in parts])[order] for name in penalties
        },
        quantities=np.concatenate([found.quantities for _, found in parts])[order.numpy()],
    )


def fit_models(
    rows: Rows,
    penalties: Mapping[str, float],
    *,
    seed: int,
    starts: Mapping[str, Model] | None = None,
    max_products: int = MAX_PRODUCTS,
) -> dict[str, Model]:
    """Fit all candidates: the logistic regressions to a sample if there are many rows, the others to all rows."""
    small = rows.select(rows_to_fit(rows, seed=seed, max_products=max_products))
    return {
        name: fit(name, small if is_logistic(name) else rows, penalty=penalty, start=(starts or {}).get(name))
        for name, penalty in penalties.items()
    }


def predict(rows: Rows, models: Mapping[str, Model], x: Spaces, label_ids: Tensor) -> CandidatePredictions:
    """Return what fitted candidates predict for rows that they were not fitted to.

    The quantities of novelty are those of the label that the logistic regressions predict. The choice is not made yet.
    """
    by_name = {name: model.log_probabilities(space_of(name, x)) for name, model in models.items()}
    likeliest = torch.stack([values for name, values in by_name.items() if is_logistic(name)]).sum(dim=0).argmax(dim=1)
    return CandidatePredictions(
        rows=torch.arange(len(label_ids)),
        label_ids=label_ids,
        known=(rows.counts() > 0)[label_ids],
        log_probabilities=by_name,
        quantities=novelty.quantities(rows, models, x, likeliest),
    )
