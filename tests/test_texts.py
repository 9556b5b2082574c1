"""Texts: one check for files, data sets and `encode`, each with the place of the text."""

import pytest

from tercet._texts import check_texts
from tercet.errors import DataError, EmbeddingError


@pytest.mark.parametrize(("text", "what"), [("", "empty"), (" \t", "empty"), (None, "None"), (3, "not a string")])
def test_an_unusable_text_is_named_by_its_row(text, what):
    with pytest.raises(DataError, match=f"data, row 1: the text is .*{what}"):
        check_texts(["fine", text], "data")


def test_an_unusable_text_is_named_by_its_line_if_there_are_lines():
    with pytest.raises(DataError, match="data, line 7: the text is empty; remove the row or fill it in"):
        check_texts(["a", ""], "data", [2, 7])


def test_half_of_a_character_is_refused():
    with pytest.raises(DataError, match=r"data, row 0: the text contains a lone surrogate \(half of a character\)"):
        check_texts(["\ud800"], "data")
    assert check_texts(["\U0001f600 ü"], "data") == ["\U0001f600 ü"]


def test_empty_texts_can_be_allowed_and_the_error_chosen():
    assert check_texts(["", " ", "a"], "data", allow_empty=True) == ["", " ", "a"]
    with pytest.raises(EmbeddingError, match=r"sentences, row 1: the text is None \(NoneType\), not a string"):
        check_texts(["", None], "sentences", allow_empty=True, error=EmbeddingError)
