"""Facts about texts, each against the sentence that defines it."""

import statistics
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tercet.diagnosis.lengths import length_facts
from tercet.diagnosis.texts import label_sizes, text_facts, text_keys

_TEXTS = st.sampled_from(["a b", "A  b", "a\tB\n", "ab", "", " ", "\u00a0", "ß", "SS", "ss ", "c"])
_ROWS = st.lists(st.tuples(_TEXTS, st.integers(0, 2)), min_size=1, max_size=14)
_NAMES = ["x", "y", "z"]


def test_texts_are_the_same_but_for_capitals_and_white_space():
    assert text_keys(["A  b", " a\tB\n", "ab", "STRASSE", "straße", "\u00a0", ""]) == [
        "a b", "a b", "ab", "strasse", "strasse", "", "",
    ]  # fmt: skip


@given(_ROWS)
def test_facts_are_what_their_names_say(rows):
    texts, codes = [text for text, _ in rows], np.array([code for _, code in rows])
    facts = text_facts(texts, codes, _NAMES)

    def same(i, j):
        return " ".join(texts[i].casefold().split()) == " ".join(texts[j].casefold().split())

    everything = range(len(texts))
    empty = [i for i in everything if not texts[i].strip()]
    filled = [i for i in everything if i not in empty]
    assert facts.rows == len(texts)
    assert facts.empty == empty
    assert facts.duplicates == [i for i in filled if any(same(i, j) and codes[i] == codes[j] for j in filled if j < i)]
    disputed = [i for i in filled if any(same(i, j) and codes[i] != codes[j] for j in filled)]
    firsts = [i for i in disputed if not any(same(i, j) for j in disputed if j < i)]
    assert [found.rows for found in facts.contradictions] == [[j for j in filled if same(i, j)] for i in firsts]
    for i, found in zip(firsts, facts.contradictions, strict=True):
        assert found.text == texts[i]
        assert found.labels == sorted({_NAMES[codes[j]] for j in found.rows})


@given(_ROWS)
def test_sizes_of_labels(rows):
    codes = np.array([code for _, code in rows])
    sizes = label_sizes(codes, _NAMES)
    counts = Counter(_NAMES[code] for code in codes)
    assert dict(sizes.sizes) == counts
    assert [size for _, size in sizes.sizes] == sorted(counts.values(), reverse=True)
    assert (sizes.count, sizes.median) == (len(counts), statistics.median(counts.values()))
    assert sizes.singletons == sum(size == 1 for size in counts.values())
    assert (sizes.smallest[1], sizes.largest[1]) == (min(counts.values()), max(counts.values()))
    assert all(counts[name] == size for name, size in (sizes.smallest, sizes.largest))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.none() | st.integers(1, 300))
def test_lengths(counts, limit):
    facts = length_facts(np.array(counts), limit)
    assert facts.cut == (0 if limit is None else sum(count > limit for count in counts))
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
