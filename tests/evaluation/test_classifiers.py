"""Classifiers against plain loops and scikit-learn, on any data, in blocks of any size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.evaluation import classifiers, label_metrics
from tercet.evaluation.classifiers import class_means, logistic_regression, nearest_neighbours, rows_to_fit
from tercet.evaluation.label_scores import label_scores


def _blobs(n=90, dim=6, labels=5, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    label_ids = np.append(np.arange(labels), rng.integers(0, labels, n - labels))
    x = rng.normal(size=(labels, dim))[label_ids] + noise * rng.normal(size=(n, dim))
    return torch.from_numpy(x).float(), torch.from_numpy(label_ids)


def _plain_neighbours(reference, label_ids, query, k):
    """The majority among the k nearest; of equally frequent labels, that of the nearest row."""
    similarity = [float(torch.cosine_similarity(query, row, dim=0)) for row in reference]
    nearest = sorted(range(len(reference)), key=lambda row: -similarity[row])[:k]
    labels = [int(label_ids[row]) for row in nearest]
    most = max(labels.count(label) for label in labels)
    return next(label for label in labels if labels.count(label) == most)


def _plain_means(reference, label_ids, query):
    best = {}
    for label in label_ids.unique().tolist():
        rows = [row / row.norm() for row, own in zip(reference, label_ids, strict=True) if own == label]
        best[label] = float(torch.cosine_similarity(query, sum(rows) / len(rows), dim=0))
    return max(best, key=best.get)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 6))
def test_they_predict_what_plain_loops_predict(seed, k, labels):
    x, label_ids = _blobs(30, labels=labels, seed=seed)
    queries, _ = _blobs(8, labels=labels, seed=seed + 1)
    expected = [_plain_neighbours(x, label_ids, query, k) for query in queries]
    assert nearest_neighbours(x, label_ids, queries, neighbours=k).tolist() == expected
    assert class_means(x, label_ids, queries).tolist() == [_plain_means(x, label_ids, query) for query in queries]


def test_the_vote_is_that_of_the_metric():
    x, label_ids = _blobs(300, noise=1.5)
    queries, given_ids = _blobs(200, noise=1.5, seed=1)
    metrics = label_metrics(
        queries, given_ids, reference_embeddings=x, reference_labels=label_ids, recall_at=[1], distance="euclidean"
    )
    predicted = nearest_neighbours(x, label_ids, queries, distance="euclidean")
    assert float((predicted == given_ids).double().mean()) == metrics["knn_accuracy"]


@pytest.mark.slow
def test_logistic_regression_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, label_ids = _blobs(400, noise=1.5)
    queries, _ = _blobs(400, noise=1.5, seed=1)
    centred, norm = x - x.mean(0), (x - x.mean(0)).square().sum(1).mean().sqrt()
    theirs = linear_model.LogisticRegression(C=1 / 0.1, tol=1e-8, max_iter=10_000).fit(centred / norm, label_ids)
    expected = theirs.predict((queries - x.mean(0)) / norm)
    assert (logistic_regression(x, label_ids, queries).numpy() == expected).mean() > 0.99


@pytest.mark.parametrize("classifier", [nearest_neighbours, class_means, logistic_regression])
def test_the_scale_of_the_embeddings_and_the_size_of_the_blocks_do_not_count(classifier, monkeypatch):
    x, label_ids = _blobs()
    queries, _ = _blobs(40, seed=1)
    expected = classifier(x, label_ids, queries).tolist()
    assert classifier(1e-3 * x, label_ids, 1e-3 * queries).tolist() == expected
    monkeypatch.setattr(classifiers, "BLOCK_VALUES", 1)
    options = {"block_bytes": 1} if classifier is nearest_neighbours else {}
    assert classifier(x, label_ids, queries, **options).tolist() == expected


@pytest.mark.parametrize("classifier", [nearest_neighbours, class_means, logistic_regression])
def test_a_label_without_a_row_is_never_predicted_and_a_label_with_one_row_can_be(classifier):
    x = torch.tensor([[1.0, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.1], [0, 0.1, 1]])
    label_ids = torch.tensor([0, 0, 2, 2, 3])
    options = {"neighbours": 1} if classifier is nearest_neighbours else {}
    queries = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]])
    predicted = classifier(x, label_ids, queries, **options).tolist()
    assert predicted[:3] == [0, 2, 3]
    assert predicted[3] != 1


@pytest.mark.parametrize("classifier", [nearest_neighbours, class_means, logistic_regression])
def test_equal_embeddings_and_half_precision_give_a_label(classifier):
    predicted = classifier(torch.ones(6, 3), torch.tensor([0, 1, 1, 1, 1, 1]), torch.ones(2, 3))
    assert set(predicted.tolist()) <= {0, 1}
    x, label_ids = _blobs(noise=0.1)
    assert (classifier(x.bfloat16(), label_ids, x.bfloat16()) == label_ids).float().mean() > 0.95


def test_too_many_values_are_sampled_evenly_and_far_too_many_are_left_out():
    label_ids = torch.tensor([0] * 50 + [1] * 30 + [2] * 2)
    assert rows_to_fit(label_ids, 10, max_products=3 * 10 * 82).tolist() == list(range(82))
    rows = rows_to_fit(label_ids, 10, max_products=3 * 10 * 30)
    assert torch.bincount(label_ids[rows]).tolist() == [14, 14, 2]
    assert rows.tolist() == sorted(rows.tolist())
    assert rows.tolist() == rows_to_fit(label_ids, 10, max_products=3 * 10 * 30).tolist()
    assert rows.tolist() != rows_to_fit(label_ids, 10, max_products=3 * 10 * 30, seed=1).tolist()
    assert rows_to_fit(label_ids, 10, max_products=3 * 10 * 2) is None


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40))
def test_the_scores_of_labels_are_those_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    label_ids, predicted = (np.array(part) for part in zip(*pairs, strict=True))
    found = label_scores(label_ids, predicted)
    theirs = metrics.precision_recall_fscore_support(label_ids, predicted, zero_division=0)
    for ours, expected in zip((found.precision, found.recall, found.f1, found.rows), theirs, strict=True):
        np.testing.assert_allclose(ours, expected)
    assert found.f1.mean() == pytest.approx(metrics.f1_score(label_ids, predicted, average="macro", zero_division=0))
    assert (np.diff(found.f1[found.worst_first()]) >= 0).all()
