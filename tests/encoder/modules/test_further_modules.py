"""StaticEmbedding, WeightedLayerPooling, and Dense with a residual: equal embeddings, equal folders, training."""

import json
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from tercet.encoder import Dense, Normalize, Pooling, StaticEmbedding, Transformer, WeightedLayerPooling
from tercet.encoder.token_stats import TokenStats
from tercet.errors import EmbeddingError, ModelError
from tercet.losses import BatchAllTripletLoss

peer = pytest.importorskip("sentence_transformers")
peer_modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")


@pytest.fixture
def tokenizer(bert):
    return Tokenizer.from_file(str(bert / "tokenizer.json"))


def assert_equal_in_both(model, texts, folder):
    """Save with each library, load with the other one, and compare the embeddings."""
    model.save(folder / "ours")
    theirs = peer.SentenceTransformer(str(folder / "ours"), device="cpu")
    np.testing.assert_allclose(model.encode(texts), theirs.encode(texts), atol=1e-6)
    padded = model(model.preprocess(texts))["sentence_embedding"].detach().numpy()
    np.testing.assert_allclose(padded, theirs.encode(texts), atol=1e-6)
    theirs.save(str(folder / "theirs"))
    loaded = SentenceTransformer(folder / "theirs", device="cpu")
    assert [type(module) for module in loaded] == [type(module) for module in model]
    np.testing.assert_allclose(loaded.encode(texts), model.encode(texts), atol=1e-6)
    taken_over = SentenceTransformer(modules=list(theirs), device="cpu")
    np.testing.assert_allclose(taken_over.encode(texts), theirs.encode(texts), atol=1e-6)
    return loaded


def test_a_static_embedding_is_that_of_sentence_transformers(tokenizer, sentences, tmp_path):
    torch.manual_seed(0)
    modules = [StaticEmbedding(tokenizer, embedding_dim=8), Dense(8, 6), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu", prompts={"q": "the team "})
    loaded = assert_equal_in_both(model, [*sentences, ""], tmp_path)
    theirs = peer.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    np.testing.assert_allclose(
        loaded.encode(sentences, prompt_name="q"), theirs.encode(sentences, prompt_name="q"), atol=1e-6
    )
    assert model.encode([]).shape == (0, 6)
    assert model.max_seq_length is None
    assert model.token_counts(["the team"]) == [len(tokenizer.encode("the team", add_special_tokens=False).ids)]
    assert repr(model).splitlines()[3:] == ["  limit      none", "  packing    on"]
    with pytest.raises(ModelError, match="max_seq_length cannot be set: a StaticEmbedding reads all tokens"):
        model.max_seq_length = 5
    with pytest.raises(ModelError, match="the first module must be a Transformer, but it is StaticEmbedding"):
        model.add_adapter(None)
    with pytest.raises(EmbeddingError, match="StaticEmbedding has no token embeddings"):
        model.encode(["a"], output_value="token_embeddings")


def test_a_static_embedding_reads_all_tokens_whatever_the_tokenizer_of_the_caller_is_set_to(tokenizer, tmp_path):
    text = "the team was late and the team was late"
    length = len(tokenizer.encode(text, add_special_tokens=False).ids)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    module = StaticEmbedding(tokenizer, embedding_dim=8)
    assert module.token_counts(["the", text]) == [1, length]
    assert tokenizer.truncation["max_length"] == 3
    assert tokenizer.padding["length"] == 9
    tokenizer.enable_padding(length=12)
    assert [len(ids) for ids in module.token_ids(["the", text])] == [1, length]

    # A folder with a limit is read as by sentence-transformers.
    model = SentenceTransformer(modules=[module], device="cpu")
    model.save(tmp_path)
    whole = model.encode(text)
    np.testing.assert_allclose(peer.SentenceTransformer(str(tmp_path), device="cpu").encode(text), whole, atol=1e-6)
    tokenizer.no_padding()
    tokenizer.enable_truncation(4, stride=2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    theirs = peer.SentenceTransformer(str(tmp_path), device="cpu")
    cut = theirs.encode(text)
    assert not np.allclose(cut, whole)
    for limited in (SentenceTransformer(tmp_path, device="cpu"), SentenceTransformer(modules=list(theirs))):
        np.testing.assert_allclose(limited.encode(text), cut, atol=1e-6)
        assert limited.max_seq_length == 4
        assert limited.token_counts([text]) == [length]
        stats = TokenStats()
        limited[0].token_ids(["the", text], stats)
        assert (stats.texts, stats.truncated, stats.limit) == (2, 1, 4)
        with pytest.raises(ModelError, match="all tokens of a text; set None to remove the limit of its folder"):
            limited.max_seq_length = 5
        limited.max_seq_length = 4
        limited.max_seq_length = None
        np.testing.assert_allclose(limited.encode(text), whole, atol=1e-6)


@pytest.mark.parametrize("mini_batch_tokens", [None, 8])
def test_a_static_embedding_is_trained_and_saved(tokenizer, sentences, labels, tmp_path, mini_batch_tokens):
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    before = model.encode(sentences)
    arguments = SentenceTransformerTrainingArguments(
        tmp_path / "run", max_steps=3, per_device_train_batch_size=8, learning_rate=0.1, use_cpu=True,
        report_to="none", mini_batch_tokens=mini_batch_tokens, save_strategy="no", logging_steps=1,
    )  # fmt: skip
    data = Dataset.from_dict({"text": sentences, "label": labels})
    trainer = SentenceTransformerTrainer(model, arguments, data, loss=BatchAllTripletLoss(model, margin=0.3))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert not np.allclose(model.encode(sentences), before)
    model.save(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.encode(sentences), model.encode(sentences))


def test_a_static_embedding_of_model2vec_is_read(tokenizer, sentences, tmp_path):
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    weights = {
        "embeddings": torch.randn(10, 4).half(), "mapping": torch.arange(size) % 10, "weights": torch.rand(size),
    }  # fmt: skip
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "model2vec"}))
    module, theirs = StaticEmbedding.from_model2vec(str(tmp_path)), peer_modules.StaticEmbedding.load(str(tmp_path))
    torch.testing.assert_close(module.embedding.weight, theirs.embedding.weight.float())
    assert module.num_embeddings == size


