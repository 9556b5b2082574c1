"""Log-odds of labels: planted wrong labels are found, by other folds alone, in any order of the rows."""

import weakref

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tercet.data.splits.folds import deal_folds
from tercet.errors import EmbeddingError
from tercet.evaluation.logistic import fit_logistic
from tercet.inspection.label_issues import score
from tercet.inspection.label_issues.neighbours import centred
from tercet.inspection.label_issues.score import compute_log_odds


def _blobs(labels=4, each=30, dim=8, spread=0.25, seed=0):
    """Rows around one centre a label, and folds as the texts "0", "1", … would get them."""
    rng = np.random.default_rng(seed)
    label_ids = np.repeat(np.arange(labels), each)
    centres = np.eye(labels, dim)
    x = centres[label_ids] + spread * rng.normal(size=(len(label_ids), dim)) / np.sqrt(dim)
    folds = deal_folds([str(row) for row in range(len(label_ids))], label_ids, score.NUM_FOLDS)
    return torch.from_numpy(x).float(), torch.from_numpy(label_ids), torch.from_numpy(folds)


def test_planted_labels_come_first_with_the_right_suggestion():
    x, label_ids, folds = _blobs()
    planted = torch.tensor([3, 17, 40, 77, 95, 119])
    given = label_ids.clone()
    given[planted] = (label_ids[planted] + 1 + planted % 3) % 4
    scores = compute_log_odds(x, given, folds)
    assert sorted(scores.ranked().tolist()) == planted.tolist()
    assert scores.suggested[planted].tolist() == label_ids[planted].tolist()
    assert scores.log_odds[scores.ranked()].diff().le(0).all()
    others = torch.ones(len(x), dtype=torch.bool).index_fill(0, planted, False)
    assert scores.log_odds[others].max() < 0 < scores.log_odds[planted].min()


@pytest.mark.slow
def test_log_odds_are_those_that_the_module_and_the_manual_define():
    """In numbers: a penalty of 0.2, 50 neighbours, a temperature of 0.05, an offset of 0.02, weights of 2 and 1."""
    assert score.NUM_NEIGHBOURS == 50  # the last of them weigh too little to show in a score
    x, label_ids, folds = _blobs(each=18, spread=1.5)
    scores = compute_log_odds(x, label_ids, folds)
    x = centred(x)
    similarity = F.normalize(x) @ F.normalize(x).T
    for i in range(len(x)):
        others = (folds != folds[i]).nonzero().flatten()
        assert len(others) > 50
        p = fit_logistic(5 * x[others], label_ids[others], 4, 25 * 0.2).log_probabilities(5 * x[i : i + 1])[0]
        nearest = others[similarity[i, others].argsort(descending=True)[:50]]
        weights = (similarity[i, nearest] / 0.05).exp()
        votes = torch.stack([weights[label_ids[nearest] == label].sum() for label in range(4)]) / weights.sum()
        evidence = (2 * p + (votes + 0.02).log()) / 3
        given, other = evidence[label_ids[i]], evidence.clone()
        other[label_ids[i]] = -torch.inf
        assert scores.suggested[i] == other.argmax()
        assert scores.log_odds[i] == pytest.approx(float(other.max() - given), abs=2e-3)


@pytest.mark.slow
def test_no_label_of_a_fold_counts_in_that_fold():
    x, label_ids, folds = _blobs(labels=2, spread=2.0)
    before = compute_log_odds(x, label_ids, folds).log_odds
    for fold in (0, 7):
        inside = folds == fold
        flipped = torch.where(inside, 1 - label_ids, label_ids)
        after = compute_log_odds(x, flipped, folds).log_odds
        # The same evidence of the same two labels, one of which is now the given one.
        torch.testing.assert_close(after[inside], -before[inside], atol=1e-5, rtol=0)
        assert (after[~inside] - before[~inside]).abs().max() > 1e-3


@pytest.mark.slow
def test_copies_do_not_confirm_each_other():
    x, label_ids, _ = _blobs()
    x = torch.cat([x, x[:1].expand(40, -1)])
    label_ids = torch.cat([label_ids, label_ids.new_full((40,), 3)])
    label_ids[0] = 3
    keys = [*(str(row) for row in range(120)), *["0"] * 40]
    scores = compute_log_odds(x, label_ids, torch.from_numpy(deal_folds(keys, label_ids.numpy(), score.NUM_FOLDS)))
    same = [0, *range(120, 160)]
    assert scores.suggested[same].unique().tolist() == [0]
    assert scores.log_odds[same].min() > 1


