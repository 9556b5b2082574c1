"""Modules with the arguments of sentence-transformers, and its own module objects: equal embeddings, equal folders."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, T5Config, T5EncoderModel

from tercet import SentenceTransformer
from tercet.encoder import Dense, Dropout, LayerNorm, Normalize, Pooling, Transformer
from tercet.errors import ModelError

peer = pytest.importorskip("sentence_transformers")
peer_modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def test_pooling_has_the_arguments_and_attributes_of_sentence_transformers():
    for pooling in (
        Pooling(8, "cls"), Pooling(word_embedding_dimension=8, pooling_mode="cls"),
        Pooling(embedding_dimension=8, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False),
    ):  # fmt: skip
        assert (pooling.embedding_dimension, pooling.pooling_mode, pooling.pooling_output_dimension) == (8, "cls", 8)
        assert pooling.get_sentence_embedding_dimension() == pooling.word_embedding_dimension == 8
    both = Pooling(8, pooling_mode_max_tokens=True, pooling_mode_mean_tokens=True)
    assert both.pooling_mode == ("max", "mean")
    assert both.get_pooling_mode_str() == "max+mean"
    assert peer_modules.Pooling.POOLING_MODES == Pooling.POOLING_MODES == MODES
    assert Pooling(8, pooling_mode_mean_tokens=False).pooling_mode == "mean"
    with pytest.raises(ModelError, match="'embedding_dimension' and hidden_size are the same argument"):
        Pooling(8, embedding_dimension=8)
    with pytest.raises(TypeError, match="Pooling has no argument 'pooling_modes'"):
        Pooling(8, pooling_modes="cls")
    with pytest.raises(ModelError, match="hidden_size must be a positive integer, got None"):
        Pooling()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_poolings_are_those_of_sentence_transformers(bert, sentences, side, include_prompt, tmp_path):
    transformer = Transformer(str(bert), 16, tokenizer_args={"padding_side": side})
    modules = [transformer, Pooling(32, MODES, include_prompt)]
    model = SentenceTransformer(modules=modules, device="cpu", prompts={"q": "the team "}, default_prompt_name="q")
    model.save(tmp_path / "model")
    theirs = peer.SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert theirs.tokenizer.padding_side == side
    expected = theirs.encode(sentences)
    if side == "right":  # BERT counts positions from the padding, so that padding on the left changes its embeddings.
        np.testing.assert_allclose(model.encode(sentences), expected, atol=1e-6)
    padded = model.preprocess(sentences, prompt="the team ")
    np.testing.assert_allclose(model(padded)["sentence_embedding"].detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_module_is_saved_for_both_libraries(bert, sentences, tmp_path, precision):
    torch.manual_seed(0)
    norm = LayerNorm(8)
    nn.init.normal_(norm.norm.weight)
    modules = [
        Transformer(model_name_or_path=str(bert), max_seq_length=7, do_lower_case=True),
        Pooling(32, "weightedmean"), Dense(32, 8, activation_function=None), norm, Dropout(0.1), Normalize(),
    ]  # fmt: skip
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(tmp_path / "model")
    texts = [text.upper() for text in sentences] + ["the team won the game and lost the final match"]
    theirs = peer.SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(model.encode(texts), theirs.encode(texts), atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.save(str(tmp_path / "theirs"))
    loaded = SentenceTransformer(tmp_path / "theirs", device="cpu")
    assert [type(module) for module in loaded] == [type(module) for module in modules]
    np.testing.assert_allclose(loaded.encode(texts), model.encode(texts), atol=1e-6)


def test_modules_of_sentence_transformers_are_taken_over(bert, sentences, tmp_path):
    torch.manual_seed(0)
    modules = [
        peer_modules.Transformer(str(bert)), peer_modules.Pooling(32, "max"), peer_modules.Dense(32, 8),
        peer_modules.LayerNorm(8), peer_modules.Dropout(0.2), peer_modules.Normalize(),
    ]  # fmt: skip
    theirs = peer.SentenceTransformer(modules=modules, device="cpu")
    model = SentenceTransformer(modules=modules, device="cpu")
    np.testing.assert_allclose(model.encode(sentences), theirs.encode(sentences), atol=1e-6)
    assert model[2].linear.weight.data_ptr() == modules[2].linear.weight.data_ptr()
    model.save(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.encode(sentences), model.encode(sentences))
    for module, message in [
        (peer_modules.LSTM(32, 8), "the module LSTM of sentence-transformers is not supported; supported are 'Transf"),
        (peer_modules.Dense(32, 32, activation_function=nn.Softmax(dim=1)), "could not be loaded again"),
    ]:
        with pytest.raises(ModelError, match=message):
            SentenceTransformer(modules=[*modules[:2], module], device="cpu")


def test_a_transformer_by_name_has_the_arguments_of_sentence_transformers(bert):
    assert Transformer(str(bert), 9).max_seq_length == 9
    transformer = Transformer(
        str(bert), model_args={"dtype": torch.bfloat16}, tokenizer_args={"model_max_length": 11}, cache_dir=None
    )
    assert transformer.auto_model.dtype is torch.bfloat16
    assert transformer.max_seq_length == 11
    assert transformer.model is transformer.auto_model
    assert transformer.get_word_embedding_dimension() == 32
    with pytest.raises(TypeError, match="Transformer has no argument 'max_length'"):
        Transformer(str(bert), max_length=9)
    with pytest.raises(ModelError, match="needs an encoder and its tokenizer, or the name of a model"):
        Transformer()
    with pytest.raises(ModelError, match="no model directory at"):
        Transformer("/no/such/folder")


def test_a_module_may_state_its_dimension_as_in_sentence_transformers(bert):
    class Half(nn.Module):
        def forward(self, features):
            return {**features, "sentence_embedding": features["sentence_embedding"][:, :16]}

        def get_sentence_embedding_dimension(self):
            return 16

    model = SentenceTransformer(modules=[Transformer(str(bert)), Pooling(32), Half()], device="cpu")
    assert model.encode("a game").shape == (16,)


@pytest.mark.parametrize("causal", [True, False])
def test_a_plain_decoder_has_the_pooling_of_sentence_transformers(bert, sentences, tmp_path, causal):
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
                         num_key_value_heads=2, intermediate_size=64, max_position_embeddings=32)  # fmt: skip
    (LlamaForCausalLM if causal else LlamaModel)(config).save_pretrained(tmp_path)
    Transformer(str(bert)).tokenizer.save_pretrained(tmp_path)
    model, theirs = (kind(str(tmp_path), device="cpu") for kind in (SentenceTransformer, peer.SentenceTransformer))
    assert model[1].pooling_mode == theirs[1].pooling_mode == ("lasttoken" if causal else "mean")
    np.testing.assert_allclose(model.encode(sentences), theirs.encode(sentences), atol=2e-6)


def test_a_folder_of_a_t5_encoder_is_loaded(bert, sentences, tmp_path):
    torch.manual_seed(0)
    config = T5Config(vocab_size=200, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    T5EncoderModel(config).save_pretrained(tmp_path)
    Transformer(str(bert)).tokenizer.save_pretrained(tmp_path)
    model, theirs = (kind(str(tmp_path), device="cpu") for kind in (SentenceTransformer, peer.SentenceTransformer))
    np.testing.assert_allclose(model.encode(sentences), theirs.encode(sentences), atol=1e-6)


@pytest.mark.slow
def test_a_module_that_is_not_supported_is_refused_when_it_is_loaded(bert, tmp_path):
    modules = [peer_modules.Transformer(str(bert)), peer_modules.LSTM(32, 8), peer_modules.Pooling(16)]
    peer.SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "model"))
    with pytest.raises(ModelError, match="LSTM; supported are"):
        SentenceTransformer(tmp_path / "model", device="cpu")


@pytest.mark.parametrize("module", [Pooling(8), Dense(8, 4), Dropout(0.1), LayerNorm(8), Normalize()], ids=repr)
def test_a_folder_may_be_a_string(module, tmp_path):
    module.save(str(tmp_path))
    assert repr(type(module).load(str(tmp_path))) == repr(module)


def test_without_a_mask_each_token_counts():
    tokens = torch.randn(2, 3, 8)
    found = Pooling(8, "mean")({"token_embeddings": tokens})["sentence_embedding"]
    torch.testing.assert_close(found, tokens.mean(dim=1))