@pytest.mark.slow
def test_an_encoder_is_distilled_as_by_sentence_transformers(bert, sentences, monkeypatch):
    pytest.importorskip("model2vec.distill")
    options = {"pca_dims": 8, "sif_coefficient": 1e-3}
    module, theirs = (
        kind.from_distillation(str(bert), **options) for kind in (StaticEmbedding, peer_modules.StaticEmbedding)
    )
    found, right = (SentenceTransformer(modules=[one], device="cpu").encode(sentences) for one in (module, theirs))
    np.testing.assert_allclose(found, right, atol=1e-5)
    monkeypatch.setitem(sys.modules, "model2vec.distill", None)
    with pytest.raises(ModelError, match=r"from_distillation needs model2vec: pip install 'tercet\[static\]'"):
        StaticEmbedding.from_distillation(str(bert))


def test_what_is_wrong_with_a_static_embedding_is_an_error(tokenizer, tmp_path):
    for options, message in (
        ({"tokenizer": "a"}, "must be one of the package tokenizers, or a fast one of transformers; got str"),
        ({"tokenizer": tokenizer}, "needs embedding_weights, or embedding_dim"),
        (
            {"tokenizer": tokenizer, "embedding_weights": np.zeros((3, 2))},
            r"the tokenizer has \d+ tokens, but there are 3",
        ),
    ):
        with pytest.raises(ModelError, match=message):
            StaticEmbedding(**options)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    model.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({"other": weights["embedding.weight"]}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="does not have the weights of a StaticEmbedding: 'embeddings'"):
        SentenceTransformer(tmp_path, device="cpu")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer.json, which a StaticEmbedding needs"):
        SentenceTransformer(tmp_path, device="cpu")


