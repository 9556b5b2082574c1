"""The trainer on tiny real encoders: the script of the README, columns, evaluation, checkpoints, resuming."""

import json
import math

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict
from torch import nn
from transformers import EarlyStoppingCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, make_trainer, turn_off_dropout


def _sentences(features):
    """The token ids of each sentence of a packed batch."""
    return [tuple(ids.tolist()) for ids in features["input_ids"][0].split(features["packing"].lengths.tolist())]


def test_the_script_that_this_project_exists_for(mpnet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = SentenceTransformer(str(mpnet))
    start = flat_weights(model).clone()
    train_dataset = Dataset.from_dict({
        "sentence": ["He played a great game.", "The stock is up 20%", "They won 2-1.",
                     "The last goal was amazing.", "They all voted against the bill."],
        "label": [0, 1, 0, 0, 2],
    })  # fmt: skip
    loss = losses.BatchSemiHardTripletLoss(model, margin=0.3)
    trainer = SentenceTransformerTrainer(model=model, train_dataset=train_dataset, loss=loss)
    result = trainer.train()
    assert result.global_step == 3
    assert math.isfinite(result.training_loss)
    assert result.training_loss > 0
    assert (flat_weights(model) - start).abs().max() > 0
    assert (tmp_path / "tmp_trainer/checkpoint-3/modules.json").exists()


@pytest.mark.parametrize(
    "loss",
    [
        losses.BatchAllTripletLoss,
        losses.BatchHardTripletLoss,
        losses.BatchSemiHardTripletLoss,
        losses.BatchHardSoftMarginTripletLoss,
    ],
)
def test_every_batch_loss_pulls_labels_together(loss, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, loss, changes={"max_steps": 30, "learning_rate": 3e-3})
    evaluator = LabelEvaluator(labelled["text"][:], labelled["label"][:])
    before = evaluator(trainer.model)["map@r"]
    trainer.train()
    assert evaluator(trainer.model)["map@r"] > before + 0.1


def test_triplets(bert, sentences, tmp_path):
    data = Dataset.from_dict({"positive": sentences[1:], "anchor": sentences[:-1], "negative": sentences[::-1][1:]})
    model = SentenceTransformer(bert, device="cpu")
    args = make_arguments(tmp_path, batch_sampler="batch_sampler", eval_strategy="steps", eval_steps=4)
    trainer = SentenceTransformerTrainer(
        model=model, args=args, train_dataset=data, eval_dataset=data, loss=losses.TripletLoss(model)
    )
    trainer.train()
    metrics = trainer.evaluate()
    assert 0 <= metrics["eval_cosine_accuracy"] <= 1
    assert trainer.train_dataset.column_names == ["anchor", "positive", "negative"]
    with pytest.raises(DataError, match="'group_by_label' needs labels, and TripletLoss takes given triplets"):
        SentenceTransformerTrainer(
            model=model, args=make_arguments(tmp_path), train_dataset=data, loss=losses.TripletLoss(model)
        )


@pytest.mark.parametrize("kind", ["names", "integers", "class labels"])
def test_labels_of_any_kind_train_alike_and_names_are_kept(kind, bert, sentences, labels, tmp_path):
    label_ids = [sorted(set(labels)).index(label) for label in labels]
    data = Dataset.from_dict({"text": sentences, "label": labels if kind == "names" else label_ids})
    if kind == "class labels":
        data = data.cast_column("label", ClassLabel(names=sorted(set(labels))))
    trainer = make_trainer(bert, tmp_path, data)
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model", device="cpu")
    assert again.label_names == (None if kind == "integers" else sorted(set(labels)))
    expected = make_trainer(bert, tmp_path, Dataset.from_dict({"text": sentences, "label": label_ids}))
    expected.train()
    assert torch.equal(flat_weights(trainer.model), flat_weights(expected.model))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "label": [0], "title": ["b"]}, "'text' (text), 'label' (integer), 'title' (text)"),
        ({"text": ["a"]}, "'text' (text)"),
        ({"text": ["a"], "score": [0.5]}, "'text' (text), 'score' (other)"),
        ({"text": ["a", ""], "label": [0, 1]}, "train_dataset, row 1: the text is empty"),
        ({"text": ["a", "b"], "label": ["x", None]}, "train_dataset, row 1: the label is missing"),
        ({"text": [], "label": []}, "train_dataset has no rows"),
    ],
)
def test_columns_that_do_not_fit_are_named(columns, message, bert, tmp_path):
    with pytest.raises(DataError) as caught:
        make_trainer(bert, tmp_path, Dataset.from_dict(columns))
    assert message in str(caught.value)


