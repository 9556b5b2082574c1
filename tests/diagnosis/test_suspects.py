"""Doubtful labels: found where they were planted, judged by others alone, in any order of the rows."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tercet.diagnosis import suspects
from tercet.diagnosis.folds import deal_folds
from tercet.diagnosis.logistic import fit_logistic
from tercet.diagnosis.neighbours import centred
from tercet.diagnosis.suspects import judge_labels
from tercet.errors import EmbeddingError


def _blobs(labels=4, each=30, dim=8, spread=0.25, seed=0):
    """Rows around one centre a label, and folds as the texts "0", "1", … would get them."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(labels), each)
    centres = np.eye(labels, dim)
    x = centres[codes] + spread * rng.normal(size=(len(codes), dim)) / np.sqrt(dim)
    folds = deal_folds([str(row) for row in range(len(codes))], codes, suspects.FOLDS)
    return torch.from_numpy(x).float(), torch.from_numpy(codes), torch.from_numpy(folds)


def test_planted_labels_come_first_with_the_right_suggestion():
    x, codes, folds = _blobs()
    planted = torch.tensor([3, 17, 40, 77, 95, 119])
    given = codes.clone()
    given[planted] = (codes[planted] + 1 + planted % 3) % 4
    judged = judge_labels(x, given, folds)
    assert sorted(judged.ranked().tolist()) == planted.tolist()
    assert judged.suggested[planted].tolist() == codes[planted].tolist()
    assert judged.score[judged.ranked()].diff().le(0).all()
    others = torch.ones(len(x), dtype=torch.bool).index_fill(0, planted, False)
    assert judged.score[others].max() < 0 < judged.score[planted].min()


def test_the_score_is_the_one_that_the_module_and_the_manual_define():
    """In numbers: a penalty of 0.2, 50 neighbours, a temperature of 0.05, a doubt of 0.02, weights of 2 and 1."""
    assert suspects.NEIGHBOURS == 50  # the last of them weigh too little to show in a score
    x, codes, folds = _blobs(each=18, spread=1.5)
    judged = judge_labels(x, codes, folds)
    x = centred(x)
    similarity = F.normalize(x) @ F.normalize(x).T
    for i in range(len(x)):
        others = (folds != folds[i]).nonzero().flatten()
        assert len(others) > 50
        p = fit_logistic(5 * x[others], codes[others], 4, 25 * 0.2).log_probabilities(5 * x[i : i + 1])[0]
        nearest = others[similarity[i, others].argsort(descending=True)[:50]]
        weights = (similarity[i, nearest] / 0.05).exp()
        votes = torch.stack([weights[codes[nearest] == label].sum() for label in range(4)]) / weights.sum()
        evidence = (2 * p + (votes + 0.02).log()) / 3
        given, other = evidence[codes[i]], evidence.clone()
        other[codes[i]] = -torch.inf
        assert judged.suggested[i] == other.argmax()
        assert judged.score[i] == pytest.approx(float(other.max() - given), abs=2e-3)


def test_no_label_of_a_fold_has_a_say_in_that_fold():
    x, codes, folds = _blobs(labels=2, spread=2.0)
    before = judge_labels(x, codes, folds).score
    for fold in (0, 7):
        inside = folds == fold
        turned = torch.where(inside, 1 - codes, codes)
        after = judge_labels(x, turned, folds).score
        # The same evidence of the same two labels, one of which is now the given one.
        torch.testing.assert_close(after[inside], -before[inside], atol=1e-5, rtol=0)
        assert (after[~inside] - before[~inside]).abs().max() > 1e-3


def test_copies_do_not_vouch_for_each_other():
    x, codes, _ = _blobs()
    x = torch.cat([x, x[:1].expand(40, -1)])
    codes = torch.cat([codes, codes.new_full((40,), 3)])
    codes[0] = 3
    keys = [*(str(row) for row in range(120)), *["0"] * 40]
    judged = judge_labels(x, codes, torch.from_numpy(deal_folds(keys, codes.numpy(), suspects.FOLDS)))
    same = [0, *range(120, 160)]
    assert judged.suggested[same].unique().tolist() == [0]
    assert judged.score[same].min() > 1


def test_the_order_of_the_rows_does_not_count():
    x, codes, folds = _blobs(spread=2.0)
    judged, order = judge_labels(x, codes, folds), torch.randperm(len(x))
    shuffled = judge_labels(x[order], codes[order], folds[order])
    # Sums in another order end L-BFGS elsewhere near the optimum.
    torch.testing.assert_close(shuffled.score, judged.score[order], atol=1e-2, rtol=0)
    assert shuffled.suggested.tolist() == judged.suggested[order].tolist()


def test_blocks_of_any_size_give_the_same(monkeypatch):
    x, codes, folds = _blobs(spread=2.0)
    whole = judge_labels(x, codes, folds)
    monkeypatch.setattr(suspects, "_BLOCK_CELLS", 2 * 4)
    parts = judge_labels(x, codes, folds)
    torch.testing.assert_close(parts.score, whole.score)
    assert parts.suggested.tolist() == whole.suggested.tolist()


def test_a_label_in_one_fold_only_cannot_be_judged():
    x, codes, folds = _blobs(labels=3)
    codes[0] = 3
    codes[[1, 2]], folds[[1, 2]] = 4, folds[1].item()
    judged = judge_labels(x, codes, folds)
    assert judged.score.isnan().nonzero().flatten().tolist() == [0, 1, 2]
    assert judged.suggested[:3].tolist() == [-1, -1, -1]
    assert not set(judged.ranked().tolist()) & {0, 1, 2}


@pytest.mark.parametrize(
    ("codes", "folds"),
    [([0], [0]), ([0, 1], [0, 1]), ([0, 0], [0, 1]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2, 3], [0, 1, 2, 3])],
    ids=["one row", "two rows", "two rows of one label", "one label", "singletons"],
)
def test_where_nothing_can_be_said(codes, folds):
    judged = judge_labels(torch.randn(len(codes), 3), torch.tensor(codes), torch.tensor(folds))
    assert judged.score.isnan().all()
    assert judged.suggested.eq(-1).all()
    assert len(judged.ranked()) == 0


def test_a_model_that_tells_nothing_apart_sees_the_frequent_label():
    codes = torch.tensor([0] * 90 + [1] * 10)
    folds = torch.from_numpy(deal_folds([str(row) for row in range(100)], codes.numpy(), suspects.FOLDS))
    judged = judge_labels(torch.full((100, 5), 0.3), codes, folds)
    assert judged.score.isfinite().all()
    assert judged.ranked().tolist() == list(range(90, 100))


def test_shapes_that_do_not_fit_are_told():
    with pytest.raises(EmbeddingError, match=r"got \(3, 2\) embeddings, \(2,\) labels and \(3,\) folds"):
        judge_labels(torch.randn(3, 2), torch.tensor([0, 1]), torch.tensor([0, 1, 2]))
    nothing = torch.zeros(0, dtype=torch.long)
    with pytest.raises(EmbeddingError, match="one label and one fold an embedding"):
        judge_labels(torch.randn(0, 2), nothing, nothing)
