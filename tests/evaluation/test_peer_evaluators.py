"""The evaluators with the arguments of sentence-transformers."""

import csv
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tercet.errors import DataError, EmbeddingError
from tercet.evaluation import LabelEvaluator, SentenceEvaluator, SequentialEvaluator, TripletEvaluator

TRIPLETS = (["a", "b", "c", "d"], ["ab", "bbbbb", "ccc", "d"], ["aaaaa", "bb", "cc", "ddd"])


class Lengths:
    """A model whose embedding is the length of the text, and 1."""

    def encode(self, sentences, *, convert_to_tensor, truncate_dim=2, **options):
        return torch.tensor([[float(len(text)), 1.0] for text in sentences])[:, :truncate_dim]


def test_names_margins_and_similarities_have_their_effect():
    evaluator = TripletEvaluator(*TRIPLETS, main_similarity_function="euclidean", name="dev")
    assert evaluator(Lengths()) == {"dev_euclidean_accuracy": 0.5}
    assert evaluator.primary_metric == "dev_euclidean_accuracy"
    assert evaluator.greater_is_better is LabelEvaluator.greater_is_better is True
    wide = TripletEvaluator(*TRIPLETS, "euclidean", 2.5)
    assert wide(Lengths()) == {"euclidean_accuracy": 0.25}
    several = TripletEvaluator(*TRIPLETS, similarity_fn_names=["dot", "manhattan"], margin={"manhattan": 2.5})
    assert several(Lengths()) == {"dot_accuracy": 0.5, "manhattan_accuracy": 0.25, "max_accuracy": 0.5}
    assert several.primary_metric == "max_accuracy"
    assert several.get_config_dict() == {"margin": {"dot": 0, "manhattan": 2.5}}
    assert TripletEvaluator(*TRIPLETS, truncate_dim=1, distance="euclidean")(Lengths()) == {"euclidean_accuracy": 0.5}


def test_results_are_those_of_sentence_transformers(tmp_path):
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation").TripletEvaluator

    class Model:
        similarity_fn_name = "cosine"
        model_card_data = type("Data", (), {"set_evaluation_metrics": lambda self, *_: None})()

        def encode(self, sentences, *, convert_to_tensor=False, **_):
            rows = np.stack([np.random.default_rng(len(text)).normal(size=8) for text in sentences]).astype(np.float32)
            return torch.from_numpy(rows) if convert_to_tensor else rows

        encode_query = encode_document = encode

    names = ["cosine", "dot", "euclidean", "manhattan"]
    for options in (
        {},
        {"main_similarity_function": "dot"},
        {"similarity_fn_names": names, "margin": 0.5, "name": "x"},
    ):
        ours, expected = TripletEvaluator(*TRIPLETS, **options), theirs(*TRIPLETS, **options)
        assert ours(Model(), str(tmp_path / "ours"), 1, 2) == expected(Model(), str(tmp_path / "theirs"), 1, 2)
        assert ours.primary_metric == expected.primary_metric
        assert (tmp_path / "ours" / ours.csv_file).read_text() == (tmp_path / "theirs" / expected.csv_file).read_text()


def test_rows_are_added_to_a_file(tmp_path):
    evaluator = TripletEvaluator(*TRIPLETS, distance="manhattan", name="dev")
    for step in (1, 2):
        evaluator(Lengths(), str(tmp_path / "new"), 0.5, step)
    rows = list(csv.reader((tmp_path / "new/triplet_evaluation_dev_results.csv").read_text().splitlines()))
    assert rows == [["epoch", "steps", "accuracy_manhattan"], ["0.5", "1", "0.5"], ["0.5", "2", "0.5"]]
    TripletEvaluator(*TRIPLETS, write_csv=False)(Lengths(), str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_name_stores_the_metrics_in_the_card():
    stored = []
    model = Lengths()
    model.model_card_data = type("Data", (), {"set_evaluation_metrics": lambda self, *a: stored.append(a)})()
    evaluator = TripletEvaluator(*TRIPLETS, name="dev")
    metrics = evaluator(model, None, 1, 2)
    assert stored == [(evaluator, metrics, 1, 2)]


def test_examples_are_triplets():
    @dataclass
    class Example:
        texts: list[str]

    examples = [Example(list(row)) for row in zip(*TRIPLETS, strict=True)]
    evaluator = TripletEvaluator.from_input_examples(examples, name="dev")
    assert evaluator.columns == list(TRIPLETS)
    assert evaluator.name == "dev"
    with pytest.raises(DataError, match="example 1 has 2 texts; a triplet has three"):
        TripletEvaluator.from_input_examples([examples[0], Example(["a", "b"])])


def test_wrong_arguments_are_refused():
    for options, error, message in [
        ({"margin": "wide"}, DataError, "margin must be a number"),
        ({"margin": {"cosinus": 1}}, DataError, "it has the unknown names 'cosinus'"),
        ({"distance": "cosine", "main_similarity_function": "dot"}, DataError, "not both"),
        ({"similarity_fn_names": ["cosine", "dots"]}, EmbeddingError, "unknown distance 'dots'"),
    ]:
        with pytest.raises(error, match=message):
            TripletEvaluator(*TRIPLETS, **options)


def test_a_sequence_calls_each_evaluator():
    class Half(SentenceEvaluator):
        def __call__(self, model, output_path=None, epoch=-1, steps=-1):
            return 0.5 * epoch

    triplets = TripletEvaluator(*TRIPLETS, distance="euclidean")
    sequence = SequentialEvaluator([triplets, Half()], lambda scores: sum(scores))
    assert sequence(Lengths(), None, 3) == {"euclidean_accuracy": 0.5, "evaluator_1": 1.5, "sequential_score": 2.0}
    assert SequentialEvaluator([])(Lengths()) == {"sequential_score": 0.0}
    assert sequence.primary_metric == "sequential_score"
