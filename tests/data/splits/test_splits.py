"""Rows held out for evaluation. Copies of a text stay on one side."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tercet.data.cleaning.copies import overlapping_rows
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.splits.held_out import split_labelled, split_triplets

_FORMS = ["{}", " {} ", "{}\u200b", "{}\u00a0"]


def _labelled(texts, label_ids):
    label_ids = np.array(label_ids)
    return LabelledSentences(texts, label_ids, [f"label {label}" for label in range(label_ids.max() + 1)])


@pytest.mark.parametrize(("size", "held_out"), [(1, 0), (2, 0), (3, 0), (4, 2), (5, 2), (10, 2), (100, 20)])
def test_a_label_gives_two_or_more_sentences_or_none(size, held_out):
    data = LabelledSentences([str(row) for row in range(2 * size)], np.arange(2 * size) % 2, ["a", "b"])
    kept, out = split_labelled(data, 0.2, seed=0)
    assert np.bincount(out.label_ids, minlength=2).tolist() == [held_out, held_out]
    assert sorted(kept.sentences + out.sentences, key=int) == data.sentences
    assert len(split_labelled(data, 0, seed=0)[1]) == 0


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(_FORMS), st.integers(0, 2)), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]),
    st.integers(0, 3),
)
def test_copies_stay_on_one_side_and_labels_remain(rows, fraction, seed):
    data = _labelled([form.format(text) for text, form, _ in rows], [label for _, _, label in rows])
    kept, out = split_labelled(data, fraction, seed)
    assert overlapping_rows(out.sentences, kept.sentences) == []
    assert sorted(kept.sentences + out.sentences) == sorted(data.sentences)
    counts, left = (np.bincount(part.label_ids, minlength=3) for part in (data, kept))
    assert (left >= np.minimum(counts, 2)).all()
    again = split_labelled(data, fraction, seed)
    assert (again[0].sentences, again[1].sentences) == (kept.sentences, out.sentences)


def test_copies_do_not_change_the_fraction_by_much():
    rng = np.random.default_rng(0)
    texts = rng.integers(0, 103, 1200)
    data = _labelled([f"ticket {text}" for text in texts], texts % 5)
    kept, out = split_labelled(data, 0.2, seed=0)
    shares = np.bincount(out.label_ids, minlength=5) / np.bincount(data.label_ids)
    assert ((shares > 0.15) & (shares <= 0.2)).all()
    assert len(kept) + len(out) == 1200


def test_one_text_with_most_of_the_rows_is_not_held_out():
    data = _labelled(["thanks"] * 90 + [str(row) for row in range(10)], [0] * 100)
    for seed in range(5):
        assert "thanks" not in split_labelled(data, 0.1, seed)[1].sentences


def test_texts_with_so_many_copies_that_none_fits_are_held_out_in_pairs():
    data = _labelled([str(row % 4) for row in range(200)], [0] * 200)
    kept, out = split_labelled(data, 0.2, seed=0)
    assert (len(set(kept.sentences)), len(set(out.sentences))) == (2, 2)


def test_a_label_with_copies_of_one_text_only_stays_in_training():
    data = _labelled(["hello"] * 50 + [str(row) for row in range(50)], [0] * 50 + [1] * 50)
    kept, out = split_labelled(data, 0.2, seed=0)
    assert np.bincount(kept.label_ids).tolist() == [50, 40]
    assert set(out.label_ids.tolist()) == {1}


def test_copies_of_an_anchor_stay_on_one_side():
    rows = [{"anchor": _FORMS[row % 4].format(row % 11), "positive": "p", "negative": "n"} for row in range(110)]
    kept, out = split_triplets(Dataset.from_list(rows), 0.2, seed=0)
    assert overlapping_rows(out["anchor"], kept["anchor"]) == []
    assert (len(kept), len(out)) == (90, 20)
    # One anchor has more rows than the fraction: it is held out as a whole if there is another.
    kept, out = split_triplets(
        Dataset.from_list(rows).filter(lambda row: int(row["anchor"].strip("\u200b")) < 3), 0.2, 0
    )
    assert (len(kept), len(out)) == (20, 10)
    kept, out = split_triplets(Dataset.from_list(rows[:1] * 9), 0.2, seed=0)
    assert (len(kept), len(out)) == (9, 0)
