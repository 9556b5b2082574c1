"""P×K batches: every sentence is drawn and every batch has a triplet, whatever the sizes of the labels."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tercet.data.labels.numbering import number_labels
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import DataError


def _labels(counts) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


def _check_batches(labels: np.ndarray, sampler: GroupByLabelSampler) -> None:
    batches = sampler.batches()
    assert batches.size == len(sampler)
    assert set(batches.flatten().tolist()) == set(range(len(labels)))
    for batch in batches:
        assert len(set(batch.tolist())) == len(batch), "a sentence twice in a batch"
        names, counts = np.unique(labels[batch], return_counts=True)
        assert len(names) > 1, "no negative"
        assert counts.max() > 1, "no positive"


@pytest.mark.slow
@given(
    counts=st.lists(st.one_of(st.integers(1, 4), st.integers(1, 300)), min_size=2, max_size=40),
    labels_per_batch=st.integers(2, 12),
    samples=st.integers(2, 8),
    seed=st.integers(0, 100),
)
@settings(max_examples=300, deadline=None)
def test_every_distribution_of_label_sizes(counts, labels_per_batch, samples, seed):
    assume(max(counts) > 1)
    labels = _labels(counts)
    sampler = GroupByLabelSampler(labels, labels_per_batch * samples, samples, seed)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        _check_batches(labels, sampler)


@pytest.mark.parametrize(
    "counts",
    [
        [1000, 10, 10],
        [500, *[1] * 500],
        [2, *[1] * 5000],
        [300, 2],
        [2, 2],
        [3, *[2] * 100, *[1] * 100],
        [5000, 4999],
    ],
)
@pytest.mark.parametrize(("batch_size", "samples"), [(64, 4), (8, 4), (30, 5), (4, 2)])
def test_extreme_imbalance(counts, batch_size, samples):
    labels = _labels(counts)
    _check_batches(labels, GroupByLabelSampler(labels, batch_size, samples))


def test_balanced_data_give_exactly_p_labels_with_k_sentences():
    labels = _labels([40] * 50)
    for batch in GroupByLabelSampler(labels, 64, 4).batches():
        names, counts = np.unique(labels[batch], return_counts=True)
        assert len(names) == 16
        assert set(counts) == {4}


def test_imbalanced_data_use_every_sentence_of_an_epoch():
    """With 1000, 10 and 10 sentences per label, sentence-transformers' GROUP_BY_LABEL draws 30 of the 1,020."""
    labels = _labels([1000, 10, 10])
    batches = GroupByLabelSampler(labels, 64, 4).batches()
    assert len(np.unique(batches)) == 1020
    assert batches.size < 1.1 * 1020


def test_singletons_come_as_negatives():
    labels = _labels([100, *[1] * 30])
    drawn = GroupByLabelSampler(labels, 16, 4).batches()
    assert set(np.flatnonzero(labels > 0)) <= set(drawn.flatten())


def test_deterministic_from_the_seed_and_another_order_each_epoch():
    labels = _labels([20] * 20)
    first, again, other = (GroupByLabelSampler(labels, 16, 4, seed) for seed in (1, 1, 2))
    assert list(first) == list(again) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)
    again.set_epoch(0)
    assert list(first) == list(again)


def test_batches_of_one_seed_never_change():
    label_ids, _ = number_labels(["tea", "ant", "Zoo", "tea", "ant", "Zoo", "tea", "ant"], "data")
    sampler = GroupByLabelSampler(label_ids, batch_size=4, samples_per_label=2, seed=3)
    assert sampler.batches().tolist() == [[7, 1, 3, 0], [2, 5, 3, 0], [1, 4, 6, 3]]
    sampler.set_epoch(1)
    assert sampler.batches().tolist() == [[2, 5, 6, 3], [1, 4, 0, 6], [2, 5, 4, 7]]


@pytest.mark.parametrize(
    "change", [lambda ids: 3 * ids - 5, lambda ids: 2 * ids, lambda ids: np.array(list("abcde"))[ids], np.uint64]
)
def test_batches_depend_on_the_order_of_the_labels_only(change):
    label_ids = _labels([9, 4, 1, 30, 2])
    changed = change(label_ids)
    assert list(GroupByLabelSampler(changed, 8, 2)) == list(GroupByLabelSampler(label_ids, 8, 2))


def test_labels_share_batches_with_many_others_in_an_epoch():
    labels = _labels([60] * 40)
    met: dict[int, set[int]] = {label: set() for label in range(40)}
    for batch in GroupByLabelSampler(labels, 64, 4).batches():
        for label in set(labels[batch]):
            met[label] |= set(labels[batch])
    assert min(len(others) for others in met.values()) > 30


def test_fewer_sentences_than_a_batch_are_one_batch():
    sampler = GroupByLabelSampler([0, 1, 0, 0, 2], 8, 4)
    assert sorted(sampler) == [0, 1, 2, 3, 4]
    assert len(sampler) == 5


@pytest.mark.parametrize(
    ("labels", "batch_size", "samples", "message"),
    [
        ([0] * 10, 8, 4, "no batch can hold a triplet: the data have one label only"),
        (list(range(10)), 8, 4, "the data have no label with two sentences"),
        ([], 8, 4, "the data have no rows"),
        ([0, 0, 1, 1], 8, 1, "samples_per_label must be at least 2, got 1"),
        ([0, 0, 1, 1], 10, 4, "multiple of samples_per_label and at least twice as large, for example 8"),
        ([0, 0, 1, 1], 4, 4, "at least twice as large, for example 8"),
    ],
)
def test_refused_at_construction_with_the_reason(labels, batch_size, samples, message):
    with pytest.raises(DataError, match=message):
        GroupByLabelSampler(labels, batch_size, samples)


def test_many_samples_per_label_take_no_time():
    sampler = GroupByLabelSampler([0, 0, 1, 1, 2], batch_size=2 * 10**9, samples_per_label=10**9)
    assert sorted(sampler) == [0, 1, 2, 3, 4]


def test_an_epoch_is_described_with_the_numbers_that_it_has():
    few = GroupByLabelSampler(_labels([3, 4]), 64, 4)
    assert few.describe() == "an epoch is one batch with all 7 sentences"
    many = GroupByLabelSampler(_labels([4, 4, 4]), 8, 4)
    batches = "1 batch" if len(many) == 8 else f"{len(many) // 8} batches"
    repeated = f", and repeats {len(many) - 12} of them to fill the batches" if len(many) > 12 else " once"
    assert many.describe() == (
        f"an epoch has {batches} of 8 sentences, in groups of 4 with the same label. It contains each of the 12 "
        f"sentences{repeated}"
    )


@pytest.mark.parametrize(
    ("counts", "smaller"),
    [([2] * 8, "8 of 8 labels have fewer and share groups"), ([5, 4, 3], "1 of 3 labels has fewer and shares groups")],
)
def test_labels_with_fewer_sentences_than_a_group_are_described(counts, smaller):
    sampler = GroupByLabelSampler(_labels(counts), 8, 4)
    assert f"in groups of 4 with the same label ({smaller}). It contains each" in sampler.describe()