@pytest.mark.slow
def test_the_order_of_the_rows_does_not_count():
    x, label_ids, folds = _blobs(spread=2.0)
    scores, order = compute_log_odds(x, label_ids, folds), torch.randperm(len(x))
    shuffled = compute_log_odds(x[order], label_ids[order], folds[order])
    # Sums in another order end L-BFGS elsewhere near the optimum.
    torch.testing.assert_close(shuffled.log_odds, scores.log_odds[order], atol=1e-2, rtol=0)
    assert shuffled.suggested.tolist() == scores.suggested[order].tolist()


@pytest.mark.slow
def test_blocks_of_any_size_give_the_same(monkeypatch):
    x, label_ids, folds = _blobs(spread=2.0)
    complete = compute_log_odds(x, label_ids, folds)
    monkeypatch.setattr(score, "BLOCK_VALUES", 2 * 4)
    parts = compute_log_odds(x, label_ids, folds)
    torch.testing.assert_close(parts.log_odds, complete.log_odds)
    assert parts.suggested.tolist() == complete.suggested.tolist()


def test_a_rank_is_among_the_evidence_of_the_fold_for_the_label():
    evidence = torch.tensor([[3.0, 0], [1, 5], [2, 5], [2, -torch.inf]])
    ranks = score._given_ranks(evidence, torch.tensor([0, 1, 0, 1]))
    assert ranks.tolist() == [0.375, 0.25, 0, -0.375]
    x, label_ids, folds = _blobs(labels=3)
    found = compute_log_odds(x, label_ids, folds)
    assert 0.2 < found.given_rank.mean() < 0.5  # 1/3, if all sentences of the label rank first.


def test_without_a_fit_the_evidence_of_one_block_is_in_memory_at_a_time(monkeypatch):
    """With more rows and labels than a fit takes, the evidence of a complete fold would fill the memory."""
    evidence_of, blocks, alive = score._evidence, [], []

    def counted(*arguments):
        alive.append(sum(block() is not None for block in blocks))
        evidence = evidence_of(*arguments)
        blocks.append(weakref.ref(evidence))
        return evidence

    monkeypatch.setattr(score, "_evidence", counted)
    monkeypatch.setattr(score, "BLOCK_VALUES", 4)  # one row
    monkeypatch.setattr(score, "MAX_FIT_VALUES", 0)
    assert compute_log_odds(*_blobs()).given_rank is None
    assert len(alive) == 120
    assert max(alive) == 1


def test_a_label_in_one_fold_only_cannot_be_checked():
    x, label_ids, folds = _blobs(labels=3)
    label_ids[0] = 3
    label_ids[[1, 2]], folds[[1, 2]] = 4, folds[1].item()
    scores = compute_log_odds(x, label_ids, folds)
    assert scores.log_odds.isnan().nonzero().flatten().tolist() == [0, 1, 2]
    assert scores.suggested[:3].tolist() == [-1, -1, -1]
    assert not set(scores.ranked().tolist()) & {0, 1, 2}


@pytest.mark.parametrize(
    ("label_ids", "folds"),
    [([0], [0]), ([0, 1], [0, 1]), ([0, 0], [0, 1]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2, 3], [0, 1, 2, 3])],
    ids=["one row", "two rows", "two rows of one label", "one label", "singletons"],
)
def test_log_odds_are_nan_where_no_label_can_be_checked(label_ids, folds):
    scores = compute_log_odds(torch.randn(len(label_ids), 3), torch.tensor(label_ids), torch.tensor(folds))
    assert scores.log_odds.isnan().all()
    assert scores.suggested.eq(-1).all()
    assert len(scores.ranked()) == 0


def test_with_equal_embeddings_the_frequent_label_is_suggested():
    label_ids = torch.tensor([0] * 90 + [1] * 10)
    folds = torch.from_numpy(deal_folds([str(row) for row in range(100)], label_ids.numpy(), score.NUM_FOLDS))
    scores = compute_log_odds(torch.full((100, 5), 0.3), label_ids, folds)
    assert scores.log_odds.isfinite().all()
    assert scores.ranked().tolist() == list(range(90, 100))


def test_shapes_that_do_not_match_are_an_error():
    with pytest.raises(
        EmbeddingError, match=r"embeddings of shape \(3, 2\), labels of shape \(2,\) and folds of shape \(3,\)"
    ):
        compute_log_odds(torch.randn(3, 2), torch.tensor([0, 1]), torch.tensor([0, 1, 2]))
    nothing = torch.zeros(0, dtype=torch.long)
    with pytest.raises(EmbeddingError, match="pass one label and one fold for each embedding"):
        compute_log_odds(torch.randn(0, 2), nothing, nothing)
