"""Fit a classifier to labelled embeddings, add rows to it, and let it score new embeddings.

`fit_rows` makes all choices; `add_rows` keeps them. The encoder is not needed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet.decisions import novelty
from tercet.decisions.back_off import Ancestors
from tercet.decisions.calibration import fit_temperature
from tercet.decisions.candidates import Rows, fit, is_logistic, space_of
from tercet.decisions.choice import Choice, choose, choose_penalties, penalties_out_of_fold, usual_penalties
from tercet.decisions.models import LinearScores, Model
from tercet.decisions.novelty import Familiarity
from tercet.decisions.predictions import CandidatePredictions, fit_models, predict, predict_out_of_fold, rows_to_fit
from tercet.decisions.spaces import Spaces
from tercet.decisions.unknown import tuned_to
from tercet.decisions.updates import refit_labels
from tercet.records.classifier import TRAINED_ON_BASIS

# If more labels than this have new rows, fitting them one by one takes longer than fitting all of them together.
_MAX_LABELS_ONE_BY_ONE = 20


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The answers of the classifier for rows that it has not seen.

    Attributes:
        confidence: the confidence of each row `(n,)`.
        correct: whether its label is predicted right `(n,)`.
        predicted_ids: the predicted label ids `(n,)`.
        runner_up_ids: the ids of the second likeliest labels `(n,)`.
        novelty: the novelty of each row `(n,)`.
        rows: the number of each row in the gallery `(n,)`.
        ancestor_confidence: that of the ancestors of the predicted labels `(s, n)`, see `Ancestors.confidence`.
        held_out: whether the rows are calibration data, which joined the gallery after its first rows. If not, the
            answers are out-of-fold predictions for the first rows.
        unseen: whether neither the classifier nor the encoder has seen these rows: then they support a promise.
        basis: where the rows come from, for messages.
    """

    confidence: np.ndarray
    correct: np.ndarray
    predicted_ids: np.ndarray
    runner_up_ids: np.ndarray
    novelty: np.ndarray
    rows: np.ndarray
    ancestor_confidence: np.ndarray
    held_out: bool
    unseen: bool
    basis: str


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted classifier.

    Attributes:
        rows: the training rows, the gallery.
        models: the fitted candidates: the members of the choice, and the logistic regressions.
        choice: the members, their temperatures and penalties.
        calibration: the answers for unseen rows.
        familiarity: the familiarity of unseen rows; None if there was none.
        max_novelty: the novelty above which a sentence is probably unknown, tuned to unknown sentences; None if none
            were given.
        ancestors: the ancestors of nested labels; None for labels without levels.
    """

    rows: Rows
    models: dict[str, Model]
    choice: Choice
    calibration: Calibration
    familiarity: Familiarity | None
    max_novelty: float | None = None
    ancestors: Ancestors | None = None

    def log_probabilities(self, x: Spaces) -> Tensor:
        """Return the log-probability of each label: `n rows → (n, num_labels)`."""
        by_name = {name: self.models[name].log_probabilities(space_of(name, x)) for name in self.choice.temperatures}
        return self.choice.log_probabilities(by_name)

    def novelty(self, x: Spaces, predicted: Tensor) -> np.ndarray:
        """Return the novelty of n rows `(n,)`; NaN if it cannot be measured."""
        if self.familiarity is None or not len(x):
            return np.full(len(x), np.nan)
        return self.familiarity.novelty(novelty.quantities(self.rows, self.models, x, predicted))


def fit_rows(
    rows: Rows,
    keys: Sequence[str],
    *,
    calibration: Rows | None = None,
    unseen: bool,
    trained_on: bool = False,
    unknown: Spaces | None = None,
    method: str = "auto",
    ancestors: Ancestors | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit a classifier, choose its members, and measure it on rows that it has not seen.

    Args:
        rows: the training rows.
        keys: the text of each row, or another key. Rows with the same key are in the same fold.
        calibration: rows that neither the classifier nor the encoder has seen; they join the training rows afterwards.
            None measures by folds of the training rows.
        unseen: whether the encoder has not been trained on the training rows.
        trained_on: whether the encoder is known to have been trained on most of them; then they choose nothing.
        unknown: embeddings of sentences that belong to no label.
        method: "auto", or the name of the only member.
        ancestors: the ancestors of nested labels; None for labels without levels.
        seed: the seed of folds and samples.
    """
    if calibration is None:
        penalties = usual_penalties(rows.spaces) if trained_on else penalties_out_of_fold(rows, keys, seed=seed)
        predictions = predict_out_of_fold(rows, keys, penalties, seed=seed)
        basis, first = TRAINED_ON_BASIS if trained_on else "out-of-fold predictions for the training rows", 0
        models = fit_models(rows, penalties, seed=seed)
    else:
        penalties = choose_penalties(rows, calibration.spaces, calibration.label_ids, seed=seed)
        models = fit_models(rows, penalties, seed=seed)
        predictions = predict(rows, models, calibration.spaces, calibration.label_ids)
        basis, unseen, first = "calibration rows that were not trained on", True, len(rows.label_ids)
        rows = Rows(
            spaces=rows.spaces + calibration.spaces,
            label_ids=torch.cat([rows.label_ids, calibration.label_ids]),
            num_labels=rows.num_labels,
        )
        models = fit_models(rows, penalties, seed=seed, starts=models)
    choice = choose(predictions, penalties, method=method, trained_on=trained_on and calibration is None)
    if not predictions.known.any():  # as with one row per label: nothing can be predicted right
        choice = replace(choice, temperature=_cautious_temperature(rows, models, choice))
    of_known = predictions.quantities[predictions.known.numpy()]
    familiarity = Familiarity.of(of_known) if len(of_known) > 1 else None
    fitted = Fitted(
        rows=rows,
        models={name: model for name, model in models.items() if name in choice.temperatures or is_logistic(name)},
        choice=choice,
        calibration=_calibration(predictions, choice, familiarity, ancestors, first=first, unseen=unseen, basis=basis),
        familiarity=familiarity,
        ancestors=ancestors,
    )
    if unknown is None or familiarity is None:
        return fitted
    found = novelty.quantities(fitted.rows, fitted.models, unknown, fitted.log_probabilities(unknown).argmax(dim=1))
    familiarity, max_novelty = tuned_to(of_known, found)
    calibration_novelty = familiarity.novelty(predictions.quantities)
    return replace(
        fitted,
        familiarity=familiarity,
        max_novelty=max_novelty,
        calibration=replace(fitted.calibration, novelty=calibration_novelty),
    )