def test_other_wrong_inputs(bert, labelled, tmp_path):
    with pytest.raises(DataError, match="train_dataset is a DatasetDict; give a datasets.Dataset"):
        make_trainer(bert, tmp_path, DatasetDict(train=labelled))
    with pytest.raises(DataError, match="train_dataset is a list; give a datasets.Dataset"):
        make_trainer(bert, tmp_path, [{"text": "a", "label": 0}])
    model = SentenceTransformer(bert, device="cpu")
    with pytest.raises(DataError, match="the trainer needs a loss"):
        SentenceTransformerTrainer(model=model, train_dataset=labelled)
    with pytest.raises(DataError, match="unknown batch_sampler 'no_duplicates'; choose one of 'batch_sampler', 'group"):
        make_arguments(tmp_path, batch_sampler="no_duplicates")
    with pytest.raises(DataError, match="train_dataset: a batch of 9 cannot hold labels with 2 sentences each"):
        make_trainer(bert, tmp_path, labelled, changes={"per_device_train_batch_size": 9})
    with pytest.raises(DataError, match="no train_dataset to train on"):
        make_trainer(bert, tmp_path, None).train()


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


def test_the_card_tells_what_the_best_model_measured(bert, labelled, tmp_path):
    values = iter([0.5, 0.9, 0.1])
    changes = {
        "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "max_steps": 2,
        "load_best_model_at_end": True, "metric_for_best_model": "map@r", "eval_on_start": True,
    }  # fmt: skip
    trainer = make_trainer(bert, tmp_path, labelled, evaluator=lambda model: {"map@r": next(values)}, changes=changes)
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "model")
    assert "| MAP@R | 0.5000 | 0.9000 |" in (tmp_path / "model/README.md").read_text()


def test_class_labels_keep_their_numbers(bert, sentences, tmp_path):
    names = ["zebra", "ape", "dog"]
    data = Dataset.from_dict({"text": sentences[:6], "label": [0, 0, 1, 1, 2, 2]})
    trainer = make_trainer(bert, tmp_path, data.cast_column("label", ClassLabel(names=names)))
    assert trainer.train_dataset["label"][:] == [0, 0, 1, 1, 2, 2]
    assert trainer.label_names_of_training == names


def test_eval_labels_are_numbered_as_in_training_and_leave_the_names_alone(bert, labelled, tmp_path):
    other = Dataset.from_dict({"text": ["a", "b", "c", "d"], "label": ["zoo", "travel", "zoo", "ant"]})
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=other)
    assert trainer.label_names_of_training == ["food", "money", "sport", "travel"]
    assert trainer.eval_dataset["label"][:] == [5, 3, 5, 4]


def test_eval_data_that_make_no_batches_are_refused_at_once(bert, labelled, tmp_path):
    with pytest.raises(DataError, match=r"eval_dataset \(per_device_eval_batch_size\): no batch can hold a triplet"):
        make_trainer(bert, tmp_path, labelled, eval_dataset=labelled.select([0, 4, 8]))


def test_an_evaluator_alone_is_enough_and_stops_early(bert, labelled, tmp_path):
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


def test_several_eval_datasets_by_name_with_labels_unknown_in_training(bert, labelled, tmp_path):
    other = Dataset.from_dict(
        {"text": ["the game", "the match", "the bus", "the train"], "label": ["x", "x", "y", "y"]}
    )
    changes = {"eval_strategy": "steps", "eval_steps": 2}
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset={"same": labelled, "other": other}, changes=changes)
    metrics = trainer.evaluate()
    assert {"eval_same_map@r", "eval_other_map@r", "eval_same_loss", "eval_other_loss"} <= set(metrics)


def test_evaluation_batches_are_mixed_though_the_file_is_sorted(bert, labelled, tmp_path):
    """In file order each batch of 4 would hold one label, and the loss would be 0."""
    changes = {"batch_sampler": "batch_sampler", "per_device_eval_batch_size": 4}
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled, changes=changes)
    assert trainer.evaluate()["eval_loss"] > 0
    assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"]


def test_a_run_that_stopped_goes_on_as_if_it_had_not(bert, labelled, tmp_path):
    whole = make_trainer(bert, tmp_path / "whole", labelled, changes={"max_steps": 6})
    whole.train()
    changes = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    first = make_trainer(bert, tmp_path / "parts", labelled, changes=changes)
    first.train()
    resumed = make_trainer(bert, tmp_path / "parts", labelled, changes=changes)
    assert not torch.equal(flat_weights(resumed.model), flat_weights(whole.model))
    resumed.train(resume_from_checkpoint=str(tmp_path / "parts/checkpoint-3"))
    assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))


def test_the_same_seed_gives_the_same_model(bert, labelled, tmp_path):
    weights = []
    for seed in (1, 1, 2):
        trainer = make_trainer(bert, tmp_path, labelled, changes={"seed": seed})
        trainer.train()
        weights.append(flat_weights(trainer.model))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_every_epoch_draws_every_sentence_in_another_order(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"num_train_epochs": 2, "max_steps": -1})
    batches: list[list[tuple[int, ...]]] = []
    trainer.model.register_forward_pre_hook(lambda _, arguments: batches.append(_sentences(*arguments)))
    trainer.train()
    half = len(batches) // 2
    epochs = [[ids for batch in part for ids in batch] for part in (batches[:half], batches[half:])]
    assert set(epochs[0]) == set(epochs[1]) == set(map(tuple, trainer.model.token_ids(labelled["text"][:])))
    assert epochs[0] != epochs[1]


