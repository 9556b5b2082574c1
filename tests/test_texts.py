"""Texts: one check for files, data sets and `encode`, each with the place of the text."""

import pytest

from tercet._texts import RowNumbers, check_texts, row_places, shown_numbers, text_key, text_keys
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
    with pytest.raises(EmbeddingError, match=r"sentences, row 1: the text is missing \(None\); fill it in"):
        check_texts(["", None], "sentences", allow_empty=True, error=EmbeddingError)


def test_texts_are_the_same_but_for_capitals_and_white_space():
    assert text_keys(["A  b", " a\tB\n", "ab", "STRASSE", "straße", "\u00a0", ""]) == [
        "a b", "a b", "ab", "strasse", "strasse", "", "",
    ]  # fmt: skip


def test_texts_are_the_same_in_any_unicode_form_and_with_characters_without_width():
    assert len(set(text_keys(["Café", "Cafe\u0301", "ｃａｆé", "\ufeffcafé", "ca\u00adfé", "caf\u200bé"]))) == 1
    assert text_keys(["ﬁle ²", "\u200b", " \ufeff\u00ad", "\ud800"]) == ["file 2", "", "", "\ud800"]
    # Joiners are part of a word in some scripts, and of an emoji.
    assert len(set(text_keys(["👩\u200d🚀", "👩🚀", "می\u200cخواهم", "میخواهم"]))) == 4


def test_a_key_is_its_own_key():
    for text in ("…", "İstanbul  ǅ", "ΐ", "\u0390 ŉ", "a\x00b", "❤\ufe0f", "ᾳ\u0345", "ﬃ"):
        assert text_key(text_key(text)) == text_key(text)
    assert text_key("a\x00b\u200e") == "ab"
    assert text_key("❤\ufe0f") == text_key("❤")


@pytest.mark.parametrize(("limit", "expected"), [(3, "3, 4, 5"), (2, "3, 4, …")])
def test_the_first_numbers_are_shown(limit, expected):
    assert shown_numbers([3, 4, 5], limit) == expected


def test_the_first_rows_are_named_by_their_lines_or_numbers():
    assert row_places([7]) == "row 7"
    assert row_places([0, 2], [2, 3, 9]) == "lines 2, 9"
    assert row_places([0, 1, 2, 3, 4], RowNumbers([5, 6, 7, 8, 9])) == "rows 5, 6, 7, 8, 9"
    assert row_places(list(range(6))) == "rows 0, 1, 2, 3, 4, …"
