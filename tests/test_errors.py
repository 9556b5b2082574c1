"""Messages of exceptions."""

import pytest

from tercet.errors import (
    DataError,
    EmbeddingError,
    ModelError,
    counted,
    is_or_are,
    listed,
    rows_have,
    short_repr,
    shortened,
)


@pytest.mark.parametrize("kind", [DataError, EmbeddingError, ModelError])
def test_a_message_has_no_control_characters(kind):
    error = kind("the type \x1b[31mred\x1b]0;title\x07 of a\u202eb \ud800\nis unknown")
    assert str(error) == "the type �[31mred�]0;title� of a�b �\nis unknown"


def test_long_values_are_cut_in_messages():
    assert short_repr("a" * 300, 5) == "'aaaa…"
    assert len(short_repr("a" * 10**6)) < 210
    assert short_repr({"a": 1}) == "{'a': 1}"
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "abc…")
    assert len(listed(["[" * 100_000] * 9)) < 500
    assert listed(["a", "b"]) == "'a', 'b'"


def test_a_noun_and_a_verb_fit_their_number():
    assert [counted(number, "row") for number in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [counted(number, "batch", "batches") for number in (1, 2)] == ["1 batch", "2 batches"]
    assert [is_or_are(number) for number in (0, 1, 2)] == ["are", "is", "are"]
    assert (rows_have(1, 20), rows_have(2, 20), rows_have(1, 1)) == (
        "1 of 20 rows has", "2 of 20 rows have", "1 of 1 row has"
    )  # fmt: skip
