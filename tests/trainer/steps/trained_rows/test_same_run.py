"""Training the word embeddings of the training tokens alone gives the same run as training all."""

import copy

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import TrainerCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.encoder.modules import StaticEmbedding
from tercet.trainer.steps.pace import seconds_per_step
from tests.conftest import TOPICS, WORDS
from tests.ranks import run_ranks
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, make_trainer
from tests.trainer.steps.trained_rows.watched_run import UNUSED, Watch, of_the_library, run, weights_with_and_without


@pytest.mark.parametrize("changes", [{}, {"optim": "adamw_torch", "gradient_accumulation_steps": 2}, {"bf16": True}])
def test_a_run_is_bit_identical_to_one_of_all_rows(changes, encoder, labelled, tmp_path, alone):
    """With dropout."""
    weights, losses_ = [], []
    for on in (True, False):
        alone(on)
        trainer, watch = run(encoder, tmp_path / str(on), labelled, changes={"max_grad_norm": 0.0, **changes})
        total = trainer.model.input_module.word_embeddings.num_embeddings
        assert (max(watch.rows) < total / 2) == on
        assert type(trainer.model.input_module.word_embeddings) is nn.Embedding
        weights.append(flat_weights(trainer.model))
        losses_.append(logged_losses(trainer))
    assert losses_[0] == losses_[1]
    assert torch.equal(*weights)


@pytest.mark.parametrize("changes", [{"max_grad_norm": 0.01}, {"mini_batch_tokens": 16}])
def test_a_run_equals_one_of_all_rows(changes, encoder, labelled, tmp_path, alone):
    """The norm of the gradient, or the gradient, is summed in another order. In float64, this changes no digit."""
    weights = []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(encoder).double()
        arguments = make_arguments(tmp_path / str(on), **changes)
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        SentenceTransformerTrainer(model, arguments, labelled, loss=loss).train()
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def test_triplets_several_sets_and_a_callback_of_the_end(encoder, labelled, sentences, tmp_path, alone):
    data = Dataset.from_dict({"a": sentences[:8], "p": sentences[8:], "n": sentences[::-1][:8]})
    seen = {}

    @of_the_library
    class End(TrainerCallback):
        def on_train_end(self, args, state, control, model=None, optimizer=None, **kwargs):
            seen[len(model.input_module.word_embeddings.weight)] = optimizer.state_dict()["state"][0]["exp_avg"].shape

    alone(True)
    for kind, rows in ((losses.TripletLoss, data), (losses.BatchAllTripletLoss, {"x": labelled, "y": labelled})):
        changes = {"batch_sampler": "batch_sampler"} if kind is losses.TripletLoss else {}
        trainer = make_trainer(
            encoder, tmp_path / kind.__name__, rows, kind, changes=changes, callbacks=[End(), watch := Watch()]
        )
        trainer.train()
        layer = trainer.model.input_module.word_embeddings
        assert max(watch.rows) < layer.num_embeddings / 2
        assert seen.keys() == {layer.num_embeddings}
        assert seen[layer.num_embeddings] == layer.weight.shape
        parameters = [value for group in trainer.optimizer.param_groups for value in group["params"]]
        assert any(value is layer.weight for value in parameters)


@pytest.mark.parametrize("evaluating", [False, True])
def test_another_token_in_the_middle_of_a_batch(evaluating, encoder, labelled, tmp_path, alone):
    """The rows that were looked up before get their gradients, too; also if dropout is turned off."""

    @of_the_library
    class Twice(SentenceTransformerTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            model.train(not evaluating)
            first = super().compute_loss(model, {**inputs, "features": dict(inputs["features"])}, *args, **kwargs)
            features = {**inputs["features"], "input_ids": inputs["features"]["input_ids"].clone()}
            features["input_ids"][0, 1] = len(self.model.tokenizer) - 1
            return first + super().compute_loss(model, {**inputs, "features": features}, *args, **kwargs)

    weights = []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(encoder).double()
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        Twice(model, make_arguments(tmp_path / str(on)), labelled, loss=loss).train()
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def test_a_run_that_is_repeated_with_smaller_batches(encoder, labelled, tmp_path, alone):
    """As `auto_find_batch_size` does if memory is exhausted."""

    @of_the_library
    class Exhausted(SentenceTransformerTrainer):
        failed = False

        def compute_loss(self, *args, **kwargs):
            if self.state.global_step == 1 and not self.failed:
                self.failed = True
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().compute_loss(*args, **kwargs)

    def make(model, arguments, callbacks):
        arguments.auto_find_batch_size, arguments.batch_sampler = True, "batch_sampler"
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return Exhausted(model, arguments, labelled, loss=loss, callbacks=callbacks)

    weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=True)


def test_a_second_training_goes_on(encoder, labelled, tmp_path, alone):
    """The optimizer of the first one has all rows, and keeps them."""
    weights = []
    for on in (True, False):
        alone(on)
        trainer, _ = run(encoder, tmp_path / str(on), labelled)
        trainer.train()
        weights.append(flat_weights(trainer.model))
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_the_pace_is_measured_with_these_rows(encoder, labelled, tmp_path, alone, monkeypatch):
    alone(True)
    trainer = make_trainer(encoder, tmp_path, labelled)
    before, rows, step = flat_weights(trainer.model).clone(), set(), SentenceTransformerTrainer._training_step

    def watched(self, *args, **kwargs):
        rows.add(len(self.model.input_module.word_embeddings.weight))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(SentenceTransformerTrainer, "_training_step", watched)
    assert seconds_per_step(trainer) > 0
    assert max(rows) < 300
    assert torch.equal(flat_weights(trainer.model), before)


def test_a_static_encoder(labelled, tmp_path, alone):
    """Only its embeddings are trained, so its step is almost nothing but the optimizer."""
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate([*WORDS, *UNUSED, "[UNK]"])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(0)
    static = StaticEmbedding(tokenizer, embedding_dim=16)
    start, weights = copy.deepcopy(static), []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(modules=[copy.deepcopy(start)])
        watch = Watch()
        trainer = SentenceTransformerTrainer(
            model,
            make_arguments(tmp_path / str(on)),
            labelled,
            loss=losses.BatchAllTripletLoss(model, margin=0.3),
            callbacks=[watch],
        )
        trainer.train()
        assert (max(watch.rows) < 200) == on
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)


def _two_processes(folder, encoder):
    data = Dataset.from_dict({
        "text": [sentence for topic in TOPICS.values() for sentence in topic],
        "label": [name for name, topic in TOPICS.items() for _ in topic],
    })  # fmt: skip
    watch = run(encoder, folder, data, changes={"use_cpu": True, "per_device_train_batch_size": 4})[1]
    assert len(watch.rows) == 1
    assert min(watch.rows) > 400


@pytest.mark.slow
def test_two_processes_train_all_rows(encoder, tmp_path):
    run_ranks(_two_processes, str(tmp_path), str(encoder), processes=2)