def test_layers_are_weighted_as_in_sentence_transformers(bert, sentences, tmp_path, caplog):
    encoder = Transformer(str(bert), config_args={"output_hidden_states": True})
    layers = encoder.auto_model.config.num_hidden_layers
    module = WeightedLayerPooling(32, num_hidden_layers=layers, layer_start=0, layer_weights=torch.rand(layers + 1))
    model = SentenceTransformer(modules=[encoder, module, Pooling(32)], device="cpu")
    assert_equal_in_both(model, sentences, tmp_path)
    model(encoder.tokenize(sentences[:2]))["sentence_embedding"].sum().backward()
    assert module.layer_weights.grad.abs().sum() > 0
    assert "WeightedLayerPooling" not in caplog.text

    encoder.auto_model.config.output_hidden_states = False
    plain = SentenceTransformer(modules=[encoder, Pooling(32)], device="cpu")
    np.testing.assert_allclose(model.encode(sentences), plain.encode(sentences), atol=1e-6)
    assert "WeightedLayerPooling has no effect" in caplog.text
    encoder.auto_model.config.output_hidden_states = True
    short = WeightedLayerPooling(word_embedding_dimension=32, num_hidden_layers=layers + 1, layer_start=0)
    with pytest.raises(ModelError, match=f"num_hidden_layers {layers + 1}, but the encoder has {layers} layers"):
        SentenceTransformer(modules=[encoder, short, Pooling(32)], device="cpu").encode(sentences)
    for options, message in (
        ({"layer_start": 13}, "layer_start must be an integer from 0 to 12, got 13"),
        ({"layer_weights": torch.ones(3)}, "layer_weights must have 9 values, one for each layer"),
    ):
        with pytest.raises(ModelError, match=message):
            WeightedLayerPooling(32, **options)


@pytest.mark.slow
def test_dense_layers_are_those_of_sentence_transformers(bert, sentences, tmp_path):
    torch.manual_seed(0)
    modules = [
        Transformer(str(bert)), Dense(32, 16, module_input_name="token_embeddings"), Pooling(16, "max"),
        Dense(16, 16, use_residual=True), Dense(16, 8, activation=nn.ReLU(), use_residual=True),
    ]  # fmt: skip
    model = SentenceTransformer(modules=modules, device="cpu")
    assert model.get_embedding_dimension() == 8
    assert_equal_in_both(model, sentences, tmp_path)
    with pytest.raises(ModelError, match=r"module 2 \(Pooling\) has word_embedding_dimension 32, .* vectors of 16"):
        SentenceTransformer(modules=[*modules[:2], Pooling(32)])
    with pytest.raises(ModelError, match="Dense reads 'other', but the modules before it return 'input_ids'"):
        SentenceTransformer(modules=[modules[0], Pooling(32), Dense(32, 8, module_input_name="other")]).encode("a")


def test_modules_are_loaded_in_float32(bert, tokenizer, sentences, tmp_path):
    for number, first in enumerate([[Transformer(str(bert)), Pooling(32)], [StaticEmbedding(tokenizer, None, 32)]]):
        model = SentenceTransformer(modules=[*first, Dense(32, 8)], device="cpu")
        expected = model.encode(sentences)
        model.to(torch.bfloat16).save(tmp_path / str(number))
        loaded = SentenceTransformer(tmp_path / str(number), device="cpu")
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
        np.testing.assert_allclose(loaded.encode(sentences), expected, atol=5e-2)


def test_modules_tokenize_after_a_prompt(bert, tokenizer):
    for module in (Transformer(str(bert)), StaticEmbedding(tokenizer, embedding_dim=4)):
        assert module.preprocess([]) == {}
        features = module.preprocess(["game"], prompt="the team ")
        assert features["input_ids"].flatten().tolist() == module.token_ids(["the team game"])[0]
        assert features.pop("prompt_length") == len(module.token_ids(["the team "])[0]) - bool(module.special_ids)
        assert module.preprocess(["the team game"]).keys() == features.keys()
    pooling = Pooling(1, include_prompt=False)
    tokens = {
        "token_embeddings": torch.tensor([[[1.0], [3.0], [5.0]]]),
        "attention_mask": torch.ones(1, 3, dtype=torch.long),
    }
    for length in (1, torch.tensor([1])):
        assert pooling({**tokens, "prompt_length": length})["sentence_embedding"].item() == 4
