import numpy as np
import pytest
import torch

from tercet.data.splits.folds import deal_folds
from tercet.decisions import choice, predictions
from tercet.decisions.calibration import mean_loss, softened
from tercet.decisions.candidates import METHODS, candidate_names, fit
from tercet.decisions.choice import choose, choose_penalties, penalties_out_of_fold
from tercet.decisions.predictions import CandidatePredictions, predict_out_of_fold
from tercet.evaluation.balanced_sample import balanced_rows
from tests.decisions.data import blobs, rows_of


def _predictions(by_name, ids):
    return CandidatePredictions(
        rows=torch.arange(len(ids)),
        label_ids=ids,
        known=torch.ones(len(ids), dtype=torch.bool),
        log_probabilities=by_name,
        quantities=np.zeros((len(ids), 1)),
    )


def _noisy(ids, strength, seed, labels=4):
    """Return log-probabilities that know the label, but for noise."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(len(ids), labels, generator=generator)
    return torch.log_softmax(scores + strength * torch.nn.functional.one_hot(ids, labels), dim=1)


def test_the_best_candidate_is_chosen():
    ids = torch.arange(400) % 4
    by_name = {"good": _noisy(ids, 4.0, 0), "bad": _noisy(ids, 0.1, 1)}
    found = choose(_predictions(by_name, ids), {"good": 0.1, "bad": 0.1})
    assert list(found.temperatures) == ["good"]
    assert found.accuracy["good"] == pytest.approx(float((by_name["good"].argmax(dim=1) == ids).double().mean()))
    assert found.accuracy["chosen"] == found.accuracy["good"]
    assert found.loss["good"] == pytest.approx(mean_loss(by_name["good"], ids, found.temperatures["good"]))


def test_a_vote_that_is_not_better_is_not_taken():
    ids = torch.arange(400) % 4
    sure = torch.log_softmax(30.0 * torch.nn.functional.one_hot(ids, 4), dim=1)
    by_name = {"nearest_neighbours": sure, "logistic_regression": _noisy(ids, 20.0, 0)}
    assert list(choose(_predictions(by_name, ids), dict.fromkeys(by_name, 0.1)).temperatures) == ["logistic_regression"]
    by_name["logistic_regression"] = _noisy(ids, 2.0, 0)
    assert list(choose(_predictions(by_name, ids), dict.fromkeys(by_name, 0.1)).temperatures) == ["nearest_neighbours"]


def test_independent_candidates_are_averaged():
    ids = torch.arange(800) % 4
    by_name = {str(seed): _noisy(ids, 2.0, seed) for seed in range(3)}
    found = choose(_predictions(by_name, ids), dict.fromkeys(by_name, 0.1))
    assert set(found.temperatures) == set(by_name)
    assert found.loss["chosen"] < min(found.loss[name] for name in by_name) - 0.05
    mean = sum(by_name[name] / found.temperatures[name] for name in by_name) / 3
    torch.testing.assert_close(
        found.log_probabilities(by_name), softened(mean.double(), found.temperature), atol=1e-4, rtol=0
    )


def test_copies_of_a_candidate_do_not_join():
    ids = torch.arange(200) % 4
    values = _noisy(ids, 2.0, 0)
    assert len(choose(_predictions({"a": values, "b": values.clone()}, ids), {"a": 0.1, "b": 0.1}).temperatures) == 1


def test_a_method_is_the_only_member():
    ids = torch.arange(200) % 4
    by_name = {"good": _noisy(ids, 4.0, 0), "bad": _noisy(ids, 0.1, 1)}
    found = choose(_predictions(by_name, ids), {"good": 0.1, "bad": 0.1}, method="bad")
    assert list(found.temperatures) == ["bad"]
    assert found.accuracy["chosen"] == found.accuracy["bad"]
    assert found.loss["chosen"] == found.loss["bad"]


def test_rows_that_the_encoder_was_trained_on_choose_nothing():
    ids = torch.arange(200) % 4
    weak = {name: _noisy(ids, 1.0, seed) for seed, name in enumerate(METHODS)}
    by_name = {**weak, "class_means": _noisy(ids, 9.0, 9)}
    predictions, penalties = _predictions(by_name, ids), dict.fromkeys(by_name, 0.1)
    assert next(iter(choose(predictions, penalties).temperatures)) == "class_means"
    found = choose(predictions, penalties, trained_on=True)
    assert list(found.temperatures) == ["logistic_regression", "logistic_regression_before_head"]
    both = sum(by_name[name] / t for name, t in found.temperatures.items()) / 2
    assert found.accuracy["chosen"] == pytest.approx(float((both.argmax(dim=1) == ids).double().mean()))
    assert found.loss["chosen"] == pytest.approx(mean_loss(both, ids, found.temperature), abs=1e-4)
    assert list(choose(predictions, penalties, method="class_means", trained_on=True).temperatures) == ["class_means"]


def test_without_rows_nothing_is_measured():
    none = torch.empty(0, dtype=torch.long)
    assert choose(_predictions({}, none), {"class_means": 0.1}).temperatures == {"class_means": 1.0}
    assert list(choose(_predictions({}, none), {}, method="shared_covariance").temperatures) == ["shared_covariance"]


def test_out_of_fold_predictions_are_those_of_a_loop():
    x, ids = blobs(60)
    data, keys = rows_of(x, ids), [f"key {row}" for row in range(60)]
    penalties = dict.fromkeys(candidate_names(data.spaces), 0.1)
    found = predict_out_of_fold(data, keys, penalties, seed=3)
    folds = deal_folds(keys, ids, 5, 3)
    assert found.rows.tolist() == list(range(60))
    for name in penalties:
        for fold in range(5):
            inside, outside = (torch.from_numpy(np.flatnonzero(part)) for part in (folds == fold, folds != fold))
            expected = fit(name, data.select(outside)).log_probabilities(data.spaces.embeddings[inside])
            torch.testing.assert_close(found.log_probabilities[name][inside], expected, atol=1e-4, rtol=1e-4)


def test_out_of_fold_predictions_know_nothing_of_random_labels():
    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=(300, 5)).astype(np.float32), rng.integers(0, 3, 300)
    # Copies would tell their labels, if they were in other folds.
    x, ids, keys = np.concatenate([x, x]), np.concatenate([ids, ids]), [str(row) for row in range(300)] * 2
    data = rows_of(x, ids)
    found = predict_out_of_fold(data, keys, dict.fromkeys(candidate_names(data.spaces), 0.1), seed=0)
    for values in found.log_probabilities.values():
        assert (values.argmax(dim=1) == found.label_ids).double().mean() < 0.45


def test_rows_whose_label_is_in_one_fold_only_are_predicted_wrongly():
    x, ids = blobs(21, labels=2)
    ids[-1] = 2
    data = rows_of(x, ids)
    found = predict_out_of_fold(
        data, [str(row) for row in range(21)], dict.fromkeys(candidate_names(data.spaces), 0.1), seed=0
    )
    assert found.rows.tolist() == list(range(21))
    assert found.known.tolist() == [True] * 20 + [False]
    chosen = choose(found, dict.fromkeys(candidate_names(data.spaces), 0.1))
    assert all(value.isfinite() for value in map(torch.tensor, chosen.loss.values()))
    assert chosen.accuracy["chosen"] <= 20 / 21
    assert all(values.isfinite().any(dim=1).all() for values in found.log_probabilities.values())


def test_a_balanced_sample_has_all_labels_and_no_more_rows_than_wanted():
    ids = torch.tensor([0] * 500 + [1] * 3 + [2] * 40)
    rows = balanced_rows(ids, 60, least=1, seed=0)
    assert torch.bincount(ids[rows]).tolist() == [28, 3, 28]
    assert rows.tolist() == sorted(rows.tolist())
    assert balanced_rows(ids, 1000, least=1, seed=0).tolist() == list(range(543))
    assert torch.bincount(ids[balanced_rows(ids, 1, least=1, seed=0)]).tolist() == [1, 1, 1]


def test_samples_of_many_rows_are_fitted(monkeypatch):
    for module in (choice, predictions):
        monkeypatch.setattr(module, "MAX_PRODUCTS", 3000)
    monkeypatch.setattr(predictions, "_MAX_PREDICTIONS", 600)
    x, ids = blobs(400, noise=0.2)
    data, keys = rows_of(x, ids), [str(row) for row in range(400)]
    found = predict_out_of_fold(data, keys, penalties_out_of_fold(data, keys, seed=0), seed=0)
    assert len(found.rows) == 200
    for values in found.log_probabilities.values():
        assert (values.argmax(dim=1) == found.label_ids).double().mean() > 0.9


def test_a_sample_has_the_mix_of_labels_of_all_rows(monkeypatch):
    monkeypatch.setattr(predictions, "_MAX_PREDICTIONS", 600)
    x, ids = blobs(400, labels=2)
    ids = np.where(np.arange(400) % 10 == 0, ids, 2)  # nine of ten rows have the label 2
    data = rows_of(x, ids)
    penalties = dict.fromkeys(candidate_names(data.spaces), 0.1)
    found = predict_out_of_fold(data, [str(row) for row in range(400)], penalties, seed=0)
    assert len(found.rows) == 200
    assert float((found.label_ids == 2).double().mean()) == pytest.approx(0.9, abs=0.05)
    assert torch.equal(found.label_ids, data.label_ids[found.rows])


def test_the_penalty_is_that_which_predicts_other_rows_best():
    x, ids = blobs(150, dim=30, noise=1.0)
    data, other = rows_of(x[:90], ids[:90]), rows_of(x[90:], ids[90:])
    found = choose_penalties(data, other.spaces, other.label_ids, seed=0)["logistic_regression"]
    losses = {}
    for penalty in choice.PENALTIES:
        log_p = fit("logistic_regression", data, penalty=penalty).log_probabilities(other.spaces.embeddings)
        losses[penalty] = mean_loss(log_p, other.label_ids, choice.fit_temperature(log_p, other.label_ids))
    assert losses[found] == pytest.approx(min(losses.values()), abs=2e-3)
    few = choose_penalties(data, other.spaces[:20], other.label_ids[:20], seed=0)
    assert set(few.values()) == {choice._PENALTY}
