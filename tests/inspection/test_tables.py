"""The tables of an inspection, which the screen and the report share."""

from dataclasses import replace

import numpy as np
import torch

from tercet.inspection.batch_tables import active_fractions
from tercet.inspection.batches import summarize_batches
from tercet.inspection.inspection import inspect
from tercet.inspection.lengths import summarize_lengths
from tercet.inspection.results import Inspection, ModelFindings
from tercet.inspection.table import Items
from tercet.inspection.tables import inspection_tables
from tercet.inspection.texts import Example, summarize_texts
from tests.inspection.helpers import Blobs, ConstantModel, labelled, shuffled


def _tables(inspection, max_rows=10):
    return {table.key: table for table in inspection_tables(inspection, max_rows)}


def _counts(texts, label_ids, names):
    summary = summarize_texts(texts, np.array(label_ids), names)
    return dict(_tables(Inspection(source="x", texts=summary))["texts"].rows)


def test_rows_are_counted_with_the_empty_ones_and_labels_without():
    texts = ["a", "A", "", "b", *[" "] * 5, "a"]
    assert _counts(texts, [0, 0, 1, 1, 2, 2, 2, 2, 2, 1], ["x", "y", "z"]) == {
        "rows": "10",
        "labels": "2",
        "smallest label": "2 (y)",
        "median label": "2",
        "largest label": "2 (x)",
        "labels with one sentence": "0",
        "empty texts": "6 (row 2, 4, 5, 6, 7, …)",
        "duplicates under the same label": "1 (row 1)",
        "texts under several labels": "1",
        "missing labels": "0",
        "several labels in one cell": "0",
        "labels written in several forms": "0",
    }
    odd = _counts(["a", "b", "c", "d"], [0, 1, 2, 3], ["x", "X\u200b", "x;y", "y"])
    assert odd["labels written in several forms"] == "1 ('X\\u200b', 'x')"
    assert odd["several labels in one cell"] == "1 ('x;y')"
    halves = _counts(["a", "b", "c"], [0, 0, 1], ["x", "y"])
    assert halves["median label"] == "1.5"
    nothing = _counts([""], [0], ["x"])
    assert (nothing["labels"], nothing["smallest label"], nothing["largest label"]) == ("0", "–", "–")


def test_findings_of_a_model():
    found = inspect(shuffled(), Blobs(), batch_size=8, samples_per_label=2)
    findings, tables = found.with_model, _tables(found)
    rows = dict(tables["lengths"].rows)
    fraction = len(findings.label_issues) / 36
    assert rows["label issues"] == f"{len(findings.label_issues)} of 36 ({fraction:.1%})"
    assert rows["pairs of confused labels"] == str(len(findings.confusions))
    assert rows["near-duplicates under two labels"] == str(len(findings.near_duplicates))
    assert rows["truncated sentences"] == "0 (limit 6)"
    assert tables["lengths"].warning == findings.warning
    settings = tables["settings"]
    assert settings.columns[0].kind == "setting"
    assert [row[0] for row in settings.rows] == ["distance", "margin", "samples_per_label"]
    assert [row[1:] for row in settings.rows] == [
        (value if isinstance(value := found.value, str) else f"{value:g}", found.reason)
        for found in findings.suggestions
    ]


def test_large_medians_and_small_fractions_are_not_rounded_away():
    found = inspect(shuffled(), Blobs())
    found = replace(found, texts=replace(found.texts, labels=replace(found.texts.labels, median=1_234_567.5)))
    found.with_model.confusions[0] = replace(found.with_model.confusions[0], fraction=1 / 300)
    tables = _tables(found)
    assert dict(tables["texts"].rows)["median label"] == "1,234,567.5"
    assert tables["confusions"].rows[0][2] == "<1%"


def test_lists_are_limited_and_say_how_many_rows_they_have():
    found = inspect(shuffled(), Blobs())
    findings = found.with_model
    total = len(findings.label_issues)
    few, all_rows = (_tables(found, max_rows)["issues"] for max_rows in (3, 1000))
    assert few.title == f"Label issues, the most likely first (the first 3 of {total})"
    assert all_rows.title == "Label issues, the most likely first"
    assert len(all_rows.rows) == total
    assert few.rows == all_rows.rows[:3]
    issue = findings.label_issues[0]
    assert few.rows[0] == (str(issue.row), issue.text, issue.label, issue.suggested_label, f"{issue.log_odds:.2f}")
    assert [column.name for column in few.columns if column.kind == "number"] == ["row", "log-odds"]
    pair = findings.confusions[0]
    labels, issues, fraction, examples = _tables(found)["confusions"].rows[0]
    assert (labels, examples) == (pair.labels, tuple(pair.examples))
    assert (issues, fraction) == (f"{pair.issues[0]} / {pair.issues[1]}", f"{pair.fraction:.0%}")
    assert all(isinstance(example, Example) for example in examples)


def test_texts_under_several_labels_list_their_rows_and_labels():
    table = _tables(inspect(labelled(["one", "two", "ONE"], ["x", "y", "y"])))["contradictions"]
    assert table.rows == [(Items(("0", "2")), "one", Items(("x", "y")))]


def test_of_a_constant_model_only_lengths_are_shown():
    found = inspect(shuffled(), ConstantModel())
    tables = _tables(found)
    assert list(tables) == ["texts", "contradictions", "lengths"]
    assert [name for name, _ in tables["lengths"].rows] == [
        "tokens per sentence",
        "truncated sentences",
        "unknown tokens",
    ]
    assert tables["lengths"].warning == found.with_model.warning


def test_if_no_label_could_be_checked_nothing_is_divided_by_zero():
    found = inspect(labelled(["one a", "one b"], ["x", "x"]), Blobs())
    tables = _tables(found)
    assert dict(tables["lengths"].rows)["label issues"] == "0 of 0 (0.0%)"
    assert tables["issues"].no_rows == "No label could be checked."
    assert tables["contradictions"].warning == f"These data cannot be used for training: {found.obstacle}"


def test_lengths():
    findings = ModelFindings(model="m", lengths=summarize_lengths(np.arange(1, 6), None))
    texts = summarize_texts(["a"], np.array([0]), ["x"])
    rows = dict(_tables(Inspection(source="x", texts=texts, with_model=findings))["lengths"].rows)
    assert rows["tokens per sentence"] == "mean 3.0, 50% up to 3, 95% up to 5, 99% up to 5, longest 5"
    assert rows["truncated sentences"] == "0 (limit none)"


def test_active_fractions_come_by_distance_and_kind():
    x, label_ids = torch.randn(20, 3), np.repeat(np.arange(4), 5)
    batches = summarize_batches(x, label_ids, 8, 2)
    curves = active_fractions(batches)
    assert [curve[:2] for curve in curves] == [
        ("euclidean", "all"), ("euclidean", "semi-hard"), ("cosine", "all"), ("cosine", "semi-hard"),
    ]  # fmt: skip
    assert curves[3][2] == [fraction.semi_hard for fraction in batches.active if fraction.distance == "cosine"]
