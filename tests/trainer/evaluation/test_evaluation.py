"""Evaluation during training: data sets, evaluators, the best model."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback, TrainerCallback

from tercet._events import WarningKind, collect_warnings
from tercet.distances import Distance
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, SequentialEvaluator, TripletEvaluator
from tercet.losses import TripletLoss
from tests.trainer.helpers import make_trainer


@pytest.mark.slow
def test_an_eval_dataset_gives_loss_and_metrics_and_the_best_model_is_loaded(bert, labelled, tmp_path):
    changes = {
        "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2, "max_steps": 6,
        "load_best_model_at_end": True, "metric_for_best_model": "map@r", "eval_on_start": True,
    }  # fmt: skip
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled, changes=changes)
    trainer.train()
    measured = {entry["step"]: entry["eval_map@r"] for entry in trainer.state.log_history if "eval_map@r" in entry}
    assert set(measured) >= {0, 2, 4, 6}
    assert all("eval_loss" in entry for entry in trainer.state.log_history if "eval_map@r" in entry)
    best = max(value for step, value in measured.items() if step)
    assert trainer.state.best_metric == best
    now = LabelEvaluator(labelled["text"][:], labelled["label"][:])(trainer.model)
    assert now["map@r"] == pytest.approx(best)
    card = (tmp_path / "checkpoint-6/README.md").read_text()
    assert f"| MAP@R | {measured[0]:.4f} | {measured[6]:.4f} |" in card
    assert "- Loss: `BatchSemiHardTripletLoss`\n- Distance: `euclidean`\n- Margin: `0.3`" in card
    assert "- Training sentences: `16`\n- Training labels: `4`" in card
    assert "`food`, `money`, `sport`, `travel`" in card


@pytest.mark.slow
def test_the_card_shows_the_metrics_of_the_best_model(bert, labelled, tmp_path):
    values = iter([0.5, 0.9, 0.1])
    changes = {
        "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "max_steps": 2,
        "load_best_model_at_end": True, "metric_for_best_model": "map@r", "eval_on_start": True,
    }  # fmt: skip
    trainer = make_trainer(bert, tmp_path, labelled, evaluator=lambda model: {"map@r": next(values)}, changes=changes)
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "model")
    assert "| MAP@R | 0.5000 | 0.9000 |" in (tmp_path / "model/README.md").read_text()


@pytest.mark.slow
def test_an_evaluator_without_eval_dataset_can_stop_the_run_early(bert, labelled, tmp_path):
    calls = []

    def evaluator(model):
        calls.append(len(calls) + 1)
        return {"map@r": np.float32(1 / len(calls))}

    changes = {
        "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "max_steps": 50,
        "load_best_model_at_end": True, "metric_for_best_model": "map@r",
    }  # fmt: skip
    stop = EarlyStoppingCallback(early_stopping_patience=2)
    trainer = make_trainer(bert, tmp_path, labelled, evaluator=evaluator, callbacks=[stop], changes=changes)
    trainer.train()
    assert calls == [1, 2, 3]
    assert trainer.state.best_global_step == 1
    assert "eval_loss" not in trainer.evaluate()


def test_several_eval_datasets_with_labels_that_training_does_not_have(bert, labelled, tmp_path):
    other = Dataset.from_dict(
        {"text": ["the game", "the match", "the bus", "the train"], "label": ["x", "x", "y", "y"]}
    )
    changes = {"eval_strategy": "steps", "eval_steps": 2}
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset={"same": labelled, "other": other}, changes=changes)
    metrics = trainer.evaluate()
    assert {"eval_same_map@r", "eval_other_map@r", "eval_same_loss", "eval_other_loss"} <= set(metrics)


def test_evaluation_batches_mix_the_labels_of_a_sorted_file(bert, labelled, tmp_path):
    """In file order each batch of 4 would hold one label, and the loss would be 0."""
    changes = {"batch_sampler": "batch_sampler", "per_device_eval_batch_size": 4}
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled, changes=changes)
    assert trainer.evaluate()["eval_loss"] > 0
    assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"]


def _overlaps(trainer):
    with collect_warnings() as warnings:
        trainer.train()
    return [warning.message for warning in warnings if warning.kind == WarningKind.OVERLAP]


@pytest.mark.slow
def test_evaluation_data_with_texts_of_the_training_data_are_a_warning(bert, labelled, tmp_path):
    texts = ["a new text", "The  team won the game", "another", "one more"]
    new = Dataset.from_dict({"text": texts, "label": ["sport", "sport", "food", "food"]})
    evaluation = {"copies": labelled, "new": new}
    changes = {"max_steps": 1}
    first, second = _overlaps(make_trainer(bert, tmp_path, labelled, eval_dataset=evaluation, changes=changes))
    assert first.startswith("16 of 16 rows of eval_dataset 'copies' (100.0%) have texts that are also in train_dataset")
    assert "1 of 4 rows of eval_dataset 'new' (25.0%) have texts that are also in train_dataset; the metrics" in second
    assert _overlaps(make_trainer(bert, tmp_path, labelled, changes=changes)) == []


@pytest.mark.slow
def test_evaluation_triplets_with_a_trained_pair_are_a_warning(bert, sentences, tmp_path):
    data = Dataset.from_dict({"anchor": sentences[:4], "positive": sentences[4:8], "negative": sentences[8:12]})
    other = Dataset.from_dict({"anchor": sentences[:2], "positive": sentences[5:7], "negative": sentences[8:10]})
    changes = {"max_steps": 1, "batch_sampler": "batch_sampler"}
    (message,) = _overlaps(make_trainer(bert, tmp_path, data, TripletLoss, eval_dataset=data, changes=changes))
    assert message.startswith("4 of 4 rows of eval_dataset (100.0%) have texts that are also in train_dataset")
    assert _overlaps(make_trainer(bert, tmp_path, data, TripletLoss, eval_dataset=other, changes=changes)) == []


def test_metrics_of_several_evaluators_with_one_name_are_a_warning(bert, labelled, tmp_path, caplog):
    texts, labels = list(labelled["text"]), list(labelled["label"])
    dev, other = LabelEvaluator(texts, labels), LabelEvaluator(texts[::2], labels[::2])
    trainer = make_trainer(bert, tmp_path, labelled, evaluator=[dev, other], eval_dataset=labelled)
    trainer.evaluate()
    trainer.evaluate()
    assert len([record for record in caplog.records if "several evaluators return" in record.message]) == 1
    named = [dev, LabelEvaluator(texts[::2], labels[::2], name="half")]
    metrics = make_trainer(bert, tmp_path, labelled, evaluator=named, eval_dataset=labelled).evaluate()
    assert {"eval_map@r", "eval_half_map@r"} <= metrics.keys()
    with pytest.raises(DataError, match=r"the evaluator .*<lambda> must return a number .*, but returned None$"):
        make_trainer(bert, tmp_path, labelled, evaluator=lambda model: None).evaluate()
    with pytest.raises(DataError, match="evaluator must be a list of evaluators, got 3"):
        make_trainer(bert, tmp_path, labelled, evaluator=3)


BEST = {
    "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "max_steps": 1,
    "load_best_model_at_end": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (
            "map@R",
            {},
            "'map@R' is not among the metrics of an evaluation; did you mean 'map@r'\\? choose from 'knn_acc",
        ),
        ("eval_recall@2", {}, "did you mean 'recall@"),
        ("unknown_auroc", {}, "'unknown_auroc' is not among the metrics"),
        ("map@r", {"eval_dataset": "several"}, "did you mean 'b_map@r'\\? "),
        ("map@r", {"evaluator": "named"}, "did you mean 'dev_map@r'"),
        ("map@r", {"evaluator": "triplets"}, "choose from 'cosine_accuracy', 'loss'$"),
        ("score", {"evaluator": "both"}, "choose from 'cosine_accuracy', .* 'sequential_score'"),
    ],
)
def test_the_metric_of_the_best_model_is_checked_before_the_first_step(
    metric, options, message, bert, labelled, tmp_path
):
    trainer = make_trainer(
        bert, tmp_path, labelled, changes={**BEST, "metric_for_best_model": metric}, **_made(options, labelled)
    )
    with pytest.raises(DataError, match=f"^metric_for_best_model=.*{message}"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_the_loss_that_is_compared_by_default_is_missing(bert, labelled, tmp_path):
    options = _made({"eval_dataset": None, "evaluator": "named"}, labelled)
    trainer = make_trainer(bert, tmp_path, labelled, changes=BEST, **options)
    with pytest.raises(DataError, match="compares the loss by default, .* pass metric_for_best_model, one of 'dev_"):
        trainer.train()
    assert trainer.state.global_step == 0


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("eval_loss", {}),
        (None, {}),
        ("runtime", {}),
        ("a_loss", {"eval_dataset": "several"}),
        ("dev_ndcg@10", {"eval_dataset": None, "evaluator": "sets"}),
        ("max_accuracy", {"eval_dataset": None, "evaluator": "distances"}),
        ("unknown_auroc", {"eval_dataset": None, "evaluator": "reference"}),
        ("mine", {"evaluator": "function"}),
        ("mine", {"evaluator": "nested"}),
        ("map@r", {"evaluator": "own distance"}),
        ("mine", {"callbacks": "adding"}),
        ("evaluator_0", {"evaluator": "number"}),
    ],
)
def test_a_metric_that_an_evaluation_returns_decides_which_model_is_the_best(metric, options, bert, labelled, tmp_path):
    trainer = make_trainer(
        bert, tmp_path, labelled, changes={**BEST, "metric_for_best_model": metric}, **_made(options, labelled)
    )
    trainer.train()
    assert trainer.state.best_metric is not None


class Adding(TrainerCallback):
    """A callback that adds a metric."""

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        metrics["eval_mine"] = 1.0


class Projected(Distance):
    """A distance of embeddings of one dimension."""

    name = "projected"

    def pairs(self, x, y):
        return ((x - y) @ torch.eye(32, 4)).norm(dim=1)

    def matrix(self, x, y):
        return torch.cdist(x @ torch.eye(32, 4), y @ torch.eye(32, 4))


class OwnEvaluator(LabelEvaluator):
    """An evaluator of the user, which adds a metric."""

    def __call__(self, *given, **options):
        return {**super().__call__(*given, **options), "mine": 1.0}


def _made(options, labelled):
    """Return the arguments of a trainer by their short names."""
    texts, labels = labelled["text"][:], labelled["label"][:]
    triplets = [[texts[place]] * 2 for place in (0, 1, 4)]
    made = {
        "several": {"a": labelled, "b": labelled},
        "named": LabelEvaluator(texts, labels, name="dev"),
        "triplets": TripletEvaluator(*triplets),
        "distances": TripletEvaluator(*triplets, similarity_fn_names=["cosine", "dot"]),
        "both": SequentialEvaluator([LabelEvaluator(texts, labels), TripletEvaluator(*triplets)]),
        "number": SequentialEvaluator([lambda *given: 1.0]),
        "sets": LabelEvaluator(texts, [[label] for label in labels], name="dev"),
        "reference": LabelEvaluator([*texts, "new"], [*labels, "new"], texts, labels),
        "function": lambda model: {"mine": 1.0},
        "nested": SequentialEvaluator([OwnEvaluator(texts, labels)]),
        "own distance": LabelEvaluator(texts, labels, distance=Projected()),
        "adding": [Adding()],
    }
    given = {"eval_dataset": labelled, **options}
    return {name: made.get(value, value) if isinstance(value, str) else value for name, value in given.items()}
