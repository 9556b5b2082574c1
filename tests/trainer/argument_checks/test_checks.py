"""Errors before the first step, and when a training diverges."""

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.errors import DataError, TercetError
from tercet.losses.modules import BaseLoss
from tests.trainer.helpers import make_arguments, make_trainer

RANDOM = {"batch_sampler": "batch_sampler"}


@pytest.mark.parametrize("sampler", ["batch_sampler", "group_by_label"])
def test_an_evaluation_set_that_cannot_be_measured_is_named_before_the_first_step(sampler, bert, labelled, tmp_path):
    changes = {"batch_sampler": sampler}
    with pytest.raises(DataError, match="^eval_dataset has no label twice"):
        make_trainer(bert, tmp_path, labelled, eval_dataset=labelled.select([0, 4, 8]), changes=changes)
    parts = {"good": labelled, "bad": labelled.select([0, 1, 2])}
    with pytest.raises(DataError, match="^eval_dataset 'bad' has one label only"):
        make_trainer(bert, tmp_path, labelled, eval_dataset=parts, changes=changes)


@pytest.mark.parametrize("steps", [{"max_steps": 3}, {"max_steps": -1, "num_train_epochs": 1}])
def test_data_without_a_batch_raise_an_error(steps, bert, labelled, tmp_path):
    changes = {**RANDOM, "dataloader_drop_last": True, **steps}
    with pytest.raises(DataError, match="there is no batch to train on: train_dataset has 6 rows, a batch has 8"):
        make_trainer(bert, tmp_path, labelled.select([0, 1, 2, 4, 5, 6]), changes=changes)


@pytest.mark.slow
def test_drop_last_drops_no_row_of_an_evaluation(bert, labelled, tmp_path):
    losses_of = []
    for drop_last in (False, True):
        changes = {**RANDOM, "dataloader_drop_last": drop_last, "per_device_eval_batch_size": 12}
        trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled, changes=changes)
        losses_of.append(trainer.evaluate()["eval_loss"])
        assert trainer.args.dataloader_drop_last is drop_last
    assert losses_of[0] == losses_of[1]


@pytest.mark.slow
def test_persistent_workers_do_not_mix_up_evaluation_sets(bert, labelled, tmp_path):
    changes = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled, changes=changes)
    loaders, get = [], trainer.get_eval_dataloader
    trainer.get_eval_dataloader = lambda *given: loaders.append(get(*given)) or loaders[-1]
    parts = {name: trainer.train_dataset.select(rows) for name, rows in (("a", range(8)), ("b", range(8, 16)))}
    metrics = trainer.evaluate(parts)
    alone = {name: trainer.evaluate(part)["eval_loss"] for name, part in parts.items()}
    # PyTorch waits 5 seconds for each worker whose loader is collected in a reference cycle, as those of a trainer are.
    for loader in loaders:
        loader._iterator._shutdown_workers()
    assert metrics["eval_a_loss"] == alone["a"]
    assert metrics["eval_b_loss"] == alone["b"]
    assert alone["a"] != alone["b"]


class OwnLoss(BaseLoss):
    def __init__(self, model=None):
        super().__init__(model, "euclidean", 0.3)

    def compute_loss_from_embeddings(self, embeddings, labels):
        return embeddings[0].square().mean()


def test_a_loss_that_cannot_use_a_cross_batch_memory_raises_an_error(bert, labelled, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    arguments = make_arguments(tmp_path, cross_batch_memory=8)
    with pytest.raises(DataError, match="that of OwnLoss does not; set cross_batch_memory=0"):
        SentenceTransformerTrainer(model, arguments, labelled, loss=OwnLoss(model))
    function = losses.BatchAllTripletLoss(model, lambda x: torch.cdist(x, x), 0.3)
    with pytest.raises(DataError, match="cross_batch_memory cannot use a distance function"):
        SentenceTransformerTrainer(model, arguments, labelled, loss=function)


def test_a_model_without_a_trainable_weight_raises_an_error(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled)
    trainer.model.requires_grad_(False)
    with pytest.raises(DataError, match="all weights of the model are frozen, so there is nothing to train"):
        trainer.train()


def test_arguments_of_another_class_raise_an_error(bert, labelled, tmp_path):
    from transformers import TrainingArguments

    model = SentenceTransformer(bert, device="cpu")
    loss = losses.BatchAllTripletLoss(model)
    with pytest.raises(DataError, match=r"got transformers\.training_args\.TrainingArguments; import"):
        SentenceTransformerTrainer(model, TrainingArguments(str(tmp_path), report_to="none"), labelled, loss=loss)


class NaNLoss(OwnLoss):
    """A loss whose gradient is NaN from the third batch on."""

    batches = 0

    def compute_loss_from_embeddings(self, embeddings, labels):
        self.batches += 1
        return embeddings[0].square().mean() * (float("nan") if self.batches >= 3 else 1.0)


@pytest.mark.parametrize("changes", [{"save_strategy": "steps", "save_steps": 2}, {"logging_steps": 100}, {}])
def test_a_training_that_diverges_ends_with_an_error_and_saves_nothing_more(changes, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, lambda model, margin: NaNLoss(model), changes=changes)
    with pytest.raises(
        TercetError, match="the training diverged: by step [34], .* weights of the model are NaN"
    ) as caught:
        trainer.train()
    saved = sorted(path.name for path in tmp_path.iterdir())
    if "save_steps" in changes:
        assert saved == ["checkpoint-2"]
        assert "the last checkpoint is" in str(caught.value)
    else:
        assert saved == []


def test_rows_without_a_triplet_column_are_not_checked_for_labels(bert, sentences, tmp_path):
    columns = {"anchor": sentences[:4], "positive": sentences[4:8], "negative": sentences[8:12]}
    data = Dataset.from_dict(columns)
    trainer = make_trainer(bert, tmp_path, data, losses.TripletLoss, eval_dataset=data.select([0]), changes=RANDOM)
    assert "eval_loss" in trainer.evaluate()
