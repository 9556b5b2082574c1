"""Cached gradients against the graph of the whole batch: same masks of dropout, same loss, same gradients."""

import pytest
import torch
from torch import nn

from tercet import SentenceTransformer, losses
from tercet.encoder.packing.packing import pack, split
from tercet.trainer.gradient_cache import cached_step
from tests.losses.helpers import VARIANTS
from tests.trainer.test_trainer import _trainer, _weights

TOKENS = 20


@pytest.fixture
def model(bert):
    """In float64: some gradients are 0 but for rounding, as that of a bias that shifts all embeddings alike."""
    return SentenceTransformer(bert, device="cpu").double().train()


def _direct(model, features, loss_of):
    """The same parts in the same order, with the graphs of all of them at once."""
    parts = list(split(features, TOKENS))
    embedded = torch.cat([model(part)["sentence_embedding"] for part, _ in parts])
    places = torch.cat([places for _, places in parts])
    loss = loss_of(embedded[places.argsort()])
    loss.backward()
    return loss.detach()


def _words(model):
    return model.transformer.auto_model.get_input_embeddings()


def _gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("loss", [*(variant.module for variant in VARIANTS.values()), losses.TripletLoss])
def test_cached_is_direct_with_dropout(loss, model, sentences, labels):
    features = pack(model.token_ids([*sentences[:14], "a [PAD]"]))
    assert not torch.equal(model(features)["sentence_embedding"], model(features)["sentence_embedding"])  # dropout
    label_ids = torch.tensor([sorted(set(labels)).index(label) for label in labels[:15]])
    module = loss(model)
    parts = (lambda x: list(x.chunk(3))) if loss is losses.TripletLoss else (lambda x: [x])

    def loss_of(embeddings):
        return module.compute_loss_from_embeddings(parts(embeddings), label_ids)

    torch.manual_seed(5)
    wanted = _direct(model, features, loss_of)
    gradients, after = _gradients(model), torch.get_rng_state()
    model.zero_grad()
    torch.manual_seed(5)
    step = cached_step(model, features, loss_of, torch.Tensor.backward, tokens=TOKENS, words=_words(model))
    assert step.parts > 3
    assert step.loss == pytest.approx(float(wanted), rel=1e-6)
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-3
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-7, atol=1e-12, msg=name)
    assert torch.equal(torch.get_rng_state(), after)


def test_parts_without_gradient_are_left_out(model, sentences):
    """Half of the sentences take part in no active triplet."""
    features = pack(model.token_ids(sentences))
    weight = torch.zeros(len(sentences), 1)
    shortest = features["packing"].sort_order[: len(sentences) // 2].copy()
    weight[shortest] = 1

    def loss_of(embeddings):
        return (embeddings * weight).square().sum()

    torch.manual_seed(5)
    _direct(model, features, loss_of)
    wanted, after = _gradients(model), torch.get_rng_state()
    model.zero_grad()
    torch.manual_seed(5)
    runs = []
    model.register_forward_hook(lambda *_: runs.append(torch.is_grad_enabled()))
    step = cached_step(model, features, loss_of, torch.Tensor.backward, tokens=TOKENS)
    assert runs.count(True) == step.parts_with_gradient < step.parts == runs.count(False)
    assert torch.equal(torch.get_rng_state(), after)  # as if no part had been left out
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-7, atol=1e-12, msg=name)


def test_no_gradient_at_all_still_gives_every_parameter_one(model, sentences):
    """Several processes wait for each other there."""
    step = cached_step(
        model, pack(model.token_ids(sentences)), lambda x: (x * 0).sum(), torch.Tensor.backward, tokens=TOKENS
    )
    assert step.parts_with_gradient == 1
    assert all(not gradient.any() for gradient in _gradients(model).values())


@pytest.mark.parametrize("changes", [{}, {"gradient_accumulation_steps": 2}, {"bf16": True, "use_cpu": True}])
def test_the_trainer_in_parts_trains_as_at_once(changes, bert, labelled, tmp_path):
    weights, recorded = [], []
    for tokens in (None, TOKENS):
        options = {"mini_batch_tokens": tokens, "optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0, **changes}
        trainer = _trainer(bert, tmp_path, labelled, losses.BatchAllTripletLoss, changes=options)
        for module in trainer.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        trainer.train()
        weights.append(_weights(trainer.model))
        recorded.append([entry for entry in trainer.state.log_history if "loss" in entry])
    tolerance = 2e-2 if "bf16" in changes else 1e-5
    torch.testing.assert_close(weights[0], weights[1], rtol=tolerance, atol=tolerance)
    assert [entry["loss"] for entry in recorded[0]] == pytest.approx([e["loss"] for e in recorded[1]], rel=tolerance)
    assert all("parts_skipped" in entry for entry in recorded[1])
