"""Subclasses, callbacks, hooks and losses of users find all rows of the word embeddings."""

import copy

import torch
from torch import nn
from transformers import TrainerCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.trainer.steps.trained_rows import TrainedRows
from tests.trainer.helpers import flat_weights, make_arguments, turn_off_dropout
from tests.trainer.steps.trained_rows.watched_run import Watch, of_the_library, weights_with_and_without


def test_a_token_that_a_subclass_adds_is_trained(encoder, labelled, tmp_path, alone):
    """From its first step on, all rows are trained, with the state and the gradients so far."""

    @of_the_library
    class Replacing(SentenceTransformerTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            if self.state.global_step >= 2:
                features = inputs["features"]
                features["input_ids"] = features["input_ids"].clone()
                features["input_ids"][0, 1] = len(self.model.tokenizer) - 1
            return super().compute_loss(model, inputs, *args, **kwargs)

    weights = []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(encoder).double()
        watch = Watch()
        trainer = Replacing(
            model,
            make_arguments(tmp_path / str(on), max_steps=4, gradient_accumulation_steps=2),
            labelled,
            loss=losses.BatchAllTripletLoss(model, margin=0.3),
            callbacks=[watch],
        )
        trainer.train()
        assert (min(watch.rows) < 300) == on
        assert max(watch.rows) == len(model.tokenizer)
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def test_the_optimizer_of_a_subclass_trains_all_rows(encoder, labelled, tmp_path, alone):
    """It may change rows without a gradient, as weight decay does."""

    @of_the_library
    class Decaying(SentenceTransformerTrainer):
        def create_optimizer(self, model=None):
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.5)
            return self.optimizer

    @of_the_library
    class OtherKind(SentenceTransformerTrainer):
        @staticmethod
        def get_optimizer_cls_and_kwargs(args, model=None):
            return torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.5}

    for kind in (Decaying, OtherKind):

        def make(model, arguments, callbacks, kind=kind):
            loss = losses.BatchAllTripletLoss(model, margin=0.3)
            return kind(model, arguments, labelled, loss=loss, callbacks=callbacks)

        weights_with_and_without(make, encoder, tmp_path / kind.__name__, alone, expect_rows=False)


def test_a_moving_average_of_the_user_finds_all_rows(encoder, labelled, tmp_path, alone):
    """A callback that keeps the parameters from before the training."""

    class Average(TrainerCallback):
        def __init__(self, model):
            self.averaged = torch.optim.swa_utils.AveragedModel(model)

        def on_step_end(self, args, state, control, model=None, **kwargs):
            self.averaged.update_parameters(model)

    found = []

    def make(model, arguments, callbacks):
        found.append(Average(model))
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=[*callbacks, found[-1]])

    weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)
    torch.testing.assert_close(*(flat_weights(one.averaged) for one in found), rtol=0, atol=1e-8)


def test_a_loss_of_the_user_that_reads_all_weights(encoder, labelled, tmp_path, alone):
    class Penalized(losses.BatchAllTripletLoss):
        def compute_loss_from_embeddings(self, *args, **kwargs):
            penalty = sum(value.square().sum() for value in self.model.parameters())
            return super().compute_loss_from_embeddings(*args, **kwargs) + 0.01 * penalty

    def make(model, arguments, callbacks):
        loss = Penalized(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=callbacks)

    weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)


def test_a_model_that_is_compiled_whole(encoder, labelled, tmp_path, alone):
    """With `fullgraph`, a part that cannot be compiled is an error."""

    def make(model, arguments, callbacks):
        turn_off_dropout(model)
        model.input_module.auto_model.embeddings.compile(fullgraph=True, backend="eager")
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=callbacks)

    weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)


def test_a_hook_of_the_weight_sees_the_gradients_of_all_rows(encoder, labelled, tmp_path, alone):
    """Such as one that keeps the embeddings of some tokens."""

    def make(model, arguments, callbacks):
        weight = model.input_module.word_embeddings.weight
        weight.register_hook(lambda gradient: gradient * (torch.arange(len(weight)) > 20).unsqueeze(1))
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=callbacks)

    weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)


def test_a_copy_keeps_the_hooks_of_the_user():
    layer = nn.Embedding(6, 3)
    layer.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.update({f"{prefix}mark": 1}))
    trained = TrainedRows(layer, torch.tensor([1, 2]))
    copied = copy.deepcopy(layer)
    trained.stop()
    assert copied.state_dict().keys() == {"weight", "mark"}
    assert len(copied._state_dict_hooks) == 1


def test_the_weight_can_be_replaced_for_a_call():
    layer = nn.Embedding(6, 3)
    trained = TrainedRows(layer, torch.tensor([1, 2]))
    other = torch.ones(2, 3, requires_grad=True)
    torch.func.functional_call(layer, {"weight": other}, torch.tensor([2, 2])).sum().backward()
    assert other.grad.tolist() == [[0, 0, 0], [2, 2, 2]]
    assert trained.rows.grad is None


def test_a_layer_that_a_callback_freezes_stays_frozen():
    layer = nn.Embedding(6, 3)
    trained = TrainedRows(layer, torch.tensor([1, 2]))
    layer.requires_grad_(False)
    trained.stop()
    assert not layer.weight.requires_grad
