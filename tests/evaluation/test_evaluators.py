"""Evaluators: numbers from a model, ours or sentence-transformers'."""

import pytest
import torch
from sentence_transformers import SentenceTransformer as Peer

from tercet import SentenceTransformer
from tercet.errors import DataError, EmbeddingError
from tercet.evaluation import LabelEvaluator, SequentialEvaluator, TripletEvaluator, label_metrics


def test_label_evaluator_measures_the_models_embeddings(bert, sentences, labels):
    model = SentenceTransformer(bert, device="cpu")
    measured = LabelEvaluator(sentences, labels)(model)
    assert measured == pytest.approx(label_metrics(model.encode(sentences), labels), abs=1e-6)
    assert measured == pytest.approx(LabelEvaluator(sentences, labels)(Peer(str(bert), device="cpu")), abs=1e-5)
    assert "map@r" in measured


def test_label_evaluator_with_a_reference(bert, sentences, labels):
    model = SentenceTransformer(bert, device="cpu")
    few, many = slice(None, None, 4), slice(1, None, 2)
    measured = LabelEvaluator(sentences[few], labels[few], sentences[many], labels[many], neighbours=1)(model)
    x = model.encode(sentences)
    wanted = label_metrics(
        x[few], labels[few], reference_embeddings=x[many], reference_labels=labels[many], neighbours=1
    )
    assert measured == pytest.approx(wanted, abs=1e-5)


def test_triplet_evaluator(bert, sentences):
    model = SentenceTransformer(bert, device="cpu")
    assert TripletEvaluator(sentences, sentences, sentences[1:] + sentences[:1])(model) == {"cosine_accuracy": 1.0}
    other = TripletEvaluator(sentences, sentences[1:] + sentences[:1], sentences, distance="manhattan")
    assert other(model) == {"manhattan_accuracy": 0.0}
    assert other.primary_metric == "manhattan_accuracy"


def test_lengths_must_agree(sentences, labels):
    with pytest.raises(DataError, match="got 16 sentences and 3 labels"):
        LabelEvaluator(sentences, labels[:3])
    with pytest.raises(DataError, match="got 16 anchors, 16 positives and 1 negatives"):
        TripletEvaluator(sentences, sentences, ["one"])
    with pytest.raises(DataError, match="reference_sentences and reference_labels together"):
        LabelEvaluator(sentences, labels, sentences)


def test_labels_may_be_a_tensor(bert, sentences, labels):
    model = SentenceTransformer(bert, device="cpu")
    numbers = torch.tensor([sorted(set(labels)).index(label) for label in labels])
    assert LabelEvaluator(sentences, numbers)(model) == LabelEvaluator(sentences, numbers.tolist())(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["x"] * 4}, "nothing to measure: all sentences have one label"),
        ({"labels": ["a", "b", "c", "d"]}, "nothing to measure: no query has a relevant sentence"),
        ({"labels": ["a", None, "a", None]}, "labels, row 1: the label is missing"),
        ({"labels": ["a", float("nan"), "a", "b"]}, "labels, row 1: the label is missing"),
        ({"labels": "aabb"}, "labels must be a list with one label per row, got str"),
        ({"sentences": "abcd"}, "sentences must be a list of texts, got str"),
        ({"reference_sentences": ["x", "y"], "reference_labels": ["a", None]}, "reference_labels, row 1: the label is"),
        ({"reference_sentences": ["x", "y"], "reference_labels": ["a", "a"]}, "all references have one label"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"recall_at": (0,)}, "each value of recall_at must be an integer of at least 1, got 0"),
        ({"recal_at": (1,)}, r"unknown metric option\(s\) 'recal_at'; choose from 'recall_at', 'neighbours'"),
        ({"distance": torch.cdist}, "distance must be a name or a tercet.distances.Distance, not a function"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_a_model_runs(changes, message):
    with pytest.raises(DataError, match=message):
        LabelEvaluator(**{"sentences": ["p", "q", "r", "s"], "labels": ["a", "a", "b", "b"], **changes})


def test_the_triplet_evaluator_checks_its_arguments():
    with pytest.raises(DataError, match="anchors must be a list of texts, got str"):
        TripletEvaluator("abc", ["a", "b", "c"], ["a", "b", "c"])
    with pytest.raises(DataError, match="batch_size must be an integer of at least 1, got -1"):
        TripletEvaluator(["a"], ["b"], ["c"], batch_size=-1)
    with pytest.raises(EmbeddingError, match="unknown distance 'l2'"):
        TripletEvaluator(["a"], ["b"], ["c"], distance="l2")


@pytest.mark.parametrize("options", [{}, {"margin": 0.1}, {"main_similarity_function": "dot"}])
def test_embeddings_that_are_not_finite_have_no_accuracy(options):
    class Broken:
        def encode(self, sentences, **_):
            return torch.full((len(sentences), 4), float("nan"))

    with pytest.raises(EmbeddingError, match="anchors"):
        TripletEvaluator(["a"], ["b"], ["c"], **options)(Broken())
    with pytest.raises(DataError, match="margin must be a number"):
        TripletEvaluator(["a"], ["b"], ["c"], margin=float("nan"))


def test_labels_that_look_the_same_are_a_warning(caplog):
    LabelEvaluator(["p", "q", "r", "s"], ["a", "a ", "caf\u00e9", "cafe\u0301"], ["t", "u"], ["a", "a "])
    assert (
        "labels: 'a' and 'a ', 'caf\\xe9' and 'cafe\\u0301' differ only in white space or Unicode form" in caplog.text
    )


def test_texts_without_an_order_are_refused(sentences, labels):
    for texts in (set(sentences), dict.fromkeys(sentences)):
        with pytest.raises(DataError, match="sentences must be a list of texts, got (set|dict)"):
            LabelEvaluator(texts, labels[: len(texts)])


def test_labels_of_an_iterator_are_read_once(bert, sentences, labels):
    x = SentenceTransformer(bert, device="cpu").encode(sentences)
    assert label_metrics(x, iter(labels)) == label_metrics(x, labels)


def test_evaluators_of_a_sequence_are_told_apart_by_their_names(bert, sentences, labels, caplog):
    model = SentenceTransformer(bert, device="cpu")
    first, second = LabelEvaluator(sentences, labels), LabelEvaluator(sentences[::2], labels[::2], name="half")
    metrics = SequentialEvaluator([first, second])(model)
    half = LabelEvaluator(sentences[::2], labels[::2])(model)
    assert metrics == {**first(model), **{f"half_{key}": value for key, value in half.items()},
                       "sequential_score": half["map@r"]}  # fmt: skip
    caplog.clear()
    same = SequentialEvaluator([first, first])
    same(model)
    same(model)
    assert len(caplog.records) == 1
    assert "several evaluators return 'knn_accuracy', 'map@r'" in caplog.text
    for wrong in (first, [3], 3):
        with pytest.raises(DataError, match="evaluators must be a list of evaluators"):
            SequentialEvaluator(wrong)
