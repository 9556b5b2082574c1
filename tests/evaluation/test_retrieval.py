"""Metrics against scikit-learn, pytorch-metric-learning and plain loops."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from tercet.errors import EmbeddingError
from tercet.evaluation import label_metrics, triplet_accuracy


@pytest.fixture(params=[0, 1, 2])
def data(request):
    rng = np.random.default_rng(request.param)
    labels = rng.integers(0, 8, 150)
    labels[:3] = [100, 101, 102]  # singletons
    centres = rng.normal(size=(103, 6))
    return (centres[labels] + rng.normal(size=(150, 6))).astype(np.float32), labels


def test_map_at_r_and_r_precision_are_those_of_pytorch_metric_learning(data):
    from pytorch_metric_learning.distances import LpDistance

    x, labels = data
    tensors = torch.tensor(x), torch.tensor(labels)
    calculator = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
    )
    theirs = calculator.get_accuracy(*tensors)
    ours = label_metrics(x, labels, distance="euclidean")
    assert ours["map@r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-9)
    assert ours["r_precision"] == pytest.approx(theirs["r_precision"], abs=1e-9)
    assert ours["recall@1"] == pytest.approx(theirs["precision_at_1"], abs=1e-9)
    theirs = calculator.get_accuracy(tensors[0][:50], tensors[1][:50], tensors[0][50:], tensors[1][50:])
    ours = label_metrics(
        x[:50], labels[:50], reference_embeddings=x[50:], reference_labels=labels[50:], distance="euclidean"
    )
    assert ours["map@r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-9)


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan"])
def test_recall_and_knn_accuracy_are_those_of_scikit_learn(data, distance):
    x, labels = data
    neighbours = NearestNeighbors(n_neighbors=11, metric=distance).fit(x).kneighbors(x, return_distance=False)
    others = np.array([row[row != own][:10] for own, row in enumerate(neighbours)])
    ours = label_metrics(x, labels, distance=distance)
    counted = np.bincount(labels)[labels] > 1
    for k in (1, 5, 10):
        hit = (labels[others[:, :k]] == labels[:, None]).any(axis=1)
        assert ours[f"recall@{k}"] == pytest.approx(hit[counted].mean())
    # With one neighbour there is no tie to break.
    ours = label_metrics(
        x[:60], labels[:60], reference_embeddings=x[60:], reference_labels=labels[60:], distance=distance, neighbours=1
    )
    vote = KNeighborsClassifier(1, metric=distance).fit(x[60:], labels[60:])
    known = np.isin(labels[:60], labels[60:])  # the others count in no metric
    assert ours["knn_accuracy"] == pytest.approx(vote.score(x[:60][known], labels[:60][known]))
    two = (labels % 2).astype(int)  # nor with five and two labels
    ours = label_metrics(x[:60], two[:60], reference_embeddings=x[60:], reference_labels=two[60:], distance=distance)
    vote = KNeighborsClassifier(5, metric=distance).fit(x[60:], two[60:])
    assert ours["knn_accuracy"] == pytest.approx(vote.score(x[:60], two[:60]))


def test_a_tied_vote_goes_to_the_nearest():
    x = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    reference = {"reference_embeddings": x[1:], "reference_labels": ["b", "a", "a", "b"], "distance": "euclidean"}
    assert label_metrics(x[:1], ["b"], **reference, neighbours=4)["knn_accuracy"] == 1
    assert label_metrics(x[:1], ["a"], **reference, neighbours=4)["knn_accuracy"] == 0
    assert label_metrics(x[:1], ["a"], **reference, neighbours=3)["knn_accuracy"] == 1


def test_mean_distances_are_the_plain_means(data):
    x, labels = data
    ours = label_metrics(x, labels, distance="euclidean")
    d = np.linalg.norm(x[:, None] - x[None], axis=2)
    same, own = labels[:, None] == labels, np.eye(len(x), dtype=bool)
    measured = np.bincount(labels)[labels] > 1
    assert ours["mean_positive_distance"] == pytest.approx(d[same & ~own].mean(), rel=1e-4)
    assert ours["mean_negative_distance"] == pytest.approx(d[measured][~same[measured]].mean(), rel=1e-4)


def test_queries_without_a_relevant_sentence_count_in_no_metric(data):
    x, labels = data
    known, rest = labels[:50].copy(), {"reference_embeddings": x[50:], "reference_labels": labels[50:]}
    known[known >= 100] = 0
    alone = label_metrics(x[:50], known, **rest)
    assert "unknown_auroc" not in alone
    both = label_metrics(np.vstack([x[:50], x[:20] + 1]), [*known.tolist(), *[777] * 20], **rest)
    assert both.pop("unknown_auroc") > 0
    assert both == pytest.approx(alone, abs=1e-6)
    singles = label_metrics(np.vstack([x, x[:5] + 1]), [*labels.tolist(), *range(200, 205)])
    assert 0 <= singles["knn_accuracy"] <= singles["recall@5"] <= 1
    perfect = label_metrics([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], ["a", "a", "b"], neighbours=1)
    assert perfect["knn_accuracy"] == perfect["recall@1"] == 1


def test_unknown_auroc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    reference, queries = rng.integers(0, 6, (40, 2)).astype(float), rng.integers(0, 6, (60, 2)).astype(float)
    labels = rng.integers(0, 6, 60)  # the labels 4 and 5 are unknown
    ours = label_metrics(
        queries, labels, reference_embeddings=reference, reference_labels=np.arange(40) % 4, distance="manhattan"
    )
    nearest = np.abs(queries[:, None] - reference).sum(axis=2).min(axis=1)
    assert len(set(nearest)) < 10  # so that ties are tested
    assert ours["unknown_auroc"] == pytest.approx(roc_auc_score(labels > 3, nearest))


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan"])
def test_blocks_change_nothing(data, distance):
    x, labels = data
    whole = label_metrics(x, labels, distance=distance)
    for block_bytes in (1, 20_000):
        assert label_metrics(x, labels, distance=distance, block_bytes=block_bytes) == pytest.approx(whole, abs=1e-6)


def test_labels_may_be_names_and_embeddings_tensors(data):
    x, labels = data
    names = [f"label {label}" for label in labels]
    assert label_metrics(torch.tensor(x), names) == label_metrics(x, labels) == label_metrics(x, torch.tensor(labels))


def test_perfect_and_hopeless_embeddings():
    x = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    perfect = label_metrics(x, [0, 0, 1, 1, 2, 2], neighbours=1)
    assert [perfect[name] for name in ("map@r", "r_precision", "recall@1", "knn_accuracy")] == [1, 1, 1, 1]
    assert label_metrics(x, [0, 1, 0, 2, 1, 2], neighbours=1)["recall@1"] == 0


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_ranking_is_right_near_collapse_and_far_from_the_origin(distance, data):
    x, labels = data
    exact = label_metrics(x.astype(np.float64), labels, distance="euclidean")["map@r"]
    moved = (1000 + x) if distance == "euclidean" else np.hstack([np.full((len(x), 1), 1e4), x])
    measured = label_metrics(moved.astype(np.float32), labels, distance=distance)
    assert measured["map@r"] == pytest.approx(exact, abs=0.01)


def test_triplet_accuracy_counts_strictly_nearer_positives():
    a = np.zeros((3, 1))
    p, n = np.array([[1.0], [2.0], [1.0]]), np.array([[2.0], [1.0], [1.0]])
    assert triplet_accuracy(a, p, n, distance="euclidean") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 1]}, r"expected one label per embedding, shape \(3,\); got labels of shape \(2,\)"),
        ({"embeddings": np.zeros(3, np.float32)}, r"must be a floating-point tensor \(batch, dim\)"),
        ({"embeddings": np.zeros((3, 2), int)}, "must be a floating-point"),
        ({"embeddings": np.full((3, 2), np.nan)}, r"embeddings: NaN or infinite values in row\(s\) 0, 1, 2"),
        ({"embeddings": np.zeros((0, 2)), "labels": []}, "embeddings must have at least one row"),
        ({"embeddings": np.zeros((1, 2)), "labels": [0]}, "nothing to rank"),
        ({"distance": "l2"}, "unknown distance 'l2'"),
        ({"labels": [0, 1, 2]}, "no query has a relevant sentence"),
        ({"labels": [0, 0, 0]}, "all sentences have one label, so no ranking can be wrong"),
        ({"labels": [0, None, 0]}, "labels, row 1: the label is missing"),
        ({"labels": [float("nan")] * 3}, "labels, row 0: the label is missing"),
        ({"labels": [1, True, 1.0]}, "labels, row 1: the label True is a bool, but that of the first row is an int"),
        ({"embeddings": np.full((3, 2), 1e20, np.float32)}, r"values too large in row\(s\) 0, 1, 2"),
        ({"embeddings": np.full((3, 2), 1e-23, np.float32)}, r"values too small in row\(s\) 0, 1, 2"),
        ({"recall_at": (-1,)}, "each value of recall_at must be an integer of at least 1, got -1"),
        ({"recall_at": (1, 0)}, "each value of recall_at must be an integer of at least 1, got 0"),
        ({"recall_at": (1.5,)}, "each value of recall_at must be an integer of at least 1, got 1.5"),
        ({"recall_at": 5}, "recall_at must be a list of integers"),
        ({"neighbours": -1}, "neighbours must be an integer of at least 1, got -1"),
        ({"block_bytes": 0}, "block_bytes must be an integer of at least 1, got 0"),
        (
            {"reference_embeddings": np.zeros((2, 2)), "reference_labels": [0, 0]},
            "all references have one label, so no ranking can be wrong",
        ),
        (
            {"reference_embeddings": np.zeros((2, 2)), "reference_labels": ["0", "1"]},
            "labels are of type int, but reference_labels are of type str",
        ),
        (
            {"reference_embeddings": np.zeros((2, 2)), "reference_labels": [7, 8]},
            "none of the labels is among the reference labels",
        ),
        ({"reference_embeddings": np.zeros((2, 2))}, "without reference_labels"),
        (
            {"reference_embeddings": np.zeros((2, 5)), "reference_labels": [0, 1]},
            "must have the same dimension; got 2 and 5",
        ),
    ],
)
def test_bad_input(arguments, message):
    defaults = {"embeddings": np.zeros((3, 2), np.float32), "labels": [0, 0, 1]}
    with pytest.raises(EmbeddingError, match=message):
        label_metrics(**{**defaults, **arguments})


@pytest.mark.parametrize("container", [torch.tensor, np.array, list, lambda labels: [torch.tensor(n) for n in labels]])
def test_labels_may_be_in_any_container(container):
    x, labels = np.random.default_rng(0).normal(size=(6, 3)), [0, 0, 1, 1, 2, 2]
    assert label_metrics(x, container(labels)) == label_metrics(x, labels)


def test_rows_of_zeros_have_the_cosine_distance_1():
    metrics = label_metrics(np.array([[0.0, 0], [0, 0], [1, 0], [1, 0]], np.float32), [0, 0, 1, 1])
    assert metrics["mean_positive_distance"] == pytest.approx(0.5, abs=1e-6)
    assert metrics["mean_negative_distance"] == pytest.approx(1, abs=1e-6)


def test_map_at_r_rises_when_labels_that_cannot_be_learned_are_memorised():
    """As the page on metrics says, with two labels that are assigned at random."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 64)), rng.integers(0, 2, 400)
    queries, labels = rng.normal(size=(200, 64)), np.repeat([0, 1], 100)
    untouched = label_metrics(queries, labels, reference_embeddings=x, reference_labels=y)
    places = np.eye(64)[:2]  # Training rows move to the place of their label, new sentences to either.
    found = rng.integers(0, 2, 200)
    memorised = label_metrics(places[found], labels, reference_embeddings=places[y] + x / 1000, reference_labels=y)
    assert (untouched["map@r"], untouched["recall@10"]) == pytest.approx((0.26, 1), abs=0.01)
    assert (memorised["map@r"], memorised["recall@10"]) == pytest.approx((0.5, 0.5), abs=0.05)
