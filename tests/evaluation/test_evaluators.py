"""Evaluators: numbers from a model, ours or sentence-transformers'."""

import pytest
from sentence_transformers import SentenceTransformer as Peer

from tercet import SentenceTransformer
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator, label_metrics


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
