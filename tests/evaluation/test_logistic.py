"""Logistic regression against scikit-learn's, and the conditions of its optimum."""

import numpy as np
import pytest
import torch

from tercet.evaluation import logistic
from tercet.evaluation.logistic import fit_logistic


def _data(n=120, dim=4, labels=5, seed=0):
    rng = np.random.default_rng(seed)
    label_ids = np.append(np.arange(labels), rng.integers(0, labels, n - labels))
    return rng.normal(size=(labels, dim))[label_ids] + rng.normal(size=(n, dim)), label_ids


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [0.3, 5.0])
def test_it_is_the_regression_of_scikit_learn(penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, label_ids = _data()
    theirs = linear_model.LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(x, label_ids)
    ours = fit_logistic(torch.from_numpy(x).float(), torch.from_numpy(label_ids), 5, penalty)
    new, _ = _data(seed=1)
    found = ours.log_probabilities(torch.from_numpy(new).float())
    np.testing.assert_allclose(found, theirs.predict_log_proba(new), atol=5e-3)
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=5e-3)


def test_the_gradient_at_the_optimum_is_zero():
    x, label_ids = (torch.from_numpy(part) for part in _data())
    fitted = fit_logistic(x, label_ids, 5, 0.7)
    weights, bias = (part.clone().requires_grad_() for part in (fitted.weights, fitted.bias))
    loss = torch.nn.functional.cross_entropy(x @ weights.T + bias, label_ids, reduction="sum")
    (loss + 0.7 / 2 * weights.square().sum()).backward()
    assert weights.grad.abs().max() / len(x) < 1e-4
    assert bias.grad.abs().max() / len(x) < 1e-4


def test_blocks_of_any_size_give_the_same(monkeypatch):
    x, label_ids = (torch.from_numpy(part) for part in _data())
    whole = fit_logistic(x, label_ids, 5, 0.7)
    monkeypatch.setattr(logistic, "BLOCK_VALUES", 7 * 5)
    parts = fit_logistic(x, label_ids, 5, 0.7)
    torch.testing.assert_close(parts.weights, whole.weights, atol=1e-6, rtol=0)
    torch.testing.assert_close(parts.bias, whole.bias, atol=1e-6, rtol=0)


def test_absent_labels_have_no_probability_and_change_nothing():
    x, label_ids = (torch.from_numpy(part) for part in _data(labels=3))
    spread = torch.tensor([0, 2, 5])[label_ids]
    few, many = fit_logistic(x, label_ids, 3, 0.7), fit_logistic(x, spread, 7, 0.7)
    found = many.log_probabilities(x)
    assert found[:, [1, 3, 4, 6]].eq(-torch.inf).all()
    torch.testing.assert_close(found[:, [0, 2, 5]], few.log_probabilities(x), atol=1e-4, rtol=0)
