"""Nearest rows, near duplicates and their groups, against the matrix of all similarities."""

import importlib.util

import numpy as np
import pytest

from tercet import search
from tercet.errors import DataError
from tercet.search import check_search_installed, group_pairs, nearest_rows, similar_pairs

pytest.importorskip("vicinity", reason="vicinity is not installed: pip install 'tercet[search]'")


@pytest.fixture
def vectors():
    """Embeddings of length 1 in a few directions, so that many pairs are near each other; two rows are equal."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 16))[rng.integers(6, size=60)] + 0.3 * rng.normal(size=(60, 16))
    x[41] = x[17]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 200, 1 << 24])
def test_the_nearest_rows_are_those_of_the_whole_matrix(vectors, monkeypatch, block):
    monkeypatch.setattr(search, "_BLOCK", block)
    queries, gallery = vectors[:10], vectors[10:]
    similarities = queries @ gallery.T
    for row, found in zip(similarities, nearest_rows(gallery, queries, 4), strict=True):
        assert [number for number, _ in found] == np.argsort(-row, kind="stable")[:4].tolist()
        np.testing.assert_allclose([similarity for _, similarity in found], np.sort(row)[::-1][:4], atol=1e-4)
    assert len(nearest_rows(gallery[:3], queries, 5)[0]) == 3


@pytest.mark.parametrize("copies", [3, 200])
def test_equally_similar_rows_are_in_the_order_of_their_numbers_also_at_the_cut(vectors, copies):
    gallery = np.concatenate([vectors[1:30], np.repeat(vectors[:1], copies, axis=0), vectors[30:]])
    (found,) = nearest_rows(gallery, vectors[:1], 2)
    assert found == [(29, 1.0), (30, 1.0)]


def test_rows_and_pairs_that_differ_in_the_fifth_digit_are_in_the_order_of_their_similarity():
    angles = np.array([0, 0.501, 0.50104, 0.50096])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    (found,) = nearest_rows(x[1:], x[:1], 3)
    assert [row for row, _ in found] == [2, 0, 1]
    assert len({similarity for _, similarity in found}) == 1
    pairs = [(pair.row, pair.other_row) for pair in similar_pairs(x, 0.5)]
    assert pairs[-3:] == [(0, 3), (0, 1), (0, 2)]


@pytest.mark.parametrize("block", [1, 200, 1 << 24])
@pytest.mark.parametrize("threshold", [0.3, 0.8, 1.0])
def test_the_pairs_are_all_of_the_whole_matrix(vectors, monkeypatch, threshold, block):
    monkeypatch.setattr(search, "_BLOCK", block)
    similarities = np.triu(vectors @ vectors.T, k=1)
    expected = {(int(i), int(j)) for i, j in np.argwhere(similarities >= threshold - 1e-5)}
    assert (17, 41) in expected
    pairs = similar_pairs(vectors, threshold)
    assert {(pair.row, pair.other_row) for pair in pairs} == expected
    assert len(pairs) == len(expected)
    found = [pair.similarity for pair in pairs]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1.0


def test_copies_are_pairs_at_the_highest_threshold_in_spite_of_rounding():
    x = np.random.default_rng(1).normal(size=(50, 384)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    pairs = similar_pairs(np.concatenate([x, x]), 1.0)
    assert sorted((pair.row, pair.other_row) for pair in pairs) == [(row, row + 50) for row in range(50)]


def test_groups_connect_pairs_that_share_a_row():
    pairs = [search.SimilarPair(row, other, 0.9) for row, other in ((7, 9), (1, 2), (2, 5), (9, 11), (1, 5))]
    assert group_pairs(pairs) == [1, 0, 0, 1, 0]
    assert group_pairs([]) == []


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_a_threshold_outside_of_its_range_is_refused(vectors, threshold):
    with pytest.raises(DataError, match="threshold must be above 0 and at most 1, got"):
        similar_pairs(vectors, threshold)


@pytest.mark.parametrize("block", [1, 200, 1 << 24])
@pytest.mark.parametrize("max_pairs", [1, 7, 50, 200])
def test_of_too_many_pairs_the_most_similar_ones_are_kept(vectors, monkeypatch, caplog, block, max_pairs):
    monkeypatch.setattr(search, "_BLOCK", block)
    x = np.concatenate([vectors, vectors[10:20]])  # so that similarities are equal at the limit
    every = similar_pairs(x, 0.2)
    assert len(every) > 2 * max_pairs
    assert not caplog.records
    kept = similar_pairs(x, 0.2, max_pairs=max_pairs)
    assert kept == every[:max_pairs]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"more than {max_pairs} pairs have a similarity of at least 0.2; the {max_pairs} most similar ones are kept, "
        f"down to {kept[-1].similarity:g}"
    )


def test_many_copies_of_one_row_end_soon_with_the_first_pairs(caplog):
    x = np.zeros((300, 4), dtype=np.float32)
    x[:, 0] = 1
    with pytest.raises(DataError, match="max_pairs must be at least 1, got 0"):
        similar_pairs(x, 0.9, max_pairs=0)
    pairs = similar_pairs(x, 0.9, max_pairs=100)
    assert [(pair.row, pair.other_row) for pair in pairs] == [(0, other) for other in range(1, 101)]
    assert len(caplog.records) == 1
    assert similar_pairs(x[:2], 0.9, max_pairs=1)[0].similarity == 1
    assert len(caplog.records) == 1


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    check_search_installed("tercet search")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"tercet search needs the package vicinity: pip install 'tercet\[search\]'"):
        check_search_installed("tercet search")
