import copy
import json

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer as Peer
from torch import nn

from tercet import SentenceTransformer
from tercet.encoder.modules import Dense, Normalize, Pooling, Transformer
from tercet.errors import EmbeddingError
from tercet.heads import LinearHead, append_head

TEXTS = ["the team won the game", "a fresh salad with oil", "the bank cut the rate", "x"]


def _head(out_dim=8, in_dim=32, seed=0):
    return LinearHead(torch.randn(out_dim, in_dim, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


def _kinds(model):
    return [type(module).__name__ for module in model]


def test_a_model_with_a_head_returns_the_mapped_embeddings(model):
    head, before = _head(), model.encode(TEXTS)
    assert append_head(model, head) is None
    np.testing.assert_allclose(model.encode(TEXTS), head(before), atol=1e-6)
    assert _kinds(model) == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert model.get_sentence_embedding_dimension() == 8
    similarity = model.similarity(head(before), head(before))
    torch.testing.assert_close(similarity, torch.from_numpy(head(before) @ head(before).T), atol=1e-6, rtol=0)


def test_a_second_head_is_multiplied_into_the_first(model):
    first, second, before = _head(), _head(4, 8, seed=1), model.encode(TEXTS)
    append_head(model, first)
    dense = model[2]
    weight = dense.linear.weight.clone()
    append_head(model, second)
    assert _kinds(model) == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert model.get_sentence_embedding_dimension() == 4
    np.testing.assert_allclose(model.encode(TEXTS), second(first(before)), atol=1e-6)
    assert torch.equal(dense.linear.weight, weight)  # a module that another model shares is left alone


@pytest.mark.parametrize(
    "ending",
    [
        [Normalize()],
        [Dense(32, 32), Normalize()],
        [Dense(32, 32, bias=False), Normalize()],
        [Dense(32, 32, bias=False, activation=nn.Identity())],
        [Dense(32, 32, bias=True, activation=nn.Identity()), Normalize()],
    ],
)
def test_other_endings_stay(ending, bert):
    transformer = Transformer.load(str(bert))
    model = SentenceTransformer(modules=[transformer, Pooling(32, "mean"), *copy.deepcopy(ending)], device="cpu")
    kinds, before, head = _kinds(model), model.encode(TEXTS), _head()
    append_head(model, head)
    assert _kinds(model) == [*kinds, "Dense", "Normalize"]
    np.testing.assert_allclose(model.encode(TEXTS), head(before), atol=1e-6)


@pytest.mark.parametrize("with_head", [False, True])
def test_a_head_for_truncated_embeddings(with_head, model):
    if with_head:
        append_head(model, _head(16))
    model.truncate_dim = 12
    head, before = _head(8, 12, seed=1), model.encode(TEXTS)
    append_head(model, head)
    assert model.truncate_dim is None
    assert model.get_sentence_embedding_dimension() == 8
    np.testing.assert_allclose(model.encode(TEXTS), head(before), atol=1e-6)


@pytest.mark.parametrize("truncate_dim", [None, 12])
def test_a_head_of_another_dimension_is_refused_and_the_model_stays(truncate_dim, model):
    model.truncate_dim = truncate_dim
    with pytest.raises(EmbeddingError, match="takes embeddings of dimension 16, but the embeddings of the model have"):
        append_head(model, _head(8, 16))
    assert _kinds(model) == ["Transformer", "Pooling"]
    assert model.truncate_dim == truncate_dim


def test_a_head_takes_the_type_of_the_model_and_is_trained(model):
    model.bfloat16().train()
    append_head(model, _head())
    assert model[2].linear.weight.dtype == torch.bfloat16
    assert model[2].training
    assert model[2].linear.weight.requires_grad


@pytest.mark.parametrize("normalize", [False, True])
def test_a_saved_model_loads_in_sentence_transformers(normalize, bert, tmp_path):
    modules = [Transformer.load(str(bert)), Pooling(32, "mean"), *([Normalize()] if normalize else [])]
    model = SentenceTransformer(modules=modules, device="cpu")
    append_head(model, _head())
    expected = model.encode(TEXTS)
    model.save_pretrained(tmp_path / "model")
    peer = Peer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(peer.encode(TEXTS), expected, atol=1e-6)
    assert peer.get_embedding_dimension() == 8
    assert peer.similarity_fn_name == "cosine"
    again = SentenceTransformer(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), expected)
    append_head(again, _head(8, 8, seed=1))
    assert _kinds(again) == _kinds(model)
    (folder,) = (tmp_path / "model").glob("*_Dense")
    config = json.loads((folder / "config.json").read_text())
    assert config["bias"] is False
    assert config["activation_function"].endswith("Identity")
