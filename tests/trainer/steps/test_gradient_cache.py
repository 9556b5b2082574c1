"""Cached gradients against the graph of the whole batch: same dropout masks, same loss, same gradients."""

import pytest
import torch

from tercet import SentenceTransformer, losses
from tercet.encoder.packing.packing import pack, split
from tercet.trainer.steps.gradient_cache import cached_step
from tests.losses.helpers import VARIANTS
from tests.trainer.helpers import flat_weights, make_trainer, turn_off_dropout

TOKENS = 20


@pytest.fixture
def model(bert):
    """A model in float64, because some gradients are 0 except for rounding errors, such as those of the key biases."""
    return SentenceTransformer(bert, device="cpu").double().train()


def _direct(model, features, compute_loss):
    """The loss of the same chunks in the same order, with the graphs of all chunks in memory."""
    chunks = list(split(features, TOKENS))
    embeddings = torch.cat([model(chunk)["sentence_embedding"] for chunk, _ in chunks])
    batch_index = torch.cat([index for _, index in chunks])
    loss = compute_loss(embeddings[batch_index.argsort()])
    loss.backward()
    return loss.detach()


def _word_embeddings(model):
    return model.transformer.auto_model.get_input_embeddings()


def _gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("loss", [*(variant.module for variant in VARIANTS.values()), losses.TripletLoss])
def test_a_cached_step_equals_a_direct_step_with_dropout(loss, model, sentences, labels):
    features = pack(model.token_ids([*sentences[:14], "a [PAD]"]))
    assert not torch.equal(model(features)["sentence_embedding"], model(features)["sentence_embedding"])  # dropout
    label_ids = torch.tensor([sorted(set(labels)).index(label) for label in labels[:15]])
    module = loss(model)
    columns = (lambda x: list(x.chunk(3))) if loss is losses.TripletLoss else (lambda x: [x])

    def compute_loss(embeddings):
        return module.compute_loss_from_embeddings(columns(embeddings), label_ids)

    torch.manual_seed(5)
    expected = _direct(model, features, compute_loss)
    gradients, after = _gradients(model), torch.get_rng_state()
    model.zero_grad()
    torch.manual_seed(5)
    step = cached_step(
        model, features, compute_loss, torch.Tensor.backward, max_tokens=TOKENS, word_embeddings=_word_embeddings(model)
    )
    assert step.chunks > 3
    assert step.loss == pytest.approx(float(expected), rel=1e-6)
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-3
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-7, atol=1e-12, msg=name)
    assert torch.equal(torch.get_rng_state(), after)


def test_chunks_without_gradient_are_skipped(model, sentences):
    """Half of the sentences have no effect on the loss."""
    features = pack(model.token_ids(sentences))
    weight = torch.zeros(len(sentences), 1)
    shortest = features["packing"].sort_order[: len(sentences) // 2].copy()
    weight[shortest] = 1

    def compute_loss(embeddings):
        return (embeddings * weight).square().sum()

    torch.manual_seed(5)
    _direct(model, features, compute_loss)
    expected, after = _gradients(model), torch.get_rng_state()
    model.zero_grad()
    torch.manual_seed(5)
    runs = []
    model.register_forward_hook(lambda *_: runs.append(torch.is_grad_enabled()))
    step = cached_step(model, features, compute_loss, torch.Tensor.backward, max_tokens=TOKENS)
    assert runs.count(True) == step.chunks_with_gradient < step.chunks == runs.count(False)
    assert torch.equal(torch.get_rng_state(), after)  # as if no chunk had been skipped
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-7, atol=1e-12, msg=name)


def test_a_batch_without_gradient_still_gives_every_parameter_one(model, sentences):
    """Several processes would wait for each other otherwise."""
    step = cached_step(
        model, pack(model.token_ids(sentences)), lambda x: (x * 0).sum(), torch.Tensor.backward, max_tokens=TOKENS
    )
    assert step.chunks_with_gradient == 1
    assert all(not gradient.any() for gradient in _gradients(model).values())


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"gradient_accumulation_steps": 2}, {"bf16": True, "use_cpu": True}])
def test_the_trainer_gives_the_same_weights_in_chunks_and_at_once(changes, bert, labelled, tmp_path):
    weights, recorded = [], []
    for tokens in (None, TOKENS):
        options = {"mini_batch_tokens": tokens, "optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0, **changes}
        trainer = make_trainer(bert, tmp_path, labelled, losses.BatchAllTripletLoss, changes=options)
        turn_off_dropout(trainer.model)
        trainer.train()
        weights.append(flat_weights(trainer.model))
        recorded.append([entry for entry in trainer.state.log_history if "loss" in entry])
    tolerance = 2e-2 if "bf16" in changes else 1e-5
    torch.testing.assert_close(weights[0], weights[1], rtol=tolerance, atol=tolerance)
    at_once, in_chunks = ([entry["loss"] for entry in entries] for entries in recorded)
    assert at_once == pytest.approx(in_chunks, rel=tolerance)
    assert all("chunks_skipped" in entry for entry in recorded[1])
