"""`encode` and its companions give the results of sentence-transformers on the same folder."""

import copy
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer, quantize_embeddings
from tercet.encoder import Pooling, Transformer
from tercet.errors import EmbeddingError, ModelError

peer = pytest.importorskip("sentence_transformers")
PROMPTS = {"query": "the team ", "passage": "the bank ", "other": "a "}


@pytest.fixture(scope="module")
def models(bert, tmp_path_factory):
    """Both libraries' model of one folder, with a pooling that leaves the prompt out."""
    folder = tmp_path_factory.mktemp("models") / "model"
    model = SentenceTransformer(
        modules=[Transformer.load(str(bert)), Pooling(32, ["mean", "max"], False)], device="cpu"
    )
    model.prompts, model.truncate_dim = dict(PROMPTS), 50
    model.save_pretrained(folder)
    return SentenceTransformer(str(folder), device="cpu"), peer.SentenceTransformer(str(folder), device="cpu")


@pytest.fixture
def ours(models):
    return copy.copy(models[0])


def assert_equal(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(theirs, torch.Tensor):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b)
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_equal(ours[key], theirs[key])
    else:
        assert ours == theirs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": None},
        {"convert_to_numpy": False},
        {"convert_to_tensor": True, "normalize_embeddings": True, "truncate_dim": 7},
        {"truncate_dim": 64},
        {"precision": "binary"},
        {"precision": "ubinary", "convert_to_tensor": True},
        {"precision": "ubinary", "convert_to_numpy": False, "truncate_dim": 9},
        {"output_value": "token_embeddings"},
        {"output_value": "token_embeddings", "prompt_name": "query", "batch_size": 3},
        {"output_value": None, "prompt": "the team "},
        {"prompt_name": "query"},
    ],
    ids=str,
)
def test_encode_is_that_of_sentence_transformers(models, sentences, options):
    ours, theirs = models
    for texts in (sentences[:5], sentences[0]):
        expected = theirs.encode(texts, **options)
        if options.get("output_value", "") is None:
            for features in expected if isinstance(texts, list) else [expected]:
                assert features.pop("modality") == "text"  # Tercet has texts only.
        assert_equal(ours.encode(inputs=texts, **options), expected)


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_ranges_are_those_of_the_encoded_sentences(models, sentences, precision):
    ours, theirs = models
    values = ours.encode(sentences, precision=precision)
    # A value at the border of two buckets may fall into the other one.
    assert np.abs(values.astype(int) - theirs.encode(sentences, precision=precision).astype(int)).max() <= 1
    assert values.dtype == np.dtype(precision)
    with pytest.raises(EmbeddingError, match="needs the range of each dimension, which one embedding does not have"):
        ours.encode("the game", precision=precision)


def test_quantization_is_that_of_sentence_transformers():
    generator = np.random.default_rng(0)
    embeddings, calibration = generator.normal(size=(40, 20)), generator.normal(size=(200, 20))
    calibration[:, 3] = 1.0  # a dimension that never changes
    ranges = np.stack([calibration.min(0), calibration.max(0)])
    for precision in ("float32", "int8", "uint8", "binary", "ubinary"):
        for options in ({}, {"calibration_embeddings": calibration}, {"ranges": ranges}):
            assert_equal(
                quantize_embeddings(embeddings, precision, **options),
                peer.quantize_embeddings(embeddings, precision, **options),
            )
    assert_equal(
        quantize_embeddings(list(torch.ones(3, 9)), "binary"),
        peer.quantize_embeddings(list(torch.ones(3, 9)), "binary"),
    )
    with pytest.raises(EmbeddingError, match="quantized already"):
        quantize_embeddings(np.zeros((2, 3), np.int8), "int8")


@pytest.mark.parametrize("method", ["encode_query", "encode_document"])
@pytest.mark.parametrize("options", [{}, {"prompt_name": "other"}, {"prompt": "my "}, {"convert_to_tensor": True}])
def test_queries_and_documents_have_the_prompts_of_sentence_transformers(models, sentences, method, options):
    ours, theirs = models
    assert_equal(getattr(ours, method)(sentences[:3], **options), getattr(theirs, method)(sentences[:3], **options))


