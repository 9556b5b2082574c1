"""Router: other modules for queries than for documents, with the embeddings and folders of sentence-transformers."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer

from tercet import SentenceTransformer, SentenceTransformerTrainer
from tercet.encoder import Dense, Normalize, Pooling, Router, StaticEmbedding, Transformer, WeightedLayerPooling
from tercet.errors import DataError, ModelError
from tercet.losses import BatchAllTripletLoss

peer = pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def routes(bert):
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(bert / "tokenizer.json"))
    return {
        "query": [StaticEmbedding(tokenizer, embedding_dim=16), Dense(16, 32)],
        "document": [Transformer(str(bert)), Pooling(32)],
    }


@pytest.fixture(scope="module")
def model(routes):
    modules = [Router.for_query_document(routes["query"], routes["document"]), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu", prompts={"query": "the team "})


def _all_embeddings(model, texts):
    return [
        model.encode_query(texts), model.encode_document(texts), model.encode(texts), model.encode(texts, task="query"),
        model.encode_document(texts, output_value=None)[0]["sentence_embedding"].numpy(),
    ]  # fmt: skip


@pytest.mark.slow
def test_routes_are_those_of_sentence_transformers(model, sentences, tmp_path):
    model.save(tmp_path / "ours")
    theirs = peer.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    theirs.save(str(tmp_path / "theirs"))
    expected = _all_embeddings(theirs, sentences)
    assert not np.allclose(expected[0], expected[1])
    again = SentenceTransformer(tmp_path / "theirs", device="cpu")
    taken_over = SentenceTransformer(modules=list(theirs), device="cpu", prompts=model.prompts)
    for one in (model, again, taken_over):
        for found, right in zip(_all_embeddings(one, sentences), expected, strict=True):
            np.testing.assert_allclose(found, right, atol=1e-6)
    assert again.get_embedding_dimension() == 32
    assert again.max_seq_length is None
    assert [name for name, _ in again[0].sub_modules.named_children()] == ["query", "document"]
    model.save(tmp_path / "theirs")
    assert not [path.name for path in (tmp_path / "theirs").iterdir() if "_0_" in path.name or "_1_" in path.name]
    model.save(tmp_path / "ours")
    again = peer.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    np.testing.assert_allclose(again.encode_query(sentences), expected[0], atol=1e-6)


def test_a_shared_module_is_saved_once_and_routes_may_be_mapped(routes, sentences, tmp_path):
    encoder, pooling = routes["document"]
    modules = {"short": [encoder, pooling], "long": [encoder, Pooling(32, "max")]}
    router = Router(
        modules, allow_empty_key=False, route_mappings={("query", None): "short", ("document", "text"): "long"}
    )
    model = SentenceTransformer(modules=[router], device="cpu")
    model.save(tmp_path)
    config = json.loads((tmp_path / "0_Router/router_config.json").read_text())
    assert config["structure"] == {
        "short": ["short_0_Transformer", "short_1_Pooling"], "long": ["short_0_Transformer", "long_1_Pooling"],
    }  # fmt: skip
    theirs, again = (kind(str(tmp_path), device="cpu") for kind in (peer.SentenceTransformer, SentenceTransformer))
    assert again[0].sub_modules["short"][0] is again[0].sub_modules["long"][0]
    for method in ("encode_query", "encode_document"):
        np.testing.assert_allclose(getattr(again, method)(sentences), getattr(theirs, method)(sentences), atol=1e-6)
    with pytest.raises(
        ModelError, match="no route for task=None; .* call encode_query or encode_document, or pass task"
    ):
        again.encode(sentences)
    again.max_seq_length, again.packing = 4, False
    assert again.max_seq_length == 4
    assert encoder.max_seq_length != 4
    assert not again[0].sub_modules["long"][0].packing


@pytest.mark.slow
def test_layers_are_weighted_in_and_after_a_router(bert, routes, sentences, tmp_path, caplog):
    encoder = Transformer(str(bert), config_args={"output_hidden_states": True})
    layers = encoder.auto_model.config.num_hidden_layers
    weights = torch.arange(layers + 1.0)
    modules = [encoder, WeightedLayerPooling(32, layers, layer_start=0, layer_weights=weights.flip(0)), Pooling(32)]
    expected = SentenceTransformer(modules=modules, device="cpu").encode(sentences)
    inside = Router({"query": modules, "document": routes["document"]}, allow_empty_key=False)
    after = Router({"query": modules[:1], "document": routes["document"][:1]}, default_route="document")
    for number, parts in enumerate([[inside], [after, *modules[1:]]]):
        model = SentenceTransformer(modules=parts, device="cpu")
        np.testing.assert_allclose(model.encode_query(sentences), expected, atol=1e-5)
        model.save(tmp_path / str(number))
        theirs = peer.SentenceTransformer(str(tmp_path / str(number)), device="cpu")
        np.testing.assert_allclose(theirs.encode_query(sentences), expected, atol=1e-5)
    assert "WeightedLayerPooling" not in caplog.text
    plain = SentenceTransformer(modules=[encoder, Pooling(32)], device="cpu").encode(sentences)
    assert not np.allclose(plain, expected, atol=1e-3)


def test_a_limit_is_set_in_every_route_or_in_none(bert, routes):
    first, second = Transformer(str(bert)), Transformer(str(bert))
    router = Router({"a": [first], "b": [second]})
    before = first.max_seq_length
    second.tokenizer.num_special_tokens_to_add = lambda: 9
    with pytest.raises(ModelError, match="each sentence has 9 special tokens"):
        router.max_seq_length = 8
    assert (first.max_seq_length, second.max_seq_length) == (before, before)
    router.max_seq_length = 12
    assert (first.max_seq_length, second.max_seq_length) == (12, 12)
    # A StaticEmbedding has no limit to set.
    static = routes["query"]
    Router({"document": [first, Pooling(32)], "query": static}).max_seq_length = 7
    assert (first.max_seq_length, static[0].max_seq_length) == (7, None)
    with pytest.raises(ModelError, match="max_seq_length cannot be set"):
        Router({"query": static}).max_seq_length = 7


def test_what_is_wrong_with_routes_is_an_error(model, routes, sentences, labels, tmp_path):
    static, encoder = routes["query"], routes["document"]
    for options, message in (
        ({"sub_modules": {}}, "a Router needs routes with modules"),
        ({"sub_modules": {"a": encoder}, "default_route": "b"}, "the Router has no route 'b'; its routes are 'a'"),
        (
            {"sub_modules": {"a": [Pooling(32)]}},
            "first module of the route 'a' must be a Transformer, but it is Pooling",
        ),
        (
            {"sub_modules": {"a": encoder, "b": encoder[:1]}},
            "the route 'b' returns no sentence embedding, but other routes do; add a Pooling module to it",
        ),
        ({"sub_modules": {"a": encoder, "b": static[:1]}}, "different dimensions: {'a': 32, 'b': 16}; add a Dense"),
    ):
        with pytest.raises(ModelError, match=message):
            Router(**options)
    with pytest.raises(ModelError, match="no route for task='image'; its routes are 'query', 'document'"):
        model.encode(sentences, task="image")
    data = Dataset.from_dict({"text": sentences, "label": labels})
    with pytest.raises(DataError, match="with the training argument router_mapping, which gives each"):
        SentenceTransformerTrainer(model, train_dataset=data, loss=BatchAllTripletLoss(model))
    model.save(tmp_path)
    path = tmp_path / "0_Router/router_config.json"
    config = json.loads(path.read_text())
    for types, message in (
        ({"../outside": "sentence_transformers.models.Pooling"}, "'../outside', which is no name of a folder in it"),
        ({"query_0_StaticEmbedding": "sentence_transformers.models.LSTM"}, "type sentence_transformers.models.LSTM"),
    ):
        path.write_text(json.dumps({**config, "types": types}))
        with pytest.raises(ModelError, match=message):
            SentenceTransformer(tmp_path, device="cpu")