def _cautious_temperature(rows: Rows, models: Mapping[str, Model], choice: Choice) -> float:
    """Return the temperature at which the training rows themselves have a confidence of about a half."""
    log_p = choice.log_probabilities(
        {name: models[name].log_probabilities(space_of(name, rows.spaces)) for name in choice.temperatures}
    )
    return fit_temperature(log_p, rows.label_ids, smoothing=0.5)


def _calibration(
    predictions: CandidatePredictions,
    choice: Choice,
    familiarity: Familiarity | None,
    ancestors: Ancestors | None,
    *,
    first: int,
    unseen: bool,
    basis: str,
) -> Calibration:
    """Return the answers for unseen rows. `first` is the number of the first of them in the gallery."""
    where: dict[str, Any] = {"held_out": first > 0, "unseen": unseen, "basis": basis}
    if not len(predictions.rows):
        none, no_ids = np.empty(0), np.empty(0, dtype=np.int64)
        return Calibration(
            confidence=none, correct=no_ids == 1, predicted_ids=no_ids, runner_up_ids=no_ids, novelty=none,
            rows=no_ids, ancestor_confidence=_without_ancestors(0, ancestors), **where,
        )  # fmt: skip
    log_p = choice.log_probabilities(predictions.log_probabilities)
    probability, likeliest = log_p.exp().topk(2, dim=1)
    count = len(predictions.rows)
    return Calibration(
        confidence=probability[:, 0].double().numpy(),
        correct=(likeliest[:, 0] == predictions.label_ids).numpy(),
        predicted_ids=likeliest[:, 0].numpy(),
        runner_up_ids=likeliest[:, 1].numpy(),
        novelty=np.full(count, np.nan) if familiarity is None else familiarity.novelty(predictions.quantities),
        rows=first + predictions.rows.numpy(),
        ancestor_confidence=_without_ancestors(count, ancestors)
        if ancestors is None
        else ancestors.confidence(log_p, likeliest[:, 0].numpy()),
        **where,
    )


def _without_ancestors(count: int, ancestors: Ancestors | None) -> np.ndarray:
    return np.zeros((0 if ancestors is None else len(ancestors.of_label), count))


def add_rows(fitted: Fitted, new: Spaces, label_ids: Tensor, num_labels: int, *, seed: int = 0) -> Fitted:
    """Return the classifier with more training rows. Members, temperatures and calibration stay.

    Args:
        fitted: the classifier.
        new: the embeddings of the new rows.
        label_ids: their label ids; ids of new labels follow those of the old ones.
        num_labels: the number of labels, the new ones included.
        seed: the seed of samples.
    """
    rows = Rows(
        spaces=fitted.rows.spaces + new,
        label_ids=torch.cat([fitted.rows.label_ids, label_ids]),
        num_labels=num_labels,
    )
    changed = label_ids.unique()
    small = rows.select(rows_to_fit(rows, seed=seed))
    models: dict[str, Model] = {}
    for name, model in fitted.models.items():
        penalty = fitted.choice.penalties[name]
        if is_logistic(name) and isinstance(model, LinearScores):
            if len(changed) <= _MAX_LABELS_ONE_BY_ONE:
                x = space_of(name, small.spaces)
                models[name] = refit_labels(model, x, small.label_ids, changed, num_labels, penalty)
            else:
                models |= fit_models(rows, {name: penalty}, seed=seed, starts={name: model})
        else:
            models[name] = fit(name, rows)
    return replace(fitted, rows=rows, models=models)
