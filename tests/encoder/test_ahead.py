"""Preparing results in a thread, and `encode` with it."""

import threading

import numpy as np
import pytest

from tercet import SentenceTransformer
from tercet.encoder import encode
from tercet.encoder.ahead import map_ahead, read_ahead


@pytest.mark.parametrize("ahead", [0, 1, 2, 50])
def test_results_are_in_order_and_at_most_so_many_are_ahead(ahead):
    begun = []

    def double(number):
        begun.append((number, threading.current_thread() is threading.main_thread()))
        return 2 * number

    results = map_ahead(double, range(20), ahead=ahead)
    assert next(results) == 0
    assert len(begun) <= ahead + 1
    assert list(results) == list(range(2, 40, 2))
    assert {in_main for _, in_main in begun} == {ahead == 0}


def test_an_error_is_raised_at_its_place_and_ends_the_thread():
    threads = threading.active_count()
    results = map_ahead(lambda number: 1 // number, [1, 1, 0, 1], ahead=1)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == threads
    unfinished = map_ahead(abs, range(9), ahead=2)
    next(unfinished)
    unfinished.close()
    assert threading.active_count() == threads


def test_encode_returns_the_same_embeddings_with_a_thread(bert, sentences, monkeypatch):
    model = SentenceTransformer(bert, device="cpu")
    expected = model.encode(sentences, batch_tokens=40)
    monkeypatch.setattr(encode, "_WINDOW", 5)
    monkeypatch.setattr(encode, "map_ahead", lambda function, items, ahead: map_ahead(function, items, ahead=2))
    np.testing.assert_allclose(model.encode(sentences, batch_tokens=40), expected, atol=1e-6)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_iterator_is_read_ahead_in_order_to_its_end(ahead):
    read = []

    def numbers():
        for number in range(5):
            read.append(number)
            yield number
        raise ValueError("the end")

    threads = threading.active_count()
    items = read_ahead(numbers(), ahead=ahead)
    assert next(items) == 0
    assert len(read) <= ahead + 1
    assert [next(items) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="the end"):
        next(items)
    assert list(read_ahead(iter([None, 1]), ahead=ahead)) == [None, 1]
    unfinished = read_ahead(iter(range(9)), ahead=ahead)
    next(unfinished)
    unfinished.close()
    assert threading.active_count() == threads
