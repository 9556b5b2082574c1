"""Choose a classifier by predictions for rows that it was not fitted to, and set its temperature.

All candidates predict the rows. The one with the best mean log-probability is taken first; then others join as long as
the mean of their log-probabilities becomes better (ensemble selection, Caruana et al. 2004). The vote of the nearest
neighbours is taken first only if it is clearly better: where all neighbours agree, it gives every sentence the same
confidence, and then no threshold can separate sure answers from unsure ones.

If the encoder was trained on the rows that decide, nothing can be measured (`predictions.py`), and the logistic
regressions are taken: on the embeddings, and on those before the head if the model has one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.data.splits.folds import deal_folds
from tercet.decisions.calibration import fit_temperature, mean_loss
from tercet.decisions.candidates import PENALTIES, Rows, candidate_names, fit, is_logistic, space_of
from tercet.decisions.predictions import MAX_PRODUCTS, NUM_FOLDS, CandidatePredictions, rows_to_fit
from tercet.decisions.spaces import Spaces

_PENALTY = PENALTIES[1]
# With fewer rows to decide, the penalty is `_PENALTY`.
_MIN_ROWS_TO_CHOOSE = 30
# Another member must improve the mean log-probability by this much.
_MIN_GAIN = 0.001


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen classifier.

    Attributes:
        temperatures: the temperature of each member, by its name.
        temperature: that of the mean of their log-probabilities.
        penalties: λ of each fitted classifier, also of those that only measure novelty.
        accuracy: the accuracy of each candidate and of the choice (`chosen`) on the rows that decided.
        loss: the same, for the mean negative log-probability.
    """

    temperatures: dict[str, float]
    temperature: float
    penalties: dict[str, float]
    accuracy: dict[str, float]
    loss: dict[str, float]

    def log_probabilities(self, by_name: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probabilities of the chosen classifier, from those of its members: `(n, num_labels)`.

        They are float64, so that the probabilities of a row have the sum 1, as scikit-learn demands.
        """
        mean = sum(by_name[name] / t for name, t in self.temperatures.items()) / len(self.temperatures)
        assert isinstance(mean, Tensor)
        return torch.log_softmax(mean.double() / self.temperature, dim=1)


def usual_penalties(spaces: Spaces) -> dict[str, float]:
    """Return the penalty of each candidate where no rows can choose it."""
    return dict.fromkeys(candidate_names(spaces), _PENALTY)


def choose_penalties(rows: Rows, x: Spaces, label_ids: Tensor, *, seed: int) -> dict[str, float]:
    """Return the penalty of each candidate: that with which it predicts other rows best.

    Args:
        rows: the training rows.
        x: the embeddings of other rows, which decide.
        label_ids: their labels. Each of them has a training row.
        seed: the seed of samples.
    """
    penalties = usual_penalties(rows.spaces)
    if len(label_ids) < _MIN_ROWS_TO_CHOOSE:
        return penalties
    part = rows.select(rows_to_fit(rows, seed=seed, max_products=MAX_PRODUCTS // 2))
    for name in filter(is_logistic, penalties):
        model, losses = fit(name, part, penalty=_PENALTY), {}
        for penalty in PENALTIES:
            found = fit(name, part, penalty=penalty, start=model) if penalty != _PENALTY else model
            log_p = found.log_probabilities(space_of(name, x))
            losses[penalty] = _least_loss(log_p, label_ids)
        penalties[name] = min(losses, key=lambda penalty: losses[penalty])
    return penalties


def penalties_out_of_fold(rows: Rows, keys: Sequence[str], *, seed: int) -> dict[str, float]:
    """Return the penalty of each candidate: that with which it predicts the rows of one fold best.

    Args:
        rows: the training rows.
        keys: the text of each row, or another key. Rows with the same key are in the same fold.
        seed: the seed of the folds and of samples.
    """
    folds = torch.from_numpy(deal_folds(keys, rows.label_ids.numpy(), NUM_FOLDS, seed))
    part = rows.select((folds != 0).nonzero().flatten())
    inside = ((folds == 0) & (part.counts() > 0)[rows.label_ids]).nonzero().flatten()
    if not len(part.label_ids):
        return usual_penalties(rows.spaces)
    return choose_penalties(part, rows.spaces[inside], rows.label_ids[inside], seed=seed)


def choose(
    predictions: CandidatePredictions, penalties: Mapping[str, float], *, method: str = "auto", trained_on: bool = False
) -> Choice:
    """Choose the members of the classifier and its temperatures.

    Args:
        predictions: the predictions that decide.
        penalties: λ of each candidate.
        method: "auto" chooses; the name of a candidate takes it as the only member.
        trained_on: whether the encoder was trained on the rows that decide. Then "auto" takes the logistic regressions.
    """
    by_name, known = predictions.log_probabilities, predictions.known
    ids = predictions.label_ids[known]
    if not len(ids):  # Nothing can be measured.
        return Choice(
            temperatures={"class_means" if method == "auto" else method: 1.0},
            temperature=1.0,
            penalties=dict(penalties),
            accuracy={},
            loss={},
        )
    temperatures = {name: fit_temperature(values[known], ids) for name, values in by_name.items()}
    loss = {name: mean_loss(values[known], ids, temperatures[name]) for name, values in by_name.items()}
    measures = method == "auto" and not trained_on
    if method != "auto":
        members = [method]
    elif trained_on:
        members = list(filter(is_logistic, by_name))
    else:
        members = [_best_alone(loss)]
    total = torch.stack([by_name[name] / temperatures[name] for name in members]).sum(dim=0)
    best = loss[members[0]] if len(members) == 1 else _least_loss(total[known] / len(members), ids)
    while measures:
        tried = {}
        for name in by_name.keys() - set(members):
            mean = (total + by_name[name] / temperatures[name])[known] / (len(members) + 1)
            tried[name] = _least_loss(mean, ids)
        if not tried or min(tried.values()) > best - _MIN_GAIN:
            break
        joining = min(sorted(tried), key=lambda name: tried[name])
        members.append(joining)
        total, best = total + by_name[joining] / temperatures[joining], tried[joining]
    # Rows whose label no candidate knows count as wrong in the accuracy.
    scores = {**by_name, "chosen": total}
    return Choice(
        temperatures={name: temperatures[name] for name in members},
        temperature=fit_temperature(total[known] / len(members), ids),
        penalties=dict(penalties),
        accuracy={name: _accuracy(values, predictions.label_ids) for name, values in scores.items()},
        loss={**loss, "chosen": best},
    )


def _least_loss(log_probabilities: Tensor, label_ids: Tensor) -> float:
    """Return the mean negative log-probability at the best temperature."""
    return mean_loss(log_probabilities, label_ids, fit_temperature(log_probabilities, label_ids))


def _best_alone(loss: Mapping[str, float]) -> str:
    """Return the candidate to take first: that with the least loss, or one that is as good and does not vote."""
    limit = min(loss.values()) + _MIN_GAIN
    return min(loss, key=lambda name: (loss[name] > limit, name == "nearest_neighbours", loss[name]))


def _accuracy(log_probabilities: Tensor, label_ids: Tensor) -> float:
    return float((log_probabilities.argmax(dim=1) == label_ids).double().mean())
