"""What batches hold, against loops over their triplets; and the settings that follow."""

import numpy as np
import pytest
import torch

from tercet import distances
from tercet.data.batches import GroupByLabelSampler
from tercet.diagnosis.batches import MARGINS, WANTED_ACTIVE, batch_facts, suggestions
from tercet.errors import DataError
from tercet.losses import reference


def _data(sizes=(9, 7, 5, 2, 1), dim=6, seed=0):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(sizes), dim, generator=generator)[codes] + torch.randn(len(codes), dim, generator=generator)
    return torch.nn.functional.normalize(x), codes


def _triplets(codes):
    rows = range(len(codes))
    return [
        (a, p, n) for a in rows for p in rows if p != a and codes[p] == codes[a] for n in rows if codes[n] != codes[a]
    ]


def test_margins_are_those_that_the_manual_names():
    assert MARGINS == (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def test_figures_are_those_of_loops_over_the_same_batches():
    x, codes = _data()
    facts = batch_facts(x, codes, 8, 2, seed=3)
    batches = GroupByLabelSampler(codes, 8, 2, 3).batches()
    assert (facts.drawn, facts.epoch, facts.batch_size, facts.samples_per_label) == (len(batches), len(batches), 8, 2)
    triplets = [_triplets(codes[rows]) for rows in batches]
    assert facts.valid_triplets == pytest.approx(np.mean([len(found) for found in triplets]))
    assert facts.labels == pytest.approx(np.mean([len(set(codes[rows])) for rows in batches]))
    assert [(share.distance, share.margin) for share in facts.active] == [
        (distance, margin) for distance in ("euclidean", "cosine") for margin in MARGINS
    ]
    for share in facts.active:
        active, chosen, total = 0, [], 0
        for rows, found in zip(batches, triplets, strict=True):
            d = distances.matrix(x[rows], x[rows], share.distance)
            active += sum(float(d[a, p] - d[a, n] + share.margin) > 0 for a, p, n in found)
            total += len(found)
            chosen += _semi_hard_hinges(d, codes[rows], share.margin)
            # The same hinges as in the specification of the loss.
            mean = reference.batch_semi_hard(d, codes[rows].tolist(), share.margin)
            assert np.mean(_semi_hard_hinges(d, codes[rows], share.margin)) == pytest.approx(float(mean), abs=1e-6)
        assert share.all_triplets == pytest.approx(active / total)
        assert share.semi_hard == pytest.approx(np.mean(np.array(chosen) > 0))


def _semi_hard_hinges(d, codes, margin):
    hinges = []
    for a, p in {(a, p) for a, p, _ in _triplets(codes)}:
        negatives = [d[a, n] for n in range(len(codes)) if codes[n] != codes[a]]
        farther = [negative for negative in negatives if negative > d[a, p]]
        hinges.append(max(0.0, float(d[a, p] - (min(farther) if farther else max(negatives)) + margin)))
    return hinges


def test_mean_distances_are_euclidean():
    x, codes = _data(sizes=(3, 3))
    facts = batch_facts(x, codes, 8, 2)
    d = torch.cdist(x, x)
    same = codes[:, None] == codes
    assert facts.mean_positive == pytest.approx(
        float(d[torch.from_numpy(same & ~np.eye(6, dtype=bool))].mean()), rel=1e-4
    )
    assert facts.mean_negative == pytest.approx(float(d[torch.from_numpy(~same)].mean()), rel=1e-4)
    assert facts.drawn == facts.epoch == 1
    assert facts.batch_size == 6


def test_a_long_epoch_is_measured_in_part():
    x, codes = _data(sizes=(100,) * 6)
    facts = batch_facts(x, codes, 4, 2)
    assert (facts.drawn, facts.epoch) == (50, 150)


def test_data_without_a_triplet_are_refused():
    with pytest.raises(DataError, match="no batch can hold a triplet"):
        batch_facts(torch.randn(3, 2), np.arange(3), 4, 2)


def test_shares_grow_with_the_margin_and_the_first_that_suffices_is_suggested():
    x, codes = _data()
    facts = batch_facts(x, codes, 8, 2)
    shares = [share for share in facts.active if share.distance == "euclidean"]
    assert [share.all_triplets for share in shares] == sorted(share.all_triplets for share in shares)
    distance, margin, _ = suggestions(facts, x, codes)
    assert (distance.option, distance.value) == ("--distance", "euclidean")
    wanted = next(share for share in shares if share.semi_hard >= WANTED_ACTIVE)
    assert (margin.option, margin.value) == ("--margin", wanted.margin)
    assert f"{wanted.semi_hard:.0%} of the semi-hard triplets are active" in margin.reason


def test_where_no_margin_suffices_the_largest_is_suggested():
    x, codes = 10 * torch.eye(2)[[0, 0, 0, 1, 1, 1]] + 0.01 * torch.randn(6, 2), np.repeat([0, 1], 3)
    assert suggestions(batch_facts(x, codes, 8, 2), x / 10, codes)[1].value == 1.0


def test_embeddings_of_other_lengths_than_1_want_the_cosine():
    x, codes = _data()
    long = x * torch.linspace(2, 7, len(x)).unsqueeze(1)
    facts = batch_facts(long, codes, 8, 2)
    distance, margin, _ = suggestions(facts, long, codes)
    assert distance.value == "cosine"
    assert "2 to 7 long" in distance.reason
    assert "(cosine)" in margin.reason


@pytest.mark.parametrize(("sizes", "samples"), [((9, 9, 2), 4), ((9, 9, 3), 2), ((3, 3, 3), 2), ((4, 4), 4)])
def test_four_a_label_where_nine_in_ten_sentences_have_them(sizes, samples):
    x, codes = _data(sizes)
    suggested = suggestions(batch_facts(x, codes, 4, 2), x, codes)[2]
    assert (suggested.option, suggested.value) == ("--samples-per-label", samples)
    share = sum(size for size in sizes if size >= 4) / sum(sizes)
    assert suggested.reason.startswith(f"{share:.0%} of the sentences")
