"""A wrong argument of a model is refused in one sentence, before any work."""

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.errors import DataError, EmbeddingError, ModelError
from tercet.evaluation import LabelEvaluator

TEXTS = ["the team won the game", "the soup is hot"]


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


@pytest.mark.parametrize("name", ["batch_size", "batch_tokens"])
@pytest.mark.parametrize("value", [1.5, "4"])
def test_batch_sizes_are_integers(name, value, model):
    with pytest.raises(EmbeddingError, match=f"{name} must be an integer, got {value!r}"):
        model.encode(TEXTS, **{name: value})
    assert model.encode(TEXTS, **{name: np.int64(64)}).shape == (2, 32)


@pytest.mark.parametrize("device", ["cudaa", "cuda:99"])
def test_the_device_of_encode(device, model):
    with pytest.raises(ModelError, match=f"cannot compute on device='{device}'"):
        model.encode(TEXTS, device=device)


@pytest.mark.parametrize("value", [0, -3, "8", 2.0, True])
def test_truncate_dim_is_a_positive_integer(value, model):
    with pytest.raises(ModelError, match="truncate_dim must be a positive integer"):
        model.truncate_dim = value
    assert model.encode(TEXTS).shape == (2, 32)


def test_no_maximum_length_means_the_positions_of_the_model(model):
    model.max_seq_length = 5
    model.max_seq_length = None
    assert model.max_seq_length == 32
    assert model.encode(["the team won " * 50]).shape == (1, 32)


@pytest.mark.parametrize("modules", [[], [1], "x"])
def test_modules_are_modules(modules):
    with pytest.raises(ModelError, match="modules must be a non-empty list of modules"):
        SentenceTransformer(modules=modules, device="cpu")


@pytest.mark.parametrize("prompts", ["query: ", ["query: "]])
def test_prompts_are_a_dictionary(prompts, bert):
    with pytest.raises(ModelError, match="prompts must be a dictionary"):
        SentenceTransformer(bert, device="cpu", prompts=prompts)


def test_a_url_is_no_name():
    with pytest.raises(ModelError, match="is a URL; pass the name of the model on the hub"):
        SentenceTransformer("https://huggingface.co/microsoft/mpnet-base", device="cpu")


@pytest.mark.parametrize("value", ["a sentence", ["a sentence"], None, [[1.0, 2.0], [1.0]]])
def test_the_similarity_of_values_that_are_no_embeddings(value, model):
    with pytest.raises(EmbeddingError, match="x must be an array or a tensor of numbers"):
        model.similarity(value, torch.eye(2))


def test_complex_numbers_are_no_embeddings(model):
    with pytest.raises(EmbeddingError, match="y has complex numbers"):
        model.similarity(torch.eye(2), torch.eye(2) * 1j)


@pytest.mark.parametrize("pool", [{}, {"input": 1, "output": 2}, 3])
def test_a_pool_is_that_of_this_library(pool, model):
    for call in (lambda: model.encode(TEXTS, pool=pool), lambda: model.stop_multi_process_pool(pool)):
        with pytest.raises(EmbeddingError, match="pool must be the result of start_multi_process_pool, got "):
            call()


def test_the_devices_of_a_pool_are_a_list(model):
    for devices in (3, "cpu"):
        with pytest.raises(EmbeddingError, match=f"the devices must be a list, .* got {devices!r}"):
            model.start_multi_process_pool(devices)


@pytest.mark.parametrize("path", [None, 3, b"model", ["model"]])
def test_the_folder_of_a_model_is_a_path(path, model):
    with pytest.raises(DataError, match="a path must be a string or a pathlib.Path, got "):
        model.save(path)


def test_a_nul_character_is_in_no_path(model):
    with pytest.raises(DataError, match="a path must have no NUL character"):
        model.save_pretrained("model\0")


def test_the_name_of_a_prompt_and_a_task_are_strings(model):
    with pytest.raises(ModelError, match="no prompt named \\['query'\\]"):
        model.encode(TEXTS, prompt_name=["query"])
    with pytest.raises(EmbeddingError, match="task must be 'query', 'document' or None, got 3"):
        model.encode(TEXTS, task=3)


def test_a_precision_is_for_sentence_embeddings(model):
    with pytest.raises(EmbeddingError, match="precision='int8' is for sentence embeddings; leave it out with output_v"):
        model.encode(TEXTS, precision="int8", output_value="token_embeddings")


def test_an_evaluator_needs_a_model():
    for model in (3, "bundled", {}):
        with pytest.raises(DataError, match="an evaluator needs a model with a method encode, .* got "):
            LabelEvaluator(TEXTS * 2, ["a", "b"] * 2)(model)
