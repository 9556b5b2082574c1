import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tercet.decisions.candidates import fit_logistic_regression
from tercet.decisions.models import LinearScores
from tercet.decisions.spaces import spaces
from tercet.decisions.updates import refit_labels
from tests.decisions.data import blobs, rows_of


def _objective(x, ids, weights, bias, penalty):
    """Return Σ −log p + ½ λ ‖w‖², where λ is for rows with a mean squared norm of 1, and its gradient."""
    centred = x - x.mean(axis=0)
    scale = np.square(centred).sum(axis=1).mean()
    scores = x @ weights.T + bias
    log_p = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    error = np.exp(log_p) - np.eye(len(bias))[ids]
    value = -log_p[np.arange(len(ids)), ids].sum() + penalty * scale / 2 * np.square(weights).sum()
    return value, error.T @ centred + penalty * scale * weights, error.sum(axis=0)


@pytest.mark.parametrize("penalty", [0.03, 0.3])
def test_the_gradient_of_a_refitted_label_is_0(penalty):
    x, ids = blobs(120, labels=4)
    data = rows_of(x, ids)
    rows = data.spaces.embeddings
    known = ids != 3
    model = fit_logistic_regression(rows[known], data.label_ids[known], 3, penalty)
    found = refit_labels(model, rows, data.label_ids, torch.tensor([3]), 4, penalty)
    assert torch.equal(found.weights[:3], model.weights)
    assert torch.equal(found.bias[:3], model.bias)
    args = rows.double().numpy(), ids
    value, by_weights, by_bias = _objective(*args, found.weights.double().numpy(), found.bias.double().numpy(), penalty)
    assert np.abs(by_weights[3]).max() < 0.02
    assert abs(by_bias[3]) < 0.02
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = found.weights.double().numpy().copy()
        other[3] += 0.3 * rng.normal(size=8)
        assert _objective(*args, other, found.bias.double().numpy(), penalty)[0] > value


def test_refitted_labels_come_near_the_full_fit():
    x, ids = blobs(150, labels=5, noise=0.2)
    data = rows_of(x, ids)
    rows, known = data.spaces.embeddings, ids < 3
    model = fit_logistic_regression(rows[known], data.label_ids[known], 3, 0.1)
    found = refit_labels(model, rows, data.label_ids, torch.tensor([3, 4]), 5, 0.1)
    full = fit_logistic_regression(rows, data.label_ids, 5, 0.1)
    queries, expected = blobs(200, labels=5, noise=0.2, seed=1)
    queries = spaces(torch.from_numpy(queries)).embeddings
    predicted, by_full = (m.log_probabilities(queries).argmax(dim=1).numpy() for m in (found, full))
    assert (predicted == expected).mean() >= (by_full == expected).mean() - 0.02


def test_a_binary_logistic_regression_is_that_of_scikit_learn():
    """With one other label, whose score is 0, a refit is a plain logistic regression."""
    x, ids = blobs(80, labels=2)
    data = rows_of(x, ids)
    zero = LinearScores(weights=torch.zeros(1, 8), bias=torch.zeros(1))
    found = refit_labels(zero, data.spaces.embeddings, data.label_ids, torch.tensor([1]), 2, 0.1)
    rows = data.spaces.embeddings.double().numpy()
    scale = np.square(rows - rows.mean(axis=0)).sum(axis=1).mean()
    reference = LogisticRegression(C=1 / (0.1 * scale), tol=1e-8, max_iter=10_000).fit(rows, ids)
    np.testing.assert_allclose(found.weights[1], reference.coef_[0], atol=5e-3)
    np.testing.assert_allclose(found.bias[1], reference.intercept_[0], atol=5e-3)


def test_more_rows_of_an_old_label_change_this_label_alone():
    x, ids = blobs(90)
    data = rows_of(x, ids)
    model = fit_logistic_regression(data.spaces.embeddings[:60], data.label_ids[:60], 3, 0.1)
    found = refit_labels(model, data.spaces.embeddings, data.label_ids, torch.tensor([1]), 3, 0.1)
    assert torch.equal(found.weights[[0, 2]], model.weights[[0, 2]])
    assert not torch.equal(found.weights[1], model.weights[1])
