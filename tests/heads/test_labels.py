"""Heads for rows with several labels, and for nested labels."""

import numpy as np
import pytest
import torch

from tercet.errors import DataError, EmbeddingError
from tercet.evaluation import label_metrics
from tercet.heads import HeadSettings, choose_head, train_head
from tercet.heads.labels import row_labels
from tercet.heads.scoring import score_labels
from tercet.losses import functional, miners
from tercet.losses.functional.labels import ids_and_relation

CANDIDATES = tuple(HeadSettings(steps=15, batch_size=32, dropout=dropout) for dropout in (0.0, 0.3))
NAMES = np.array(["ui", "api", "crash", "docs", "slow", "login", "card", "fee", "old", "new"])
PATHS = ["pay/card", "pay/fee", "help/login", "help/app/crash", "other"]


def _several(rows=240, noise=0.4, seed=0):
    """Return rows in which each label has a direction, and the other directions are noise; one or two labels each."""
    rng = np.random.default_rng(seed)
    labels = [rng.choice(len(NAMES), rng.integers(1, 3), replace=False) for _ in range(rows)]
    x = noise * rng.normal(size=(rows, 24)).astype(np.float32)
    x[:, : len(NAMES)] *= 0.2
    for row, own in enumerate(labels):
        x[row, own] += 1
    return x, [NAMES[own].tolist() for own in labels]


def _nested(rows=240, seed=0):
    """Return rows in which each label has a direction, and the other directions are noise."""
    rng = np.random.default_rng(seed)
    ids = np.arange(rows) % len(PATHS)
    x = 0.4 * rng.normal(size=(rows, 20)).astype(np.float32)
    x[np.arange(rows), ids] += 1
    return x, [PATHS[number] for number in ids]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_several_labels_has_positives_that_share_a_label(weighted):
    x, labels = _several(rows=16)
    rows = row_labels(labels)
    loss = rows.loss(0.3, jaccard_weights=weighted)(torch.tensor(x), torch.tensor(rows.ids))
    ids, relation = ids_and_relation(labels, weighted=weighted)
    expected, _ = functional.loss_with_miner(torch.tensor(x), ids, miners.semi_hard(0.3), relation=relation)
    torch.testing.assert_close(loss, expected)


def test_the_loss_of_nested_labels_is_that_of_the_levels():
    x, labels = _nested(rows=16)
    rows = row_labels(labels, "/")
    loss = rows.loss(0.1)(torch.tensor(x), torch.tensor(rows.ids))
    expected = functional.nested_triplet_loss(
        torch.tensor(x), [label.split("/") for label in labels], [miners.semi_hard(one) for one in (0.3, 0.2, 0.1)],
        weights=[1 / 157, 12 / 157, 144 / 157],
    )  # fmt: skip
    torch.testing.assert_close(loss, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "levels"), [(_several, None), (_nested, "/")])
def test_training_raises_map_at_r_on_other_rows(make, levels):
    (x, labels), (other, wanted) = make(), make(rows=80, seed=1)
    settings = HeadSettings(steps=40, batch_size=64)
    head = train_head(x, labels, settings=settings, label_levels=levels)
    before, after = (
        label_metrics(q, wanted, reference_embeddings=r, reference_labels=labels)["map@r"]
        for q, r in ((other, x), (head(other), head(x)))
    )
    assert after > before + 0.1
    again = train_head(x, labels, settings=settings, label_levels=levels)
    assert torch.equal(head.weight, again.weight)


def test_batches_have_rows_that_share_a_label():
    _, labels = _several()
    rows = row_labels(labels)
    assert sorted(rows.counts()) == sorted(sum(name in own for own in labels) for name in NAMES)
    for batch in rows.sampler(16, 4, seed=0).batches():
        assert len(set(batch)) == 16
        assert any(sum(name in labels[row] for row in batch) >= 4 for name in NAMES)


def test_positives_are_counted_by_shared_labels():
    _, labels = _several(rows=40)
    rows = row_labels(labels)
    own, others = np.arange(0, 10), np.arange(5, 40)
    found = rows.take(own).num_positives(rows.take(others))
    assert found.tolist() == [sum(bool({*labels[row]} & {*labels[other]}) for other in others) for row in own]
    ids = row_labels([3, 3, 5]).take(np.array([0, 2]))
    assert ids.num_positives(row_labels([3, 3, 5]).take(np.array([0, 1]))).tolist() == [2, 0]


@pytest.mark.slow
def test_a_head_for_several_labels_is_chosen_by_map_at_r():
    x, labels = _several()
    choice = choose_head(x, labels, candidates=CANDIDATES)
    none, *others = choice.scores
    assert choice.head is not None
    assert choice.reason.startswith("a head with dropout")
    assert "accuracy" not in choice.reason
    assert all(score.accuracy is None and score.score == score.map_at_r for score in choice.scores)
    assert max(other.score for other in others) > none.score
    separated = choose_head(*_several(noise=0.01), candidates=CANDIDATES)
    assert separated.head is None
    assert separated.reason.startswith("no head, because the best one")
    few = choose_head(x[:60], labels[:60], candidates=CANDIDATES)
    assert few.reason == (
        "no head, because it cannot be measured whether one helps: the rows are too few, or do not form triplets in "
        "folds"
    )


def test_a_label_of_all_rows_gives_no_head():
    """Every ranking of the folds is right, so that nothing can be measured."""
    x, labels = _several(rows=120)
    everywhere = [[*own, "all"] for own in labels]
    choice = choose_head(x, everywhere, candidates=CANDIDATES)
    assert choice.head is None
    assert choice.scores == []


@pytest.mark.slow
def test_nested_labels_are_scored_by_the_mean_of_the_levels():
    (x, labels), (queries, wanted) = _nested(), _nested(rows=50, seed=1)
    rows = row_labels([*labels, *wanted], "/")
    parts = rows.take(np.arange(240)), rows.take(np.arange(240, 290))
    scores = score_labels(torch.tensor(x), parts[0], torch.tensor(queries), parts[1])
    expected = [
        label_metrics(
            queries, ["/".join(name.split("/")[:level]) for name in wanted], reference_embeddings=x,
            reference_labels=["/".join(name.split("/")[:level]) for name in labels],
        )["map@r"]
        for level in (1, 2, 3)
    ]  # fmt: skip
    assert scores[:, 0].mean().item() == pytest.approx(np.mean(expected))
    accuracy = label_metrics(queries, wanted, reference_embeddings=x, reference_labels=labels)["knn_accuracy"]
    assert scores[:, 1].mean().item() == pytest.approx(accuracy)
    choice = choose_head(x, labels, candidates=CANDIDATES, label_levels="/")
    assert choice.head is not None
    assert "MAP@R, the mean over the levels, is" in choice.reason
    assert "and the accuracy" in choice.reason


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        ([["a"], [], ["a"], ["b"]], {}, EmbeddingError, "row 1 of labels has no label"),
        ([["a"], ["a"], ["b"]], {}, EmbeddingError, "got 4 embeddings and 3 labels"),
        ([["a"], [2], ["b"], ["b"]], {}, EmbeddingError, "must be all integers or all strings"),
        ([["a"]] * 4, {"label_levels": "/"}, EmbeddingError, "label_levels is for one label per row"),
        (["a", "a", "b", "b"], {"label_levels": "/"}, DataError, "no label contains '/'"),
        (["a/", "a/b", "b", "b"], {"label_levels": "/"}, DataError, "has an empty level"),
    ],
)
def test_wrong_labels(labels, options, error, message):
    with pytest.raises(error, match=message):
        train_head(np.eye(4), labels, **options)
