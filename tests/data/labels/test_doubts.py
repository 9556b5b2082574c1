"""Rows that are probably wrong are a warning: they are used, and their numbers mislead."""

import pytest
from datasets import Dataset

from tercet._events import WarningKind, collect_warnings
from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.triplets import load_triplets
from tercet.data.splits.evaluation_rows import select_triplets


def _warnings(load, **columns):
    with collect_warnings() as warnings:
        load(Dataset.from_dict(columns))
    assert {warning.kind for warning in warnings} <= {WarningKind.DOUBTFUL_DATA}
    return [warning.message for warning in warnings]


def test_a_text_with_several_labels_is_a_warning():
    texts = ["Hello", "hello ", *(f"text {row}" for row in range(6))]
    (message,) = _warnings(load_labelled, text=texts, label=["a", "b", *"abcdef"])
    assert "2 of 8 rows have a text that also occurs with another label, such as 'Hello' with 'a' and 'b'" in message
    assert _warnings(load_labelled, text=texts, label=["a", "a", *"abcdef"]) == []


def test_a_label_that_nearly_all_rows_have_is_a_warning():
    texts = [f"text {row}" for row in range(20)]
    (message,) = _warnings(load_labelled, text=texts, label=["big"] * 19 + ["small"])
    assert "95% of the rows have the label 'big', so a model that has learned nothing reaches about 0.95" in message
    assert _warnings(load_labelled, text=texts, label=["big"] * 17 + ["small"] * 3) == []


@pytest.mark.parametrize("triplet", [("a", "A ", "n"), ("a", "p", "a"), ("a", "n", "n")])
def test_a_triplet_with_a_text_twice_is_a_warning_and_is_not_measured(triplet):
    rows = [("the team won", "a late goal", "warm soup"), triplet]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("anchor", "positive", "negative"))}
    (message,) = _warnings(load_triplets, **columns)
    assert "1 of 2 triplets have a text twice, for example row 1" in message
    data = Dataset.from_dict(columns)
    selected = select_triplets(data, data.select([]))
    counts = selected.counts("triplets")
    assert (selected.kept.tolist(), counts.equal_texts, counts.copies) == ([0], 1, 0)
    assert counts.describe() == "1 of 2 rows; left out: 1 with a text twice in the triplet"


def test_triplets_that_contradict_each_other_are_a_warning_with_their_number():
    rows = [("the team won", "a late goal", "warm soup"), ("b", "p", "n"), ("B ", "N", "p"), ("c", "p", "n")]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("anchor", "positive", "negative"))}
    (message,) = _warnings(load_triplets, **columns)
    assert "2 of 4 triplets also occur with the positive and the negative exchanged, for example row 1" in message
    # A triplet whose positive is its negative is a text twice, and no contradiction.
    (message,) = _warnings(load_triplets, anchor=["a", "b"], positive=["p", "q"], negative=["p", "n"])
    assert "1 of 2 triplets have a text twice" in message
