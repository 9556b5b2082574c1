"""Using a model in a way that would give wrong embeddings is refused with one sentence."""

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer as Peer

from tercet import SentenceTransformer
from tercet.encoder.modules import Dense, Pooling, Transformer
from tercet.errors import EmbeddingError, ModelError

TEXTS = ["the team won the game", "the soup is hot", "the train is late"]


@pytest.fixture(scope="module")
def shared(bert):
    return SentenceTransformer(bert, device="cpu")


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


TABLE = pd.DataFrame({"text": TEXTS, "label": [1, 2, 3]})
DATA = Dataset.from_dict({"text": TEXTS, "label": [1, 2, 3]})


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (TABLE, "sentences is a DataFrame with the columns 'text', 'label'; pass one column of it"),
        (DATA, "sentences is a Dataset with the columns 'text', 'label'; pass one column of it"),
        (DATA.data.table, "sentences is a Table with the columns 'text', 'label'; pass one column"),
        ({"query": "card", "document": "login"}, "sentences is a dict with the keys 'query', 'document'"),
        ({"a", "b"}, "sentences is a set; pass the sentences as a list"),
        ({"a": 1}.keys(), "sentences is a dict_keys; pass the sentences as a list"),
        (frozenset("a"), "sentences is a frozenset; pass the sentences as a list"),
        (b"bytes", "sentences is a bytes; pass the sentences as a list"),
        (None, "sentences must be one string, or a list of strings; got NoneType"),
        (5, "sentences must be one string, or a list of strings; got int"),
        (np.array(5), "sentences must be one string, or a list of strings; got ndarray"),
        ([TEXTS], "sentences, row 0: the text is .* not a string"),
        (np.array([TEXTS]), "sentences, row 0: the text is "),
        (["a", "\ud800"], "sentences, row 1: the text contains a lone surrogate"),
        ("\ud800", "the text contains a lone surrogate"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_list_of_sentences_is_refused(sentences, message, shared):
    with pytest.raises(EmbeddingError, match=message):
        shared.encode(sentences)


@pytest.mark.parametrize(
    "sentences",
    [tuple(TEXTS), np.array(TEXTS), TABLE["text"], TABLE["text"][::1], DATA["text"], DATA["text"][:], iter(TEXTS)],
    ids=lambda value: type(value).__name__,
)
def test_columns_arrays_and_generators_are_embedded(sentences, shared):
    np.testing.assert_array_equal(shared.encode(sentences), shared.encode(TEXTS))


@pytest.mark.parametrize("method", ["tokenize", "token_ids", "token_counts"])
def test_half_a_character_is_refused_by_the_tokenizer(method, shared):
    with pytest.raises(EmbeddingError, match="texts, row 1: the text contains a lone surrogate"):
        getattr(shared, method)(["a", "\ud800"])


def test_more_tokens_than_rows_are_refused_when_they_are_added(model):
    model.tokenizer.add_tokens(["lion"])
    for use in (model.encode, model.tokenize, model.token_ids):
        with pytest.raises(ModelError, match=r"has 105 tokens, but the encoder has 104 embedding rows; call auto"):
            use(["lion"])
    model.transformer.auto_model.resize_token_embeddings(105)
    assert np.isfinite(model.encode(["lion"])).all()


@pytest.mark.parametrize("length", [4000, 33, 2, 0, -1, 1.5, "32", True])
def test_a_length_that_the_model_does_not_have_is_refused(length, model):
    with pytest.raises(ModelError, match="max_seq_length"):
        model.max_seq_length = length
    assert model.max_seq_length == 32
    model.max_seq_length = 3
    assert model.token_ids(["the game the game"])[0][1:-1] == model.token_ids(["the"])[0][1:-1]


def test_a_prompt_that_leaves_no_word_is_refused(model):
    model.prompts = {"long": "the game " * 40, "number": 5}
    with pytest.raises(ModelError, match="has 82 tokens with the special tokens, and max_seq_length is 32, so that no"):
        model.encode(TEXTS, "long")
    with pytest.raises(ModelError, match="a prompt must be a string, got 5"):
        model.encode(TEXTS, "number")
    with pytest.raises(ModelError, match="lone surrogate"):
        model.encode(TEXTS, prompt="\ud800")


@pytest.mark.parametrize("prompts", [{"a": 5}, {5: "a"}])
def test_prompts_must_be_strings(prompts, bert):
    with pytest.raises(ModelError, match="must be a string"):
        SentenceTransformer(bert, device="cpu", prompts=prompts)


def test_modules_that_do_not_fit_are_refused(shared):
    first = shared[0]
    assert isinstance(first, Transformer)
    with pytest.raises(ModelError, match=r"module 1 \(Pooling\) has word_embedding_dimension 16, .* vectors of 32"):
        SentenceTransformer(modules=[first, Pooling(16)])
    with pytest.raises(ModelError, match=r"module 2 \(Dense\) has in_features 16, .* vectors of 64"):
        SentenceTransformer(modules=[first, Pooling(32, ["mean", "max"]), Dense(16, 8)])


@pytest.mark.slow
def test_a_saved_truncate_dim_is_used_and_kept(bert, tmp_path):
    theirs = Peer(str(bert), device="cpu", truncate_dim=8)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    ours = SentenceTransformer(tmp_path / "theirs", device="cpu")
    assert ours.get_sentence_embedding_dimension() == ours.truncate_dim == 8
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(
        ours.encode(TEXTS, normalize_embeddings=True), theirs.encode(TEXTS, normalize_embeddings=True), atol=1e-6
    )
    ours.save_pretrained(tmp_path / "ours")
    assert Peer(str(tmp_path / "ours"), device="cpu").encode(TEXTS).shape == (3, 8)
    assert SentenceTransformer(tmp_path / "ours", device="cpu").encode(TEXTS).shape == (3, 8)


def test_a_model_that_is_loaded_under_autocast_has_gradients(bert):
    with torch.autocast("cpu", torch.bfloat16):
        model = SentenceTransformer(bert, device="cpu")
        model(model.tokenize(["the soup is hot"]))["sentence_embedding"].sum().backward()
    assert {name for name, weight in model.named_parameters() if weight.grad is None} == {
        "0.auto_model.pooler.dense.weight", "0.auto_model.pooler.dense.bias",
    }  # fmt: skip
