import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tercet.decisions.calibration import error_by_chance, fit_temperature, mean_loss, reliability, softened


def _scores(rows, *, scale, labels=4, seed=0):
    """Return logits, of which `logits / scale` are the true ones, and labels drawn from these."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, labels)) * 1.5
    probabilities = np.exp(log_softmax(logits, axis=1))
    ids = (probabilities.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    return torch.tensor(logits * scale), torch.tensor(ids)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("rows", [12, 300])
def test_a_temperature_is_that_of_scipy(scale, rows):
    scores, ids = _scores(rows, scale=scale)

    def loss(log_t):
        log_p = log_softmax(scores.numpy() / np.exp(log_t), axis=1)
        smoothing = 1 / (rows + 2)
        return -np.mean((1 - smoothing) * log_p[np.arange(rows), ids] + smoothing * log_p.mean(axis=1))

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-8})
    found = fit_temperature(scores, ids)
    assert np.log(found) == pytest.approx(best.x, abs=0.01)
    assert loss(np.log(found)) <= best.fun + 1e-5


def test_the_true_temperature_is_found():
    for scale in (0.1, 3.0, 1e4):
        assert fit_temperature(*_scores(20_000, scale=scale)) == pytest.approx(scale, rel=0.05)
        scores, ids = _scores(20_000, scale=scale)
        assert fit_temperature(scores.float(), ids) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("gap", [0.5, 9.0, 4000.0])
@pytest.mark.parametrize("rows", [1, 3, 6, 20])
def test_a_few_right_answers_do_not_give_a_confidence_of_1(rows, gap):
    scores = torch.tensor([[gap, 0.0, 0.0]]).repeat(rows, 1)
    temperature = fit_temperature(scores, torch.zeros(rows, dtype=torch.long))
    confidence = softened(scores, temperature).exp()[0, 0].item()
    # The rule of succession gives (n + 1) / (n + 2); smoothing over three labels gives nearly that.
    assert confidence == pytest.approx(1 - 2 / 3 / (rows + 2), abs=0.01)


def test_no_rows_leave_the_temperature_at_1():
    assert fit_temperature(torch.empty(0, 3), torch.empty(0, dtype=torch.long)) == 1.0


def test_impossible_labels_do_not_count():
    scores, ids = _scores(50, scale=2.0)
    wider = torch.cat([scores, torch.full((50, 2), -torch.inf)], dim=1)
    assert fit_temperature(wider, ids) == pytest.approx(fit_temperature(scores, ids))
    assert mean_loss(wider, ids, 2.0) == pytest.approx(mean_loss(scores, ids, 2.0))


def _naive_error(confidence, correct, bins=15):
    error = 0.0
    for number in range(bins):
        inside = [
            row
            for row, value in enumerate(confidence)
            if number / bins <= value < (number + 1) / bins or (value == 1 and number == bins - 1)
        ]
        if inside:
            gap = np.mean([confidence[row] for row in inside]) - np.mean([correct[row] for row in inside])
            error += len(inside) / len(confidence) * abs(gap)
    return error


def test_the_calibration_error_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    confidence = np.append(rng.random(500), [0.0, 1.0])
    correct = rng.random(502) < confidence**2
    found = reliability(confidence, correct)
    assert found.error == pytest.approx(_naive_error(confidence, correct))
    assert sum(found.rows) == 502
    assert reliability(np.empty(0), np.empty(0, bool)).error == 0


def test_calibrated_confidences_have_a_small_error_and_others_a_large_one():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20_000)
    assert reliability(confidence, rng.random(20_000) < confidence).error < 0.015
    assert reliability(confidence, rng.random(20_000) < confidence - 0.2).error > 0.15


def test_the_error_by_chance_is_that_of_honest_confidences():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1, 300) ** 0.2
    honest = [reliability(confidence, rng.random(300) < confidence).error for _ in range(400)]
    assert error_by_chance(confidence) == pytest.approx(np.mean(honest), rel=0.1)
    assert error_by_chance(confidence) == error_by_chance(confidence)
    assert error_by_chance(np.tile(confidence, 100)) < 0.15 * error_by_chance(confidence)
    assert error_by_chance(np.ones(50)) == 0  # Who is sure is never wrong.


def test_empty_bins_are_nan():
    found = reliability(np.array([0.1, 0.1]), np.array([True, False]), bins=2)
    assert found.rows == [2, 0]
    assert found.accuracy[0] == 0.5
    assert np.isnan(found.accuracy[1])
    assert np.isnan(found.confidence[1])
