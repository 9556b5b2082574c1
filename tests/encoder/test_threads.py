"""One model in several threads, and copies of a model."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.encoder.threads import evaluation_mode

TEXTS = ["the team won the game", "the soup is hot", "x " * 60, "the train is late"]


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


@pytest.mark.slow
def test_encode_in_threads_has_no_dropout_and_restores_the_mode(model):
    expected = model.encode(TEXTS)
    model.train()
    model.transformer.auto_model.embeddings.eval()  # a part that the user froze
    modes = [module.training for module in model.modules()]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: model.encode(TEXTS), range(80)))
    assert all(np.array_equal(result, expected) for result in results)
    assert [module.training for module in model.modules()] == modes


def test_overlapping_blocks_restore_the_mode_when_the_last_one_ends(model):
    model.train()
    entered, leave = threading.Event(), threading.Event()

    def first():
        with evaluation_mode(model.transformer.auto_model):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with evaluation_mode(model):
        leave.set()
        thread.join()
        assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.modules())


@pytest.mark.slow
def test_counting_tokens_beside_encoding(model):
    expected, counts = model.encode(TEXTS), model.token_counts(TEXTS)
    assert max(counts) > model.max_seq_length

    def work(number):
        if number % 2:
            return np.array_equal(model.encode(TEXTS), expected)
        return model.token_counts(TEXTS) == counts

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(240)))


@pytest.mark.parametrize("make", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_model_that_was_used(make, model):
    expected = model.encode(TEXTS)
    again = make(model)
    np.testing.assert_array_equal(again.encode(TEXTS), expected)
    with torch.no_grad():
        again.transformer.auto_model.embeddings.word_embeddings.weight.zero_()
    np.testing.assert_array_equal(model.encode(TEXTS), expected)
