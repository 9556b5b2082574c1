"""Labels in any container become plain integers or strings, or are refused with the row."""

import numpy as np
import pandas as pd
import pytest
import torch

from tercet._labels import plain_labels
from tercet.errors import DataError, EmbeddingError


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([3, 1], [3, 1]),
        ((True, False), [True, False]),
        (["a", "b"], ["a", "b"]),
        (torch.tensor([3, 1]), [3, 1]),
        (torch.tensor([[3], [1]]), [3, 1]),
        ([torch.tensor(3), torch.tensor([1])], [3, 1]),
        (np.array([3, 1], dtype=np.uint8), [3, 1]),
        ([np.int32(3), np.int64(1)], [3, 1]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a", "b"], dtype=object), ["a", "b"]),
        ([np.str_("a"), "b"], ["a", "b"]),
        (pd.Series([3, 1], index=[7, 8]), [3, 1]),
        (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
        (pd.Series([3, 1], dtype="Int64"), [3, 1]),
        ((label for label in [3, 1]), [3, 1]),
        ([], []),
    ],
)
def test_containers(labels, expected):
    got = plain_labels(labels)
    assert got == expected
    assert [type(label) for label in got] == [type(label) for label in expected]


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, pd.NaT, np.float32("nan"), "", " ", "\u200b"])
def test_a_missing_label_is_refused_with_its_row(missing):
    for labels in ([missing], ["a", missing], [1, missing]):
        with pytest.raises(EmbeddingError, match=rf"labels, row {len(labels) - 1}: the label is missing"):
            plain_labels(labels)
    with pytest.raises(DataError, match="data.csv, line 9: the label is missing"):
        plain_labels(["a", missing], "data.csv", [2, 9], error=DataError)


@pytest.mark.parametrize(
    "labels", [pd.Series([1.0, None]), pd.Series([1, None], dtype="Int64"), pd.Series(["a", None])]
)
def test_a_series_with_a_missing_label_is_refused(labels):
    with pytest.raises(EmbeddingError, match="labels, row [01]: the label is"):
        plain_labels(labels)


def test_nan_in_an_array_of_strings_is_a_missing_label():
    with pytest.raises(EmbeddingError, match="labels, row 1: the label is 'nan', as NumPy writes NaN"):
        plain_labels(np.array(["a", np.nan]))
    assert plain_labels(["a", "nan"]) == ["a", "nan"]


def test_the_empty_string_may_stand_for_a_missing_label():
    assert plain_labels(["a", ""], allow_empty=True) == ["a", ""]
    with pytest.raises(EmbeddingError, match="row 1: the label is missing"):
        plain_labels(["a", None], allow_empty=True)


def test_whole_floating_point_numbers_are_integers():
    for labels in (
        [3.0, 1],
        [3, 1.0],
        np.array([3.0, 1.0], np.float32),
        torch.tensor([3.0, 1.0]),
        pd.Series([3.0, 1.0]),
    ):
        assert [(label, type(label)) for label in plain_labels(labels)] == [(3, int), (1, int)]


@pytest.mark.parametrize("labels", [[1, True], [1, "a"], ["a", True], [True, 1, 1.0], [True, "True"]])
def test_labels_of_several_types_are_refused(labels):
    with pytest.raises(EmbeddingError, match="labels, row 1: the label .* is .*, but that of the first row is"):
        plain_labels(labels)


@pytest.mark.parametrize("label", [0.5, float("inf"), b"a", ["a"], ("a", "b"), {"a": 1}, 1j, np.float32(2.5), object()])
def test_labels_that_are_no_integers_and_no_strings_are_refused(label):
    with pytest.raises(EmbeddingError, match=r"labels, row 0: the label is .* \(\w+\); labels must be all integers or"):
        plain_labels([label])


@pytest.mark.parametrize("labels", ["abc", b"abc", {"a": 1}, {"a", "b"}, 3, None, np.zeros((2, 2), dtype=int)])
def test_what_is_no_list_of_labels_is_refused(labels):
    with pytest.raises(EmbeddingError, match="labels must"):
        plain_labels(labels)


def test_integers_that_do_not_fit_are_refused():
    with pytest.raises(EmbeddingError, match="row 1: the label 9223372036854775808 does not fit in 64 bits"):
        plain_labels([0, 2**63])
