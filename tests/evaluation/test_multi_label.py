"""Metrics of sentences with several labels, against plain loops."""

import numpy as np
import pytest

from tercet.errors import DataError, EmbeddingError
from tercet.evaluation import LabelEvaluator, label_metrics


def _dcg(gains):
    return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains))


def _loops(x, sets, gallery, gallery_sets, *, leave_one_out):
    rows = {"map@r": [], "r_precision": [], "recall@1": [], "ndcg@10": []}
    for query, labels in enumerate(sets):
        others = [other for other in range(len(gallery)) if not leave_one_out or other != query]
        ranked = sorted(others, key=lambda other: np.linalg.norm(x[query] - gallery[other]))
        hits = [bool(labels & gallery_sets[other]) for other in ranked]
        gains = [len(labels & gallery_sets[other]) / max(1, len(labels | gallery_sets[other])) for other in ranked]
        if not (r := sum(hits)):
            continue
        precision = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(r)]
        rows["map@r"].append(sum(p for p, hit in zip(precision, hits, strict=False) if hit) / r)
        rows["r_precision"].append(precision[-1])
        rows["recall@1"].append(hits[0])
        rows["ndcg@10"].append(_dcg(gains[:10]) / _dcg(sorted(gains, reverse=True)[:10]))
    return {key: np.mean(values) for key, values in rows.items()}


@pytest.mark.parametrize("with_reference", [False, True])
def test_metrics_equal_loops(with_reference):
    rng = np.random.default_rng(5)

    def draw(rows):
        sets = [frozenset(rng.integers(0, 9, rng.integers(0, 4)).tolist()) for _ in range(rows)]
        return rng.normal(size=(rows, 4)), [*sets[:-1], frozenset([99])]

    x, sets = draw(40)
    gallery, gallery_sets = draw(55) if with_reference else (x, sets)
    if with_reference:
        gallery_sets[-1] = frozenset([1])
    options = {"reference_embeddings": gallery, "reference_labels": gallery_sets} if with_reference else {}
    got = label_metrics(x, sets, distance="euclidean", block_bytes=4000, **options)
    wanted = _loops(x, sets, gallery, gallery_sets, leave_one_out=not with_reference)
    assert {key: got[key] for key in wanted} == pytest.approx(wanted)
    assert "knn_accuracy" not in got
    assert ("unknown_auroc" in got) == with_reference
    pairs = [
        np.linalg.norm(x[a] - gallery[b])
        for a in range(40)
        for b in range(len(gallery))
        if sets[a] & gallery_sets[b] and (with_reference or a != b)
    ]
    assert got["mean_positive_distance"] == pytest.approx(np.mean(pairs))
    names = [[f"label {label}" for label in one] for one in sets]
    if not with_reference:
        assert label_metrics(x, names, distance="euclidean") == pytest.approx(got)


def test_sets_of_one_label_have_the_metrics_of_labels():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(30, 3)), rng.integers(0, 5, 30)
    got = label_metrics(x, [[label] for label in labels.tolist()])
    wanted = label_metrics(x, labels)
    assert {key: got[key] for key in wanted if key in got} == pytest.approx(
        {key: value for key, value in wanted.items() if key != "knn_accuracy"}
    )


@pytest.mark.parametrize(("label", "reference"), [(np.int64, int), (np.str_, str), (int, np.int32), (bool, int)])
def test_numpy_scalars_are_equal_to_plain_labels(label, reference):
    x = np.random.default_rng(0).normal(size=(6, 3))
    given = [[label(one)] for one in (0, 1, 0, 1, 0, 1)]
    of_gallery = [[reference(one[0])] for one in given]
    got = label_metrics(x, given, reference_embeddings=x, reference_labels=of_gallery)
    assert got == label_metrics(x, of_gallery, reference_embeddings=x, reference_labels=of_gallery)


@pytest.mark.parametrize(
    ("labels", "reference", "message"),
    [
        ([[0], [1], [2]], None, "no query shares a label"),
        ([[0], [0, 1], [0]], None, "no ranking can be wrong"),
        ([[0], [0], [1]], [0, 1, 2], "reference_labels are not"),
        ([[0], [0]], None, "labels of 3 embeddings, got those of 2"),
        ([[0.5], [0.5], [1]], None, "integers or all strings"),
        ([["a"], ["a"], ["b", None]], None, "^labels, row 2: the label is missing"),
        ([["a"], ["a"], ["b"]], [["a"], ["b"], ["b", ""]], "^reference_labels, row 2: the label is missing"),
        ([["a"], ["a"], ["b"]], [[1], [1], [2]], "^labels are of type str, but reference_labels are of type int"),
    ],
)
def test_nothing_to_measure(labels, reference, message):
    x = np.eye(3)
    options = {} if reference is None else {"reference_embeddings": x, "reference_labels": reference}
    with pytest.raises(EmbeddingError, match=message):
        label_metrics(x, labels, **options)
    if reference is None and len(labels) == 3:
        with pytest.raises(DataError, match=message):
            LabelEvaluator(["a", "b", "c"], labels)
