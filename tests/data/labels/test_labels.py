"""Labels are numbered once, in sorted order; rows whose label cannot be used are named."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset

from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.numbering import label_values, labels_of, map_onto_names, number_labels
from tercet.data.labels.trainable import check_trainable
from tercet.errors import DataError


def test_strings_are_numbered_in_sorted_order():
    label_ids, names = number_labels(["b", "a", "B", "b"], "data")
    assert names == ["B", "a", "b"]
    assert label_ids.tolist() == [2, 1, 0, 2]
    assert label_ids.dtype == np.int64


def test_integers_are_numbered_in_the_order_of_their_values():
    label_ids, names = number_labels([10, -2, 9, np.int32(10)], "data")
    assert names == ["-2", "9", "10"]
    assert label_ids.tolist() == [2, 0, 1, 2]
    assert label_ids.dtype == np.int64


def test_booleans_and_long_strings_are_names():
    assert number_labels([True, False], "data")[1] == ["False", "True"]
    assert number_labels(["a", "a\0", "b" * 100_000], "data")[1] == ["a", "a\0", "b" * 100_000]


def test_labelled_sentences_keep_ids_and_names_together():
    data = LabelledSentences(["one", "two", "three"], np.array([2, 0, 2]), ["x", "y", "z"])
    assert data.labels() == ["z", "x", "z"]
    part = data.take([1, 0])
    assert (part.sentences, part.label_ids.tolist(), part.label_names) == (["two", "one"], [0, 2], ["x", "y", "z"])


@pytest.mark.parametrize("missing", [None, "", "\u200b", float("nan")])
def test_a_missing_label_is_named_by_its_row(missing):
    with pytest.raises(DataError, match="data, row 2: the label is missing"):
        number_labels(["a", "b", missing], "data")


def test_labels_of_other_types_are_refused():
    with pytest.raises(
        DataError,
        match=r"row 1: the label is 0.5 \(float\); labels must be all integers or all strings; convert it with",
    ):
        number_labels(["a", 0.5], "data")
    for mixed in ([1, "a"], ["a", 1], [True, "a"]):
        with pytest.raises(DataError, match=r"row 1: the label .* is .*, but that of the first row is .*; labels must"):
            number_labels(mixed, "data")
    with pytest.raises(DataError, match="data, row 1: the label 9223372036854775808 does not fit in 64 bits"):
        number_labels([0, 2**63], "data")
    with pytest.raises(DataError, match="data, line 5: the label contains a lone surrogate"):
        number_labels(["a", "\ud800"], "data", [2, 5])


def test_only_strings_of_a_data_set_are_numbered():
    data = Dataset.from_dict({"label": [1, 1, 0]})
    label_ids, names = labels_of(data.cast_column("label", ClassLabel(names=["zebra", "ape"])), "label", "data")
    assert (label_ids.tolist(), names) == ([1, 1, 0], ["zebra", "ape"])
    label_ids, names = labels_of(Dataset.from_dict({"label": [7, -1, 7]}), "label", "data")
    assert (label_ids.tolist(), names) == ([7, -1, 7], None)
    label_ids, names = labels_of(Dataset.from_dict({"label": ["zebra", "ape"]}), "label", "data")
    assert (label_ids.tolist(), names) == ([1, 0], ["ape", "zebra"])


@pytest.mark.parametrize("missing", [None, -1])
def test_a_class_label_may_be_missing(missing):
    data = Dataset.from_dict({"label": [0, missing]}).cast_column("label", ClassLabel(names=["a", "b"]))
    with pytest.raises(DataError, match="data, row 1: the label is missing"):
        labels_of(data, "label", "data")


def test_known_names_keep_their_ids_and_new_names_come_after_them():
    label_ids, names = map_onto_names(np.array([1, 0, 2]), ["ant", "travel", "zoo"], ["food", "travel"])
    assert names == ["food", "travel", "ant", "zoo"]
    assert label_ids.tolist() == [1, 2, 3]


def test_label_values_are_what_a_person_reads():
    data = Dataset.from_dict({"label": [1, 0]})
    assert label_values(data) == [1, 0]
    assert label_values(data.cast_column("label", ClassLabel(names=["a", "b"]))) == ["b", "a"]
    assert label_values(Dataset.from_dict({"label": ["b", "a"]})) == ["b", "a"]


def test_labels_that_form_no_triplet_are_refused():
    with pytest.raises(DataError, match=r"one label only \('spam'\)"):
        check_trainable(np.zeros(3, dtype=int), ["spam"], "data")
    with pytest.raises(DataError, match=r"no label twice \(3 labels, 3 rows\)"):
        check_trainable(np.arange(3), None, "data")
    check_trainable(np.array([0, 0, 1]), None, "data")


@pytest.mark.parametrize("names", [["nan", "NaN"], ["inf", "-inf"], ["1.5", "nan"], ["1", "2"]])
def test_labels_that_are_no_decimal_numbers_are_names(names):
    check_trainable(np.array([0, 0, 1]), names, "data")
    label_ids, found = number_labels(names, "data")
    assert [found[label_id] for label_id in label_ids] == names


def test_decimal_labels_are_refused():
    with pytest.raises(DataError, match=r"the labels are decimal numbers \('0.5', '1.5'\)"):
        check_trainable(np.array([0, 0, 1]), ["0.5", "1.5"], "data")


def test_odd_labels_of_a_data_set_are_refused_unless_they_are_numbered():
    def of(values):
        return labels_of(Dataset.from_dict({"label": values}), "label", "data")

    assert of([" a", "a", "b "])[1] == ["a", "b"]
    assert (of([1.0, 2.0])[0].tolist(), of([1.0, 2.0])[1]) == ([1, 2], None)
    with pytest.raises(DataError, match="in several forms.*; to keep them apart, number the labels or use a Cl"):
        of(["a", "A"])
    with pytest.raises(DataError, match="several labels in one cell, separated by ';'.*; keep one label per row"):
        of(["a;b", "a", "b"])
    named = Dataset.from_dict({"label": [0, 1]}).cast_column("label", ClassLabel(names=["a", "A"]))
    assert labels_of(named, "label", "data")[1] == ["a", "A"]


def test_a_label_that_is_not_published_has_no_value():
    data = Dataset.from_dict({"label": [0, -1]}).cast_column("label", ClassLabel(names=["a", "b"]))
    with pytest.raises(DataError, match="row 1: the label is missing"):
        label_values(data)
