"""Text from the data on one printable line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet._display import shown_beside, truncate
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


@given(
    st.integers(-100_000, 100_000),
    st.integers(-100_000, 100_000),
    st.sampled_from([".0%", ".1%", ".3f", "+.1f", ".3g"]),
)
def test_a_rounded_number_stays_on_its_side_of_a_bound(value, bound, form):
    value, bound = value / 100_000, bound / 100_000
    text = shown_beside(value, bound, form)
    shown = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    if value != bound:
        assert (shown < bound - 1e-9, shown > bound + 1e-9) == (value < bound, value > bound)
    if value == bound or (abs(value - bound) > 0.01 and form != "+.1f"):
        assert float(text.rstrip("%")) == float(f"{value:{form}}".rstrip("%"))


def test_only_as_many_decimals_are_added_as_are_needed():
    assert [shown_beside(value, 0.9, ".0%") for value in (0.94, 0.899, 0.9, 0.9004)] == [
        "94%",
        "89.9%",
        "90%",
        "90.04%",
    ]
    assert [shown_beside(value, 0, "+.3f") for value in (-0.0004, 0.0004, -1e-9, 0)] == [
        "-0.0004",
        "+0.0004",
        "+0.000",
        "+0.000",
    ]
    assert shown_beside(0.9 - 1e-12, 0.9, ".1%") == "90.0%"  # A rounding error.
