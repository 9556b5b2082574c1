"""Evaluators and functions of sentence-transformers give the same numbers on a model of Tercet as on their own."""

import warnings

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer

peer = pytest.importorskip("sentence_transformers")
evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
util = pytest.importorskip("sentence_transformers.util")


@pytest.fixture(scope="module")
def models(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client") / "model"
    model = SentenceTransformer(str(bert), device="cpu", prompts={"query": "the team ", "document": "the bank "})
    model.save(folder)
    return SentenceTransformer(str(folder), device="cpu"), peer.SentenceTransformer(str(folder), device="cpu")


def _evaluators(sentences):
    first, second, third = sentences[:5], sentences[5:10], sentences[10:15]
    queries, corpus = dict(enumerate(first)), dict(enumerate(sentences))
    relevant = {number: {number, number + 4} for number in queries}
    samples = [{"query": a, "positive": [b], "negative": [c, a]} for a, b, c in zip(first, second, third, strict=True)]
    names = ["cosine", "dot", "euclidean", "manhattan"]
    return [
        evaluation.EmbeddingSimilarityEvaluator(first, second, [0.1, 0.9, 0.3, 0.5, 0.2], similarity_fn_names=names),
        evaluation.BinaryClassificationEvaluator(first, second, [1, 0, 1, 0, 1], similarity_fn_names=names),
        evaluation.InformationRetrievalEvaluator(queries, corpus, relevant, truncate_dim=16),
        evaluation.RerankingEvaluator(samples, at_k=2),
        evaluation.TripletEvaluator(first, second, third, margin=0.01),
        evaluation.MSEEvaluator(first, second, teacher_model=_TEACHER[0]),
        evaluation.ParaphraseMiningEvaluator(corpus, duplicates_list=[(0, 4), (1, 2)]),
    ]


_TEACHER: list = []


@pytest.mark.slow
def test_evaluators_of_sentence_transformers_run(models, sentences, tmp_path):
    ours, theirs = models
    _TEACHER[:] = [theirs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for evaluator in _evaluators(sentences):
            found, expected = ours.evaluate(evaluator, tmp_path / "ours"), theirs.evaluate(evaluator, str(tmp_path))
            assert found.keys() == expected.keys()
            for key in expected:
                assert found[key] == pytest.approx(expected[key], abs=1e-5), (type(evaluator).__name__, key)
    ours.save(tmp_path / "model")
    assert "## Evaluation with `RerankingEvaluator`" in (tmp_path / "model/README.md").read_text()


def test_mining_functions_of_sentence_transformers_run(models, sentences):
    datasets = pytest.importorskip("datasets")
    ours, theirs = models
    pairs = datasets.Dataset.from_dict({"query": sentences[:6], "answer": sentences[6:12]})
    mined = [
        util.mine_hard_negatives(pairs, model, num_negatives=2, range_max=5, verbose=False, use_faiss=False)
        for model in (ours, theirs)
    ]
    assert mined[0].to_dict() == mined[1].to_dict()
    found, expected = (util.paraphrase_mining(model, sentences, top_k=3) for model in (ours, theirs))
    np.testing.assert_allclose([score for score, *_ in found], [score for score, *_ in expected], atol=1e-6)
    embeddings = ours.encode(sentences, convert_to_tensor=True)
    hits = util.semantic_search(embeddings[:2], embeddings, top_k=1)
    assert [hit[0]["corpus_id"] for hit in hits] == [0, 1]
    clusters = util.community_detection(embeddings, threshold=0.9, min_community_size=2)
    assert clusters == util.community_detection(
        theirs.encode(sentences, convert_to_tensor=True), threshold=0.9, min_community_size=2
    )


def test_losses_of_sentence_transformers_run(models, sentences):
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    values = []
    for model in models:
        model.eval()
        loss = losses.MultipleNegativesRankingLoss(model)
        features = [model.preprocess(sentences[:4]), model.preprocess(sentences[4:8])]
        values.append(loss(features, torch.zeros(4)).item())
    assert values[0] == pytest.approx(values[1], abs=1e-6)
