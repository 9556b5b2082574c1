import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest

from tercet.decisions.candidates import fit
from tercet.decisions.drift import too_many_unfamiliar
from tercet.decisions.fitting import fit_rows
from tercet.decisions.novelty import Familiarity, quantities
from tercet.decisions.spaces import spaces
from tercet.decisions.unknown import tuned_to
from tests.decisions.data import blobs, rows_of


def test_quantities_are_those_of_a_loop():
    x, ids = blobs(40)
    data = rows_of(x, ids)
    queries = spaces(torch.from_numpy(blobs(12, seed=1)[0]))
    predicted = torch.arange(12) % 3
    models = {"logistic_regression": fit("logistic_regression", data), "class_means": fit("class_means", data)}
    found = quantities(data, models, queries, predicted)
    assert found.shape == (12, 2)
    for row in range(12):
        label_id = int(predicted[row])
        members = data.spaces.embeddings[ids == label_id]
        similarity = np.sort((members @ queries.embeddings[row]).numpy())[::-1][:5]
        scores = models["logistic_regression"].scores(queries.embeddings)
        np.testing.assert_allclose(found[row], [similarity.mean(), scores[row, label_id]], atol=1e-5)


def test_labels_with_few_rows_have_finite_quantities():
    x, ids = blobs(7)
    data = rows_of(x, ids)
    models = {"logistic_regression": fit("logistic_regression", data)}
    assert np.isfinite(quantities(data, models, data.spaces, data.label_ids)).all()


@pytest.mark.parametrize("columns", [1, 3])
def test_a_p_value_is_that_of_its_definition(columns):
    rng = np.random.default_rng(0)
    known, new = rng.normal(size=(50, columns)).round(1), rng.normal(size=(30, columns)).round(1)
    found = Familiarity.of(known)
    score = lambda rows: ((rows - known.mean(axis=0)) / known.std(axis=0)).mean(axis=1)  # noqa: E731
    for value, row in zip(score(new), found.novelty(new), strict=True):
        p_value = (1 + sum(other <= value + 1e-9 for other in score(known))) / 51
        assert row == pytest.approx(1 - min(1, p_value), abs=1e-9)
    assert found.novelty(known.mean(axis=0, keepdims=True) - 100)[0] == pytest.approx(50 / 51)
    assert found.novelty(known.mean(axis=0, keepdims=True) + 100)[0] == 0


def test_quantities_that_do_not_vary_are_not_divided_by_0():
    found = Familiarity.of(np.ones((5, 2)))
    assert np.isfinite(found.novelty(np.array([[1.0, 1.0], [0.0, 0.0]]))).all()


def test_p_values_of_exchangeable_rows_are_uniform():
    """Of many data sets, one new row each. The p-values are nearly uniform, so a level of 5 % rejects 5 %."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(1000):
        rows = rng.normal(size=(60, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
        p_values.append(1 - Familiarity.of(rows[:59]).novelty(rows[59:])[0])
    assert kstest(np.array(p_values) - rng.random(1000) / 60, "uniform").pvalue > 0.001
    assert sum(p <= 0.05 for p in p_values) <= binom.ppf(0.999, 1000, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [False, True])
def test_p_values_of_a_fitted_classifier_are_valid(held_out):
    """They are a bit too high, because the classifier has more training rows than those that measured it."""
    p_values = []
    for seed in range(3):
        x, ids = blobs(400, labels=4, seed=seed)
        split = 280 if held_out else 400
        fitted = fit_rows(
            rows_of(x[:split], ids[:split]),
            [str(row) for row in range(split)],
            calibration=rows_of(x[split:], ids[split:]) if held_out else None,
            unseen=True,
        )
        new = spaces(torch.from_numpy(blobs(1000, labels=4, seed=100 + seed)[0]))
        p_values.extend(1 - fitted.novelty(new, fitted.log_probabilities(new).argmax(dim=1)))
    p_values = np.array(p_values)
    for level in (0.01, 0.05, 0.1, 0.25, 0.5):
        # 0.015: with 120 to 400 rows that measure, the level of a single classifier varies.
        assert 0.25 * level - 0.002 < (p_values <= level + 1e-9).mean() < level + 0.015


def test_rows_of_another_distribution_are_novel():
    x, ids = blobs(300, noise=0.1)
    fitted = fit_rows(rows_of(x, ids), [str(row) for row in range(300)], unseen=True)
    other = spaces(torch.from_numpy(blobs(100, noise=0.1, means_seed=5)[0]))
    novelty = fitted.novelty(other, fitted.log_probabilities(other).argmax(dim=1))
    assert np.mean(novelty > 0.95) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("rows", [5, 19, 20, 45, 200])
@pytest.mark.parametrize("new", [30, 2000])
def test_the_same_distribution_is_seldom_unfamiliar(rows, new):
    """The number of calibration rows limits how well their tail is known, so it is in the test."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        familiarity = Familiarity.of(rng.normal(size=(rows, 1)))
        alarms += too_many_unfamiliar(familiarity.novelty(rng.normal(size=(new, 1))), rows)
    assert alarms <= binom.ppf(0.999, 2000, 0.001)


@pytest.mark.parametrize(("rows", "shift"), [(45, 3.0), (200, 1.5)])
def test_another_distribution_is_unfamiliar(rows, shift):
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        familiarity = Familiarity.of(rng.normal(size=(rows, 1)))
        alarms += too_many_unfamiliar(familiarity.novelty(rng.normal(size=(500, 1)) - shift), rows)
    assert alarms > 90


def test_a_few_new_rows_raise_no_alarm():
    assert not too_many_unfamiliar(np.ones(5), 1000)
    assert not too_many_unfamiliar(np.full(500, np.nan), 1000)
    assert too_many_unfamiliar(np.append(np.full(500, 0.999), np.nan), 1000)


def test_unknown_rows_choose_the_quantity_that_separates_them():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(size=(300, 2)), rng.normal(size=(200, 2)) - [0.0, 4.0]
    familiarity, limit = tuned_to(known, unknown)
    assert familiarity.weights.sum() == pytest.approx(1)
    assert familiarity.weights[1] > 0.7
    assert (familiarity.novelty(known) <= limit).mean() > 0.9
    assert (familiarity.novelty(unknown) > limit).mean() > 0.9


@pytest.mark.parametrize("number", [1, 2, 500])
def test_unknown_rows_that_are_like_the_known_ones_do_no_harm(number):
    rng = np.random.default_rng(0)
    familiarity, limit = tuned_to(rng.normal(size=(100, 2)), rng.normal(size=(number, 2)) + 5)
    assert np.isfinite(familiarity.weights).all()
    assert (familiarity.weights >= 0).all()
    assert 0 <= limit <= 1
