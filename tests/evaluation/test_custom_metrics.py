"""Metrics as functions of a ranking, and metrics that are registered from outside of Tercet."""

import numpy as np
import pytest
import torch

from tercet import catalogue
from tercet.errors import EmbeddingError
from tercet.evaluation import Ranking, label_metrics
from tercet.evaluation.retrieval import RecallAt, map_at_r, r_precision


@pytest.fixture
def register():
    """A function that registers a metric for the time of a test."""
    keys = []

    def add(key, score):
        catalogue.METRICS.register(catalogue.MetricSpec(key=key, title=key, score=score))
        keys.append(key)

    yield add
    for key in keys:
        catalogue.METRICS.unregister(key)


def _ranking(hits, num_relevant):
    hits = torch.tensor(hits)
    labels = torch.zeros(len(hits), dtype=torch.int64)
    return Ranking(
        hits=hits, num_relevant=torch.tensor(num_relevant), neighbour_labels=(~hits).long(), query_labels=labels
    )


def test_built_in_metrics_of_a_ranking():
    ranking = _ranking([[True, False, True, True], [False, True, False, False]], [3, 1])
    torch.testing.assert_close(map_at_r(ranking), torch.tensor([(1 + 2 / 3) / 3, 0.0], dtype=torch.float64))
    torch.testing.assert_close(r_precision(ranking), torch.tensor([2 / 3, 0.0], dtype=torch.float64))
    assert RecallAt(1)(ranking).tolist() == [True, False]
    assert RecallAt(2)(ranking).tolist() == [True, True]
    assert map_at_r(ranking.select(torch.tensor([1]))).tolist() == [0]


def _data():
    random = np.random.default_rng(0)
    labels = random.integers(0, 8, 100)
    labels[0] = 50  # A query without a relevant sentence, which the metric must not see.
    return random.normal(size=(100, 4)).astype(np.float32), labels


class _ReciprocalRank:
    """1 / the rank of the first relevant sentence, over all sentences."""

    depth = 1000

    def __call__(self, ranking):
        assert bool((ranking.num_relevant > 0).all())
        return 1 / (ranking.hits.int().argmax(1) + 1)


def test_a_registered_metric_is_measured(register):
    x, labels = _data()
    before = label_metrics(x, labels, distance="euclidean")
    register("mrr", _ReciprocalRank())
    after = label_metrics(x, labels, distance="euclidean")
    assert {key: after[key] for key in before} == before
    assert [key for key in after if key != "mrr"] == list(before)
    d = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(d, np.inf)
    ranks = [(labels[d[query].argsort()] == labels[query]).argmax() + 1 for query in range(1, 100)]
    assert after["mrr"] == pytest.approx(np.mean(1 / np.array(ranks)))


def test_a_metric_may_ask_for_more_depth(register):
    x, labels = _data()
    register("recall@40", RecallAt(40))
    assert label_metrics(x, labels)["recall@40"] == label_metrics(x, labels, recall_at=(40,))["recall@40"]


def test_a_metric_with_one_value_for_all_queries_is_an_error(register):
    register("broken", lambda ranking: ranking.hits.double().mean())
    with pytest.raises(EmbeddingError, match=r"the metric 'broken' returned shape \(\) for \d+ queries"):
        label_metrics(*_data())


def test_built_in_metrics_keep_their_order():
    assert list(label_metrics(*_data())) == [
        "map@r", "r_precision", "recall@1", "recall@5", "recall@10", "knn_accuracy",
        "mean_positive_distance", "mean_negative_distance",
    ]  # fmt: skip
