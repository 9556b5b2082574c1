"""SentenceTransformer: shapes, types and order of `encode`, prompts, modules, copies."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from tercet import SentenceTransformer
from tercet.encoder.modules import Dense, Normalize, Pooling, Transformer
from tercet.errors import EmbeddingError, ModelError


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu", prompts={"query": "the team "})


def test_the_order_does_not_depend_on_lengths_and_batches(model, sentences):
    one_by_one = np.stack([model.encode(sentence) for sentence in sentences])
    for batch_size in (1, 3, 100):
        np.testing.assert_allclose(model.encode(sentences, batch_size=batch_size), one_by_one, atol=1e-6)


def test_shapes_and_types(model, sentences):
    assert model.encode("the game").shape == (32,)
    assert model.encode(["the game"]).shape == (1, 32)
    assert model.encode([]).shape == (0, 32)
    assert model.encode([]).dtype == model.encode("a").dtype == np.float32
    assert isinstance(model.encode("a", convert_to_tensor=True), torch.Tensor)
    assert isinstance(model.encode("a", convert_to_numpy=False), torch.Tensor)
    several = model.encode(sentences, convert_to_numpy=False)
    assert isinstance(several, list)
    assert several[0].shape == (32,)
    assert model.encode(tuple(sentences)).shape == (len(sentences), 32)
    lengths = np.linalg.norm(model.encode(sentences, normalize_embeddings=True), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_encode_keeps_the_training_mode_and_uses_no_dropout(model, sentences):
    model.train()
    np.testing.assert_array_equal(model.encode(sentences), model.encode(sentences))
    assert model.training
    assert not model.encode("a", convert_to_tensor=True).is_inference()


def test_prompts(model, bert, caplog):
    with_name = model.encode("won", prompt_name="query")
    np.testing.assert_array_equal(with_name, model.encode("won", prompt="the team "))
    np.testing.assert_array_equal(with_name, model.encode("the team won"))
    by_default = SentenceTransformer(bert, device="cpu", prompts=model.prompts, default_prompt_name="query")
    np.testing.assert_array_equal(by_default.encode("won"), with_name)
    np.testing.assert_array_equal(by_default.encode("won", prompt=""), model.encode("won"))
    caplog.clear()
    model.encode("won", prompt_name="passage", prompt="the team: ")
    assert caplog.messages[:1] == ["prompt_name='passage' is not used, because prompt is given"]
    with pytest.raises(ModelError, match="no prompt named 'passage'; the prompts of this model: 'query'"):
        model.encode("won", prompt_name="passage")
    with pytest.raises(ModelError, match="default_prompt_name is 'other', but the prompts of this model are: 'query'"):
        SentenceTransformer(bert, prompts=model.prompts, default_prompt_name="other")


def test_invalid_arguments_are_refused(model, bert):
    with pytest.raises(EmbeddingError, match=r"sentences, row 1: the text is missing \(None\); fill it in"):
        model.encode(["a", None])
    with pytest.raises(EmbeddingError, match="batch_size must be at least 1, got 0"):
        model.encode(["a"], batch_size=0)
    with pytest.raises(ModelError, match="unknown similarity 'cos'; choose one of"):
        SentenceTransformer(bert, similarity_fn_name="cos")
    with pytest.raises(TypeError, match="no argument 'revison'"):
        SentenceTransformer(bert, revison="main")


def test_max_seq_length_can_be_set(model):
    long = "the team won the game and lost the match"
    model.max_seq_length = 5
    assert model.tokenize([long])["input_ids"].shape == (1, 5)
    np.testing.assert_array_equal(model.encode(long), model.encode("the team won"))


def test_the_modules_are_the_children_of_a_sequence(model):
    model.append(Dense(32, 5)).append(Normalize())
    assert [type(module) for module in model] == [Transformer, Pooling, Dense, Normalize]
    assert len(model) == 4
    assert model[0] is model.transformer
    assert {name.split(".")[0] for name in model.state_dict()} == {"0", "2"}
    assert "0.auto_model.embeddings.word_embeddings.weight" in model.state_dict()
    assert model.get_sentence_embedding_dimension() == 5
    assert model.encode("the game").shape == (5,)


def test_a_slice_of_a_model_is_a_sequence_of_modules(model, sentences):
    part = model[:1]
    assert type(part) is nn.Sequential
    assert "token_embeddings" in part(model.tokenize(sentences))


def test_an_appended_module_is_saved(model, sentences, tmp_path):
    model.append(Dense(32, 5))
    model.save_pretrained(tmp_path / "model")
    loaded = SentenceTransformer(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.encode(sentences), model.encode(sentences))


def test_a_module_without_output_size_or_save_is_refused(model, tmp_path):
    class Halve(nn.Module):
        def forward(self, features):
            return {**features, "sentence_embedding": features["sentence_embedding"] / 2}

    model.append(Halve())
    with pytest.raises(ModelError, match=r"module 2 \(Halve\) has no attribute output_size"):
        model.encode("the game")
    model[2].output_size = None
    assert model.encode("the game").shape == (32,)
    with pytest.raises(ModelError, match=r"module 2 \(Halve\) cannot be saved"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_without_transformer_or_pooling_is_refused(model):
    with pytest.raises(ModelError, match="the first module must be a Transformer, but it is Pooling"):
        SentenceTransformer(modules=[Pooling(32)], device="cpu").tokenize(["a"])
    with pytest.raises(ModelError, match="returns no sentence embedding"):
        SentenceTransformer(modules=[model.transformer], device="cpu").encode("a")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_model_is_independent(duplicate, model, sentences):
    expected = model.encode(sentences)
    copied = duplicate(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(copied.encode(sentences), expected)
    assert copied.prompts == model.prompts
