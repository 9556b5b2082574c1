"""Summaries of texts, each against the sentence that defines it."""

import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet._texts import text_keys
from tercet.inspection.lengths import summarize_lengths
from tercet.inspection.texts import label_sizes, summarize_texts

_TEXTS = st.sampled_from(["a b", "A  b", "a\tB\n", "ab", "", " ", "\u00a0", "ß", "SS", "ss ", "c", "\u200b", "ａｂ"])
_ROWS = st.lists(st.tuples(_TEXTS, st.integers(0, 2)), min_size=1, max_size=14)
_NAMES = ["x", "y", "z"]


@pytest.mark.slow
@given(_ROWS)
def test_facts_are_what_their_names_say(rows):
    texts, label_ids = [text for text, _ in rows], np.array([code for _, code in rows])
    facts = summarize_texts(texts, label_ids, _NAMES)

    keys = text_keys(texts)

    def same(i, j):
        return keys[i] == keys[j]

    everything = range(len(texts))
    empty = [i for i in everything if not texts[i].strip(" \u00a0\u200b")]
    filled = [i for i in everything if i not in empty]
    assert facts.rows == len(texts)
    assert facts.empty == empty
    assert facts.duplicates == [
        i for i in filled if any(same(i, j) and label_ids[i] == label_ids[j] for j in filled if j < i)
    ]
    disputed = [i for i in filled if any(same(i, j) and label_ids[i] != label_ids[j] for j in filled)]
    firsts = [i for i in disputed if not any(same(i, j) for j in disputed if j < i)]
    assert [found.rows for found in facts.contradictions] == [[j for j in filled if same(i, j)] for i in firsts]
    for i, found in zip(firsts, facts.contradictions, strict=True):
        assert found.text == texts[i]
        assert found.labels == sorted({_NAMES[label_ids[j]] for j in found.rows})
    # A row without a text is no sentence of its label.
    assert dict(facts.labels.sizes) == Counter(_NAMES[label_ids[i]] for i in filled)


def test_where_no_row_has_a_text_there_is_no_label():
    labels = summarize_texts(["", " "], np.array([0, 1]), _NAMES).labels
    assert (labels.count, labels.smallest, labels.largest, labels.singletons, labels.sizes) == (0, None, None, 0, [])


@pytest.mark.slow
@given(_ROWS)
def test_sizes_of_labels(rows):
    label_ids = np.array([code for _, code in rows])
    sizes = label_sizes(label_ids, _NAMES)
    counts = Counter(_NAMES[code] for code in label_ids)
    assert dict(sizes.sizes) == counts
    assert [size for _, size in sizes.sizes] == sorted(counts.values(), reverse=True)
    assert (sizes.count, sizes.median) == (len(counts), statistics.median(counts.values()))
    assert sizes.singletons == sum(size == 1 for size in counts.values())
    assert (sizes.smallest[1], sizes.largest[1]) == (min(counts.values()), max(counts.values()))
    assert all(counts[name] == size for name, size in (sizes.smallest, sizes.largest))


@pytest.mark.slow
@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.none() | st.integers(1, 300))
def test_lengths(counts, limit):
    facts = summarize_lengths(np.array(counts), limit)
    assert facts.truncated == (0 if limit is None else sum(count > limit for count in counts))
    assert (facts.longest, facts.limit) == (max(counts), limit)
    assert np.isclose(facts.mean, statistics.mean(counts))
    for share, tokens in facts.percentiles.items():
        assert tokens in counts
        assert sum(count <= tokens for count in counts) >= share / 100 * (len(counts) - 1)
    below = 0
    for bound, number in facts.histogram:
        assert number == sum(below < count <= bound for count in counts)
        below = bound
    assert sum(number for _, number in facts.histogram) == len(counts)
