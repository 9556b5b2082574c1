"""Embedding many sentences: tokens per batch, windows, order, and unusual sentences."""

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.encoder import devices
from tercet.encoder import encode as embed
from tercet.errors import EmbeddingError


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


def _batches(model) -> list[np.ndarray]:
    """Return a list that receives the sentence lengths of each batch from now on."""
    seen: list[np.ndarray] = []
    model.register_forward_pre_hook(lambda _, features: seen.append(features[0]["packing"].lengths))
    return seen


def test_batches_have_at_most_batch_tokens_and_start_with_the_longest(model, sentences):
    expected = model.encode(sentences)
    seen = _batches(model)
    np.testing.assert_allclose(model.encode(sentences, batch_tokens=20), expected, atol=1e-6)
    assert len(seen) > 4
    assert all(len(lengths) * lengths.max() <= 20 for lengths in seen)
    longest = [lengths.max() for lengths in seen]
    assert longest == sorted(longest, reverse=True)
    seen.clear()
    model.encode(sentences, batch_tokens=1)  # Every sentence is longer, so each is a batch.
    assert [len(lengths) for lengths in seen] == [1] * len(sentences)


def test_batch_size_is_the_maximum_number_of_sentences(model, sentences):
    seen = _batches(model)
    model.encode(sentences, batch_size=3)
    assert max(map(len, seen)) == 3


def test_windows_keep_the_order(model, sentences, monkeypatch):
    expected = model.encode(sentences)
    monkeypatch.setattr(embed, "_WINDOW", 5)
    seen = _batches(model)
    np.testing.assert_allclose(model.encode(sentences), expected, atol=1e-6)
    assert sum(map(len, seen)) == len(sentences)
    assert max(map(len, seen)) <= 5


@pytest.mark.parametrize("packing", [True, False])
def test_unusual_sentences(model, packing):
    model.packing = packing
    texts = ["", "a", " ".join(["the team won"] * 50), "", "\n"]
    together = model.encode(texts)
    assert np.isfinite(together).all()
    for text, embedding in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.encode(text), embedding, atol=1e-6)


@pytest.mark.parametrize("name", ["batch_size", "batch_tokens"])
def test_a_size_below_1_is_refused(model, name):
    with pytest.raises(EmbeddingError, match=f"{name} must be at least 1, got 0"):
        model.encode(["a"], **{name: 0})


def _messages_of_tercet(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("tercet")]


def test_half_precision_that_the_processor_emulates_is_logged_once(bert, monkeypatch, caplog):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    devices.warn_of_emulation.cache_clear()
    model = SentenceTransformer(bert, device="cpu")
    expected = model.encode(["the game", "the bank"])
    assert not _messages_of_tercet(caplog)
    model.to(torch.bfloat16)
    for _ in range(2):
        np.testing.assert_allclose(model.encode(["the game", "the bank"]), expected, atol=0.05)
    (message,) = _messages_of_tercet(caplog)
    assert "emulates bfloat16" in message
    devices.warn_of_emulation.cache_clear()


@pytest.mark.parametrize("to", [{}, {"convert_to_tensor": True}])
@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_no_sentences_have_the_type_and_the_width_of_the_precision(precision, to, bert):
    model = SentenceTransformer(bert, device="cpu")
    # A wide range of values for "int8" and "uint8", which need several sentences.
    expected = model.encode(["the team", "a cake", "the train"], precision=precision, **to)
    found = model.encode([], precision=precision, **to)
    assert (found.dtype, found.shape) == (expected.dtype, (0, *expected.shape[1:]))
    assert model.encode([], precision=precision, convert_to_numpy=False) == []
