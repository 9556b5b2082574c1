"""Batches of labels that are near each other: the same guarantees as random batches, and near labels together."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tercet.data.sampling import neighbor_labels as module
from tercet.data.sampling.neighbor_labels import move_neighbours_together, nearest_labels
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import DataError
from tests.data.sampling.test_sampler import _check_batches, _labels


def _means(num_labels, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(num_labels, dim))


def _plain_nearest(means, label, count):
    """The nearest labels of one label, by the cosine of one pair of directions (rounded to 15 bits) at a time."""
    if not means[label].any():
        return []
    length = [np.sqrt(sum(value * value for value in mean)) for mean in means]
    rounded = [[round(value / norm * 2**15) for value in mean] if norm else None
               for mean, norm in zip(means.tolist(), length, strict=True)]  # fmt: skip
    cosine = {
        other: sum(one * two for one, two in zip(rounded[label], rounded[other], strict=True))
        for other in range(len(means))
        if other != label and rounded[other] is not None
    }
    return sorted(cosine, key=lambda other: -cosine[other])[:count]


@pytest.mark.slow
@given(num_labels=st.integers(1, 12), count=st.integers(1, 6), seed=st.integers(0, 50), zeros=st.integers(0, 3))
@example(num_labels=12, count=4, seed=30, zeros=0)  # two cosines that differ by less than the rounding
@settings(max_examples=100, deadline=None)
def test_the_nearest_labels_are_those_of_a_plain_search(num_labels, count, seed, zeros):
    means = 7.5 * _means(num_labels, seed=seed)
    means[:zeros] = 0
    found = nearest_labels(means, count, np.random.default_rng(0))
    for label in range(num_labels):
        wanted = _plain_nearest(means, label, count)
        assert found[label].tolist() == wanted + [-1] * (count - len(wanted))


def test_many_labels_are_searched_in_random_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 10)
    means = _means(95)
    found = nearest_labels(means, 4, np.random.default_rng(0))
    assert found.shape == (95, 4)
    assert (found >= 0).all()
    assert (found != np.arange(95)[:, None]).all()
    cosine = means @ means.T / np.outer(*[np.linalg.norm(means, axis=1)] * 2)
    values = np.take_along_axis(cosine, found, axis=1)
    assert (np.diff(values, axis=1) <= 1e-3).all()
    assert len(np.unique(found)) > 80
    other = nearest_labels(means, 4, np.random.default_rng(1))
    assert (other != found).any()


def test_equal_means_have_neighbours_too():
    found = nearest_labels(np.ones((5, 2)), 4, np.random.default_rng(0))
    assert [sorted(row) for row in found.tolist()] == [
        [1, 2, 3, 4],
        [0, 2, 3, 4],
        [0, 1, 3, 4],
        [0, 1, 2, 4],
        [0, 1, 2, 3],
    ]


@pytest.mark.slow
@given(
    counts=st.lists(st.one_of(st.integers(1, 4), st.integers(1, 300)), min_size=2, max_size=40),
    labels_per_batch=st.integers(2, 12),
    samples=st.integers(2, 8),
    fraction=st.sampled_from([0.1, 0.5, 1.0]),
    seed=st.integers(0, 100),
)
@settings(max_examples=300, deadline=None)
def test_every_distribution_of_label_sizes(counts, labels_per_batch, samples, fraction, seed):
    assume(max(counts) > 1)
    labels = _labels(counts)
    sampler = GroupByLabelSampler(labels, labels_per_batch * samples, samples, seed, fraction)
    for epoch in (0, 1):
        sampler.set_label_means(_means(len(counts), seed=seed + epoch))
        sampler.set_epoch(epoch)
        _check_batches(labels, sampler)


@pytest.mark.slow
@given(
    rows=st.integers(1, 12),
    places=st.integers(2, 8),
    num_labels=st.integers(1, 30),
    near=st.integers(2, 8),
    seed=st.integers(0, 100),
)
@settings(max_examples=200, deadline=None)
def test_cells_are_exchanged_and_no_label_gets_twice_into_a_row(rows, places, num_labels, near, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, num_labels, (rows, places))
    source = move_neighbours_together(labels, _means(num_labels), near, rng)
    assert sorted(source.ravel()) == list(range(rows * places))
    moved = labels.ravel()[source]
    stayed = labels < 0
    assert (source[stayed] == np.flatnonzero(stayed)).all()
    for before, after in zip(labels, moved, strict=True):
        old, new = (dict(zip(*np.unique(row[row >= 0], return_counts=True), strict=True)) for row in (before, after))
        assert all(count == 1 or count <= old.get(label, 0) for label, count in new.items())


def _has_neighbours(labels, neighbours):
    """Whether one of the labels has all of its neighbours among the others."""
    return any(set(neighbours[label].tolist()) <= set(labels) for label in labels)


def test_half_of_each_batch_are_the_nearest_labels_of_one_of_them():
    labels, means = _labels([80] * 60), _means(60, dim=8)
    neighbours = nearest_labels(means, 7, np.random.default_rng(0))
    near = {}
    for fraction in (0.0, 0.5):
        sampler = GroupByLabelSampler(labels, 64, 4, neighbor_labels=fraction)
        sampler.set_label_means(means)
        near[fraction] = [_has_neighbours(np.unique(labels[batch]), neighbours) for batch in sampler.batches()]
    assert near[0.5][0], "the first batch can choose among all groups"
    assert np.mean(near[0.5]) > 0.9
    assert np.mean(near[0.0]) < 0.1


def test_the_other_half_is_random():
    labels, means = _labels([80] * 60), _means(60, dim=8)
    sampler = GroupByLabelSampler(labels, 64, 4, neighbor_labels=0.5)
    sampler.set_label_means(means)
    met = {label: set() for label in range(60)}
    for batch in sampler.batches():
        for label in set(labels[batch]):
            met[label] |= set(labels[batch])
    assert min(len(others) for others in met.values()) > 45


def test_deterministic_from_the_seed_the_epoch_and_the_means():
    labels = _labels([20] * 20)

    def epochs(means, seed=1):
        sampler = GroupByLabelSampler(labels, 16, 4, seed, 0.5)
        sampler.set_label_means(means)
        drawn = []
        for epoch in (0, 1):
            sampler.set_epoch(epoch)
            drawn.append(list(sampler))
        return drawn

    first = epochs(_means(20))
    assert first == epochs(_means(20)) == epochs(2.0**40 * _means(20))
    assert first[0] != first[1]
    assert first != epochs(_means(20), seed=2)
    assert first != epochs(_means(20, seed=1))


def test_without_means_the_batches_are_those_without_the_option():
    labels = _labels([20] * 20)
    sampler = GroupByLabelSampler(labels, 16, 4, 3, 0.5)
    wanted = list(GroupByLabelSampler(labels, 16, 4, 3))
    assert list(sampler) == wanted
    sampler.set_label_means(_means(20))
    assert list(sampler) != wanted
    sampler.set_label_means(None)
    assert list(sampler) == wanted
    assert sampler.describe().endswith("once; 2 of the labels of a batch are near each other")


@pytest.mark.parametrize(
    ("means", "message"),
    [
        (np.zeros(3), r"shape \(3, dim\), one row for each label in sorted order, got \(3,\)"),
        (np.zeros((2, 4)), r"got \(2, 4\)"),
        ([[1.0], [np.nan], [0.0]], "the mean of label number 1, counted from 0, is NaN or infinite"),
    ],
)
def test_means_that_do_not_fit_are_refused(means, message):
    sampler = GroupByLabelSampler([0, 0, 5, 5, 7], 4, 2, neighbor_labels=0.5)
    with pytest.raises(DataError, match=message):
        sampler.set_label_means(means)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_outside_of_its_range_is_refused(fraction):
    with pytest.raises(DataError, match="neighbor_labels must be at least 0 and at most 1, got"):
        GroupByLabelSampler([0, 0, 1, 1], 4, 2, neighbor_labels=fraction)
