import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from tercet.decisions.candidates import candidate_names, fit, fit_logistic_regression
from tercet.decisions.spaces import Spaces, spaces
from tests.decisions.data import blobs, rows_of


def _data(**settings):
    x, ids = blobs(90, **settings)
    data = rows_of(x, ids)
    queries = spaces(torch.from_numpy(blobs(40, seed=1)[0])).embeddings
    return data, data.spaces.embeddings.double().numpy(), ids, queries


def test_class_means_are_cosine_similarities_to_the_means():
    data, x, ids, queries = _data()
    model = fit("class_means", data)
    means = np.stack([x[ids == label_id].mean(axis=0) for label_id in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(model.scores(queries), 20 * queries.double().numpy() @ means.T, atol=1e-4)


class _Shrunk(BaseEstimator):
    """The covariance of one label, shrunk towards a multiple of 1. scikit-learn averages those of the labels.

    Its own `shrinkage` is one of standardised features, and divides by n instead of n − the number of labels.
    """

    def fit(self, x):
        covariance = np.cov(x.T)
        self.covariance_ = 0.8 * covariance + 0.2 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        return self


def test_a_shared_covariance_is_the_discriminant_analysis_of_scikit_learn():
    data, x, ids, queries = _data()
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3, covariance_estimator=_Shrunk()).fit(
        x, ids
    )
    found = fit("shared_covariance", data).log_probabilities(queries).exp()
    np.testing.assert_allclose(found, reference.predict_proba(queries.double().numpy()), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [0.03, 0.1, 0.3])
def test_a_logistic_regression_is_that_of_scikit_learn(penalty):
    data, x, ids, queries = _data()
    found = fit("logistic_regression", data, penalty=penalty).log_probabilities(queries).exp()
    mean = x.mean(axis=0)
    norm = np.sqrt(np.square(x - mean).sum(axis=1).mean())
    reference = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=10_000).fit((x - mean) / norm, ids)
    expected = reference.predict_proba((queries.double().numpy() - mean) / norm)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_logistic_regression_from_a_start_is_nearly_the_same():
    data, _, _, queries = _data()
    model = fit("logistic_regression", data, penalty=0.1)
    part = fit("logistic_regression", data.select(torch.arange(60)), penalty=0.1)
    again = fit("logistic_regression", data, penalty=0.1, start=part)
    before, after, expected = (found.log_probabilities(queries).exp() for found in (part, again, model))
    assert (after - expected).abs().max() < min(0.03, 0.2 * (before - expected).abs().max())


@pytest.mark.parametrize("name", ["class_means", "nearest_neighbours", "shared_covariance", "logistic_regression"])
def test_rows_that_are_all_equal_give_equal_probabilities(name):
    data = rows_of(np.ones((6, 4), np.float32), [0, 1, 2] * 2)
    found = fit(name, data).log_probabilities(data.spaces.embeddings[:2]).exp()
    np.testing.assert_allclose(found, np.full((2, 3), 1 / 3), atol=1e-3)


@pytest.mark.parametrize("name", ["class_means", "shared_covariance", "logistic_regression"])
def test_labels_without_a_row_have_probability_0(name):
    x, ids = blobs(30)
    found = fit(name, rows_of(x, ids, 5)).log_probabilities(rows_of(x, ids).spaces.embeddings).exp()
    assert found.isfinite().all()
    assert (found[:, 3:] == 0).all()


@pytest.mark.parametrize("name", ["class_means", "nearest_neighbours", "shared_covariance", "logistic_regression"])
def test_every_candidate_separates_clear_labels(name):
    x, ids = blobs(90, noise=0.1)
    found = fit(name, rows_of(x, ids)).log_probabilities(rows_of(x, ids).spaces.embeddings)
    assert (found.argmax(dim=1).numpy() == ids).mean() > 0.95


def test_a_model_with_a_head_has_a_candidate_more_which_works_before_the_head():
    x, ids = blobs(60)
    plain = rows_of(x, ids).spaces
    both = Spaces(embeddings=plain.embeddings[:, :2], before_head=plain.embeddings)
    assert set(candidate_names(both)) - set(candidate_names(plain)) == {"logistic_regression_before_head"}
    data = rows_of(x, ids)
    found = fit("logistic_regression_before_head", type(data)(spaces=both, label_ids=data.label_ids, num_labels=3))
    torch.testing.assert_close(found.weights, fit("logistic_regression", data).weights)
    assert fit_logistic_regression(plain.embeddings, data.label_ids, 3, 0.1).weights.shape == (3, 8)
