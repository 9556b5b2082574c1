"""The words for an inspection, which the screen and the report share."""

import numpy as np
import torch

from tercet.inspection.batches import batch_facts
from tercet.inspection.inspection import inspect_data
from tercet.inspection.lengths import length_facts
from tercet.inspection.tables import (
    active_rows,
    first_of,
    model_rows,
    row_numbers,
    suggestion_rows,
    text_rows,
    token_lengths,
)
from tercet.inspection.texts import text_facts
from tests.inspection.test_inspection import Blind, Blobs, labelled, shuffled


def test_rows_are_counted_with_the_empty_ones_and_labels_without():
    texts = ["a", "A", "", "b", *[" "] * 5, "a"]
    rows = dict(text_rows(text_facts(texts, np.array([0, 0, 1, 1, 2, 2, 2, 2, 2, 1]), ["x", "y", "z"])))
    assert rows == {
        "rows": "10",
        "labels": "2",
        "smallest label": "2 (y)",
        "median label": "2",
        "largest label": "2 (x)",
        "labels with one sentence": "0",
        "empty texts": "6 (row 2, 4, 5, 6, 7, …)",
        "copies under the same label": "1 (row 1)",
        "texts under two labels or more": "1",
    }
    nothing = dict(text_rows(text_facts([""], np.array([0]), ["x"])))
    assert (nothing["labels"], nothing["smallest label"], nothing["largest label"]) == ("0", "–", "–")


def test_what_a_model_tells():
    facts = inspect_data(shuffled(), Blobs(), batch_size=8, samples_per_label=2).with_model
    rows = dict(model_rows(facts))
    share = len(facts.suspects) / 36
    assert rows["labels that others dispute"] == f"{len(facts.suspects)} of 36 ({share:.1%})"
    assert rows["pairs of labels with such sentences"] == str(len(facts.confusions))
    assert rows["near copies under two labels"] == str(len(facts.near_duplicates))
    assert rows["sentences that are cut"] == "0 (limit 6)"
    assert [row[0] for row in suggestion_rows(facts)] == ["--distance", "--margin", "--samples-per-label"]
    assert [row[1:] for row in suggestion_rows(facts)] == [
        (value if isinstance(value := found.value, str) else f"{value:g}", found.reason) for found in facts.suggestions
    ]


def test_of_a_model_that_tells_nothing_apart_only_lengths_are_told():
    facts = inspect_data(shuffled(), Blind()).with_model
    assert [name for name, _ in model_rows(facts)] == ["tokens of a sentence", "sentences that are cut"]


def test_nothing_judged_is_no_division():
    facts = inspect_data(labelled(["one a", "one b"], ["x", "x"]), Blobs()).with_model
    assert dict(model_rows(facts))["labels that others dispute"] == "0 of 0 (0.0%)"


def test_lengths():
    text = "3.0 on average, 50 % up to 3, 95 % up to 5, 99 % up to 5, longest 5"
    assert token_lengths(length_facts(np.arange(1, 6), None)) == text


def test_active_shares_stand_by_distance_and_kind():
    x, label_ids = torch.randn(20, 3), np.repeat(np.arange(4), 5)
    facts = batch_facts(x, label_ids, 8, 2)
    rows = active_rows(facts)
    assert [row[:2] for row in rows] == [
        ("euclidean", "all"), ("euclidean", "semi-hard"), ("cosine", "all"), ("cosine", "semi-hard"),
    ]  # fmt: skip
    assert rows[3][2] == [share.semi_hard for share in facts.active if share.distance == "cosine"]


def test_lists_say_how_much_of_them_is_shown():
    assert first_of("Copies", 10, 10) == "Copies"
    assert first_of("Copies", 1234, 10) == "Copies (the first 10 of 1,234)"
    assert row_numbers([3, 4, 5], 3) == "3, 4, 5"
    assert row_numbers([3, 4, 5], 2) == "3, 4, …"