def test_sentences_are_tokenized_once(bert, labelled, tmp_path):
    changes = {"num_train_epochs": 3, "max_steps": -1, "eval_strategy": "epoch"}
    model = SentenceTransformer(bert, device="cpu")
    tokenized: list[str] = []
    token_ids = model.transformer.token_ids
    model.transformer.token_ids = lambda texts: tokenized.extend(texts) or token_ids(texts)
    trainer = SentenceTransformerTrainer(
        model=model, args=make_arguments(tmp_path, **changes), train_dataset=labelled,
        eval_dataset=labelled.select(range(8)), evaluator=lambda model: {"nothing": 0.0},
        loss=losses.BatchHardTripletLoss(model, margin=0.3),
    )  # fmt: skip
    trainer.train()
    assert sorted(text for text in tokenized if text in set(labelled["text"])) == sorted(
        [*labelled["text"], *labelled["text"][:8]]
    )


def test_model_init_trains_the_model_that_it_made(bert, labelled, tmp_path):
    """sentence-transformers' batch losses keep the first model in a hyper-parameter search."""
    made = []

    def model_init():
        made.append(SentenceTransformer(bert, device="cpu"))
        return made[-1]

    first = SentenceTransformer(bert, device="cpu")
    start = flat_weights(first).clone()
    trainer = SentenceTransformerTrainer(
        model_init=model_init, args=make_arguments(tmp_path), train_dataset=labelled,
        loss=losses.BatchHardTripletLoss(first, margin=0.3),
    )  # fmt: skip
    trainer.train()
    assert trainer.model is made[-1]
    assert not torch.equal(flat_weights(trainer.model), start)
    assert torch.equal(flat_weights(first), start)


def test_a_loss_may_be_given_as_a_class(bert, labelled, tmp_path):
    trainer = SentenceTransformerTrainer(
        model=SentenceTransformer(bert, device="cpu"), args=make_arguments(tmp_path), train_dataset=labelled,
        loss=losses.BatchHardSoftMarginTripletLoss,
    )  # fmt: skip
    assert isinstance(trainer.loss, nn.Module)
    trainer.train()


@pytest.mark.parametrize(
    "changes", [{"bf16": True}, {"gradient_accumulation_steps": 2}, {"gradient_checkpointing": True}]
)
def test_what_comes_from_transformers_works(changes, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={**changes, "use_cpu": True})
    start = flat_weights(trainer.model).clone()
    assert math.isfinite(trainer.train().training_loss)
    assert not torch.equal(flat_weights(trainer.model), start)


def test_checkpoints_are_models(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"save_strategy": "steps", "save_steps": 4})
    trainer.train()
    saved = SentenceTransformer(tmp_path / "checkpoint-4", device="cpu")
    assert torch.equal(flat_weights(saved), flat_weights(trainer.model))
    record = json.loads((tmp_path / "checkpoint-4/tercet.json").read_text())
    assert record["training"]["settings"]["Steps"] == 4


def test_adapters_are_trained_saved_loaded_and_resumed(bert, labelled, tmp_path):
    peft = pytest.importorskip("peft")

    def train(changes, **resume):
        torch.manual_seed(0)
        trainer = make_trainer(
            bert, tmp_path / "run", labelled, changes={"save_strategy": "steps", "save_steps": 2, **changes}
        )
        trainer.model.add_adapter(peft.LoraConfig(r=2, target_modules=["query", "value"]))
        start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        trainer.train(**resume)
        return start, trainer.model

    start, model = train({})
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    assert changed
    assert all("lora" in name for name in changed)
    model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved/model.safetensors").exists()
    loaded = SentenceTransformer(tmp_path / "saved", device="cpu")
    np.testing.assert_allclose(loaded.encode(["the game"]), model.encode(["the game"]), atol=1e-6)
    _, resumed = train({}, resume_from_checkpoint=str(tmp_path / "run/checkpoint-2"))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("loss", [losses.BatchAllTripletLoss, losses.TripletLoss])
def test_a_packed_run_is_a_padded_run(loss, mpnet, labelled, sentences, tmp_path):
    """Without dropout, the same batches give the same losses."""
    if loss is losses.TripletLoss:
        labelled = Dataset.from_dict(
            {"anchor": sentences, "positive": sentences[::-1], "negative": sentences[3:] + sentences[:3]}
        )
    found = []
    for packing in (True, False):
        sampler = {"batch_sampler": "batch_sampler"} if loss is losses.TripletLoss else {}
        trainer = make_trainer(mpnet, tmp_path, labelled, loss, changes={"max_steps": 8, **sampler})
        trainer.model.packing = packing
        turn_off_dropout(trainer.model)
        trainer.train()
        found.append(logged_losses(trainer))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert len(set(found[0])) > 1
