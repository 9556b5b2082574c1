"""Paired differences over seeds, against SciPy and by simulation."""

import math

import numpy as np
import pytest

from tercet.comparison.significance import mean_and_std, paired_difference, student_quantile, student_within


def test_the_quantiles_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for degrees in range(1, 40):
        for confidence in (0.5, 0.9, 0.95, 0.99):
            t = student_quantile(confidence, degrees)
            assert t == pytest.approx(stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-9)
            assert student_within(t, degrees) == pytest.approx(confidence)


def test_the_quantiles_that_every_table_has():
    assert [round(student_quantile(0.95, degrees), 3) for degrees in (1, 2, 4)] == [12.706, 4.303, 2.776]


def test_the_effect_of_a_seed_on_both_cancels():
    first, second = {0: 0.50, 1: 0.90, 2: 0.70}, {0: 0.49, 1: 0.891, 2: 0.689}
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(0.01)
    assert difference.half_width == pytest.approx(4.3027 * 0.001 / math.sqrt(3), rel=1e-3)
    assert difference.beyond_noise
    assert not paired_difference(first, {0: 0.9, 1: 0.7, 2: 0.5}).beyond_noise


def test_one_common_seed_and_none():
    alone = paired_difference({0: 0.9, 1: 0.1}, {0: 0.1, 2: 0.5})
    assert (alone.mean, alone.half_width, alone.seeds) == (0.8, None, 1)
    assert not alone.beyond_noise
    assert mean_and_std([0.5]) == (0.5, None)
    with pytest.raises(ValueError, match="no seed in common"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_equal_variants_are_seldom_called_different():
    draws = np.random.default_rng(0).normal(size=(2000, 2, 3))
    found = [paired_difference(dict(enumerate(a)), dict(enumerate(b))).beyond_noise for a, b in draws.tolist()]
    assert 0.035 < np.mean(found) < 0.065
