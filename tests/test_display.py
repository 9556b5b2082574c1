"""Text from the data on one printable line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet._display import truncate
from tests.report.helpers import NASTY


@given(st.one_of(st.sampled_from(NASTY), st.text()), st.integers(1, 30))
def test_truncated_text_is_one_printable_line_of_limited_length(given, max_length):
    line = truncate(given, max_length)
    assert len(line) <= max_length
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp") for c in line)
    assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    line.encode("utf-8")


@pytest.mark.parametrize("word", ["می‌خواهم", "क्‍ष", "👩‍💻", "\u200fשלום", "naïve"])
def test_words_of_every_language_stay_as_they_are(word):
    assert truncate(word) == word
    assert truncate("\ufeffsoft\u00adhyphen") == "softhyphen"
