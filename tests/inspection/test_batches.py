"""Batches against loops over their triplets, and the settings that are suggested from them."""

import numpy as np
import pytest
import torch

from tercet import distances
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import DataError
from tercet.inspection import active, batches
from tercet.inspection.batch_tables import batches_table, settings_table
from tercet.inspection.batches import (
    LOWEST_SUGGESTED,
    MARGINS,
    TARGET_ACTIVE,
    ActiveFraction,
    BatchSummary,
    suggest_settings,
    summarize_batches,
)
from tercet.losses import reference


def _data(sizes=(9, 7, 5, 2, 1), dim=6, seed=0):
    label_ids = np.repeat(np.arange(len(sizes)), sizes)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(sizes), dim, generator=generator)[label_ids] + torch.randn(
        len(label_ids), dim, generator=generator
    )
    return torch.nn.functional.normalize(x), label_ids


def _triplets(label_ids):
    rows = range(len(label_ids))
    return [
        (a, p, n)
        for a in rows
        for p in rows
        if p != a and label_ids[p] == label_ids[a]
        for n in rows
        if label_ids[n] != label_ids[a]
    ]


def test_margins_are_those_that_the_manual_names():
    assert MARGINS == (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@pytest.mark.slow
def test_counts_are_those_of_loops_over_the_same_batches():
    x, label_ids = _data()
    summary = summarize_batches(x, label_ids, 8, 2, seed=3)
    drawn = GroupByLabelSampler(label_ids, 8, 2, 3).batches()
    assert (summary.num_batches, summary.batches_per_epoch, summary.batch_size, summary.samples_per_label) == (
        len(drawn),
        len(drawn),
        8,
        2,
    )
    triplets = [_triplets(label_ids[rows]) for rows in drawn]
    assert summary.valid_triplets == pytest.approx(np.mean([len(found) for found in triplets]))
    assert summary.labels == pytest.approx(np.mean([len(set(label_ids[rows])) for rows in drawn]))
    assert [(fraction.distance, fraction.margin) for fraction in summary.active] == [
        (distance, margin) for distance in ("euclidean", "cosine") for margin in MARGINS
    ]
    for fraction in summary.active:
        active, chosen, total = 0, [], 0
        for rows, found in zip(drawn, triplets, strict=True):
            d = distances.matrix(x[rows], x[rows], fraction.distance)
            active += sum(float(d[a, p] - d[a, n] + fraction.margin) > 0 for a, p, n in found)
            total += len(found)
            chosen += _semi_hard_hinges(d, label_ids[rows], fraction.margin)
            # The same hinges as in the specification of the loss.
            mean = reference.batch_semi_hard(d, label_ids[rows].tolist(), fraction.margin)
            assert np.mean(_semi_hard_hinges(d, label_ids[rows], fraction.margin)) == pytest.approx(
                float(mean), abs=1e-6
            )
        assert fraction.all_triplets == pytest.approx(active / total)
        assert fraction.semi_hard == pytest.approx(np.mean(np.array(chosen) > 0))


def _semi_hard_hinges(d, label_ids, margin):
    hinges = []
    for a, p in {(a, p) for a, p, _ in _triplets(label_ids)}:
        negatives = [d[a, n] for n in range(len(label_ids)) if label_ids[n] != label_ids[a]]
        farther = [negative for negative in negatives if negative > d[a, p]]
        hinges.append(max(0.0, float(d[a, p] - (min(farther) if farther else max(negatives)) + margin)))
    return hinges


def test_mean_distances_are_euclidean():
    x, label_ids = _data(sizes=(3, 3))
    summary = summarize_batches(x, label_ids, 8, 2)
    d = torch.cdist(x, x)
    same = label_ids[:, None] == label_ids
    assert summary.mean_positive_distance == pytest.approx(
        float(d[torch.from_numpy(same & ~np.eye(6, dtype=bool))].mean()), rel=1e-4
    )
    assert summary.mean_negative_distance == pytest.approx(float(d[torch.from_numpy(~same)].mean()), rel=1e-4)
    assert summary.num_batches == summary.batches_per_epoch == 1
    assert summary.batch_size == 6


@pytest.mark.slow
def test_a_long_epoch_is_measured_in_part():
    x, label_ids = _data(sizes=(100,) * 6)
    summary = summarize_batches(x, label_ids, 4, 2)
    assert (summary.num_batches, summary.batches_per_epoch) == (50, 150)


@pytest.mark.parametrize(("batch_size", "drawn"), [(4, 30), (40, 3), (80, 1), (160, 1)])
def test_large_batches_are_measured_until_there_are_enough_anchors(batch_size, drawn, monkeypatch):
    assert (batches._MAX_BATCHES, batches._MAX_ANCHORS) == (50, 20_000)
    monkeypatch.setattr(batches, "_MAX_ANCHORS", 120)
    x, label_ids = _data(sizes=(100,) * 6)
    summary = summarize_batches(x, label_ids, batch_size, 2)
    assert summary.num_batches == drawn < summary.batches_per_epoch


def test_distances_of_a_batch_are_computed_once_and_not_for_each_margin(monkeypatch):
    calls, measure = [], active.batch_loss_with_stats
    monkeypatch.setattr(active, "batch_loss_with_stats", lambda *given: calls.append(given[3]) or measure(*given))
    x, label_ids = _data()
    drawn = summarize_batches(x, label_ids, 8, 2).num_batches
    assert sorted(calls) == ["cosine"] * drawn + ["euclidean"] * drawn


def test_data_without_a_triplet_are_refused():
    with pytest.raises(DataError, match="no batch can hold a triplet"):
        summarize_batches(torch.randn(3, 2), np.arange(3), 4, 2)


def test_active_fractions_grow_with_the_margin_and_the_first_that_suffices_is_suggested():
    x, label_ids = _data()
    summary = summarize_batches(x, label_ids, 8, 2)
    fractions = [fraction for fraction in summary.active if fraction.distance == "euclidean"]
    assert [fraction.all_triplets for fraction in fractions] == sorted(fraction.all_triplets for fraction in fractions)
    distance, margin, _ = suggest_settings(summary, x, label_ids)
    assert (distance.setting, distance.value) == ("distance", "euclidean")
    suffice = [fraction for fraction in fractions if fraction.semi_hard >= TARGET_ACTIVE]
    expected = next(fraction for fraction in suffice if fraction.margin >= LOWEST_SUGGESTED)
    assert (margin.setting, margin.value) == ("margin", expected.margin)
    assert margin.reason.startswith(f"{expected.semi_hard:.0%} of the semi-hard triplets have a loss above 0, and")


def _summary(*semi_hard, num_batches=7):
    """Return a summary with these active fractions of the semi-hard triplets by margin, and half of them of all."""
    active = [
        ActiveFraction(distance="euclidean", margin=margin, all_triplets=fraction / 2, semi_hard=fraction)
        for margin, fraction in zip(MARGINS, semi_hard, strict=True)
    ]
    return BatchSummary(
        num_batches=num_batches,
        batches_per_epoch=num_batches,
        batch_size=64,
        samples_per_label=4,
        labels=16.0,
        valid_triplets=2880.0,
        mean_positive_distance=0.5,
        mean_negative_distance=1.0,
        active=active,
    )


@pytest.mark.parametrize(
    ("summary", "margin", "reason"),
    [
        (
            _summary(0.1, 0.2, 0.3, 0.78, 0.8, 0.9, 1.0), 0.3,
            "78% of the semi-hard triplets have a loss above 0, and 39% of all (euclidean, in batches of 64 with 4 "
            "per label); it is the default, and smaller ones are seldom better",
        ),
        (
            _summary(0.1, 0.2, 0.3, 0.5, 0.8, 0.9, 1.0), 0.5,
            "80% of the semi-hard triplets have a loss above 0, and 40% of all (euclidean, in batches of 64 with 4 "
            "per label); it is the smallest of 0.3, 0.5, 0.7, 1 with at least 70% of the semi-hard triplets",
        ),
        (
            _summary(0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, num_batches=1), 0.3,
            "90% of the semi-hard triplets have a loss above 0, and 45% of all (euclidean, in one batch of all 64 "
            "sentences); it is the default, and smaller ones are seldom better",
        ),
        (
            _summary(0, 0, 0, 0, 0, 0, 0.699), 1.0,
            "only 69.9% of the semi-hard triplets are active (euclidean, in batches of 64 with 4 per label) at the "
            "largest margin tried, less than 70%: the labels are already separated",
        ),
        (
            _summary(0, 0, 0, 0, 0, 0, 0.6996), 1.0,
            "only 69.96% of the semi-hard triplets are active (euclidean, in batches of 64 with 4 per label) at the "
            "largest margin tried, less than 70%: the labels are already separated",
        ),
    ],
    ids=["the default", "between", "no smaller one", "none", "nearly"],
)  # fmt: skip
def test_the_margin_comes_with_what_it_was_measured_in_and_whether_it_suffices(summary, margin, reason):
    suggested = suggest_settings(summary, *_data())[1]
    assert (suggested.setting, suggested.value, suggested.reason) == ("margin", margin, reason)


@pytest.mark.parametrize(
    ("semi_hard", "num_levels", "margins"),
    [
        ((0.1, 0.2, 0.7, 0.8, 0.8, 0.9, 1.0), 2, [0.6, 0.3]),
        ((0.1, 0.7, 0.7, 0.8, 0.8, 0.9, 1.0), 4, [0.9, 0.9, 0.6, 0.3]),
        ((0, 0, 0, 0, 0.8, 0.9, 1.0), 3, [1.0, 1.0, 0.5]),
        ((0, 0, 0, 0, 0, 0, 0), 2, [1.0, 1.0]),
    ],
)
def test_with_levels_the_complete_labels_have_the_measured_margin(semi_hard, num_levels, margins):
    suggested = suggest_settings(_summary(*semi_hard), *_data(), num_levels=num_levels)[1]
    assert suggested.value == margins
    assert suggested.reason.endswith("This is the margin of the complete labels; those of coarser levels are larger")
    assert settings_table([suggested]).rows[0][1] == ",".join(f"{margin:g}" for margin in margins)


def test_where_no_margin_suffices_the_largest_is_suggested():
    x, label_ids = 10 * torch.eye(2)[[0, 0, 0, 1, 1, 1]] + 0.01 * torch.randn(6, 2), np.repeat([0, 1], 3)
    suggested = suggest_settings(summarize_batches(x, label_ids, 8, 2), x / 10, label_ids)[1]
    assert suggested.value == 1.0
    assert suggested.reason.startswith("only 0.0% of the semi-hard triplets are active")
    assert "the labels are already separated" in suggested.reason


@pytest.mark.parametrize(
    ("shortest", "longest", "reason"),
    [
        (2, 7, "the norms of the embeddings are 2 to 7; no Euclidean margin suits them all"),
        (2.83, 2.83, "all embeddings have a norm of about 2.83, so a Euclidean margin would have to be scaled by it"),
        (2.8, 2.85, "all embeddings have a norm of about 2.85, so a Euclidean margin would have to be scaled by it"),
        (2.8, 2.86, "the norms of the embeddings are 2.8 to 2.86; no Euclidean margin suits them all"),
    ],
)
def test_for_embeddings_of_other_lengths_than_1_cosine_is_suggested(shortest, longest, reason):
    x, label_ids = _data()
    long = x * torch.linspace(shortest, longest, len(x)).unsqueeze(1)
    distance, margin, _ = suggest_settings(summarize_batches(long, label_ids, 8, 2), long, label_ids)
    assert (distance.value, distance.reason) == ("cosine", reason)
    assert "(cosine, in batches of 8 with 2 per label)" in margin.reason


@pytest.mark.parametrize(
    ("sizes", "samples"), [((9, 9, 2), 4), ((9, 9, 3), 2), ((3, 3, 3), 2), ((4, 4), 4), ((86, 3, 3, 3, 1), 2)]
)
def test_four_per_label_where_nine_in_ten_sentences_have_them(sizes, samples):
    x, label_ids = _data(sizes)
    suggested = suggest_settings(summarize_batches(x, label_ids, 4, 2), x, label_ids)[2]
    assert (suggested.setting, suggested.value) == ("samples_per_label", samples)
    fraction = sum(size for size in sizes if size >= 4) / sum(sizes)
    assert suggested.reason.startswith(f"{fraction:.1%} of the sentences")
    assert suggested.reason.endswith(", at least 90%" if samples == 4 else ", less than 90%")


def test_a_fraction_just_below_the_limit_is_not_rounded_to_it():
    label_ids = np.repeat(np.arange(127), [2249, *[2] * 125, 1])
    x = torch.nn.functional.normalize(torch.randn(len(label_ids), 4), dim=1)
    reason = suggest_settings(_summary(*[0.7] * 7), x, label_ids)[2].reason
    assert reason == "89.96% of the sentences have a label with 4 or more sentences, less than 90%"
    row = batches_table(_summary(0.1, 0.6, 0.696, 0.704, 0.8, 0.9, 1.0)).rows[1]
    assert row[2:6] == ("10%", "60%", "69.6%", "70.4%")
