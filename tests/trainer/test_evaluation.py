"""Evaluation during training: data sets, evaluators, the best model."""

import numpy as np
import pytest
from datasets import Dataset
from transformers import EarlyStoppingCallback

from tercet._events import WarningKind, collect_warnings
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
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


def test_evaluation_data_with_texts_of_the_training_data_are_a_warning(bert, labelled, tmp_path):
    texts = ["a new text", "The  team won the game", "another", "one more"]
    new = Dataset.from_dict({"text": texts, "label": ["sport", "sport", "food", "food"]})
    evaluation = {"copies": labelled, "new": new}
    changes = {"max_steps": 1}
    first, second = _overlaps(make_trainer(bert, tmp_path, labelled, eval_dataset=evaluation, changes=changes))
    assert first.startswith("16 of 16 rows of eval_dataset 'copies' (100.0%) have texts that are also in train_dataset")
    assert "1 of 4 rows of eval_dataset 'new' (25.0%) have texts that are also in train_dataset; the metrics" in second
    assert _overlaps(make_trainer(bert, tmp_path, labelled, changes=changes)) == []


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
    with pytest.raises(DataError, match="evaluator must be a list of evaluators, got 3"):
        make_trainer(bert, tmp_path, labelled, evaluator=3)