def test_prompts_of_documents_have_three_names_if_they_were_assigned(bert, models):
    ours, theirs = SentenceTransformer(bert, device="cpu"), models[1]
    ours.default_prompt_name, ours.prompts = None, {"corpus": "the ", "passage": "the bank "}
    np.testing.assert_array_equal(ours.encode_document("game"), ours.encode("game", prompt="the bank "))
    np.testing.assert_array_equal(ours.encode_query("game"), ours.encode("game"))
    assert "document" in theirs.prompts  # So only a model whose prompts are assigned has other names there.


def test_dimensions_are_truncated_by_argument_attribute_and_setting(bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu", truncate_dim=8)
    model.save(tmp_path / "model")
    assert json.loads((tmp_path / "model/config_sentence_transformers.json").read_text())["truncate_dim"] == 8
    loaded = SentenceTransformer(tmp_path / "model", device="cpu")
    assert loaded.encode("a game").shape == (8,)
    assert loaded.encode("a game", truncate_dim=16).shape == (16,)
    with loaded.truncate_embeddings(3):
        assert loaded.encode("a game").shape == (3,)
    loaded.truncate_dim = None
    assert loaded.encode("a game").shape == (32,)
    with pytest.raises(ModelError, match="truncate_dim must be a positive integer"):
        loaded.encode("a game", truncate_dim=-1)


def test_wrong_options_are_refused(models):
    ours, _ = models
    for options, message in [
        ({}, "sentences must be one string, or a list of strings; got NoneType"),
        ({"sentences": "a", "inputs": "a"}, "inputs is another name of sentences"),
        ({"sentences": "a", "precision": "int4"}, "unknown precision 'int4'; choose one of 'float32'"),
        ({"sentences": "a", "output_value": "tokens"}, "unknown output_value 'tokens'"),
        ({"sentences": "a", "chunk_size": 5}, "chunk_size is for several processes"),
        ({"sentences": "a", "device": []}, "the list of devices is empty"),
    ]:
        with pytest.raises(EmbeddingError, match=message):
            ours.encode(**options)


@pytest.mark.slow
def test_a_process_of_a_pool_encodes_as_this_process_does(models, sentences):
    ours, _ = models
    pool = ours.start_multi_process_pool(["cpu"])
    try:
        for options in ({}, {"prompt_name": "query", "truncate_dim": 5}, {"precision": "int8"},
                        {"output_value": "token_embeddings"}):  # fmt: skip
            assert_equal(ours.encode(sentences, pool=pool, chunk_size=3, **options), ours.encode(sentences, **options))
        assert_equal(ours.encode("the game", pool=pool), ours.encode("the game"))
        assert_equal(ours.encode([], pool=pool), ours.encode([]))
        with pytest.raises(EmbeddingError, match="failed in a process of the pool: .*no word would be left"):
            ours.encode(sentences, pool=pool, prompt="the bank " * 40)
        assert_equal(ours.encode_multi_process(sentences, pool), ours.encode(sentences))
        os.kill(pool["processes"][0].pid, signal.SIGINT)  # Ctrl-C reaches all processes.
        _interrupt(ours, sentences[::-1] * 3, pool)
        assert_equal(ours.encode(sentences, pool=pool, chunk_size=3), ours.encode(sentences))
        lists = [sentences, sentences[::-1]] * 3
        with ThreadPoolExecutor(len(lists)) as threads:
            found = list(threads.map(lambda texts: ours.encode(texts, pool=pool, chunk_size=1), lists))
        assert_equal(found, [ours.encode(texts) for texts in lists])
        pool["processes"][0].terminate()
        pool["processes"][0].join()
        with pytest.raises(EmbeddingError, match="1 of 1 processes of the pool have ended"):
            ours.encode(sentences, pool=pool)
    finally:
        ours.stop_multi_process_pool(pool)


def _interrupt(model, sentences, pool):
    """Interrupt an encoding once a result of it waits in the queue of the pool."""
    results = pool["output"]

    class Interrupted:
        def get(self, timeout):
            while results.empty():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.encode(sentences, pool=pool | {"output": Interrupted()}, chunk_size=3)
