"""Text of the data never becomes a tag, an entity or a template."""

import html
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.report import text
from tercet.report.page import _json

NASTY = [
    "<script>alert(1)</script>", "</script><b>", "<!-- x", "]]>", "a & b &lt; c", "\"quotes\" and 'quotes'",
    "two\nlines\u2028and three\x00\x07", "%{x} ${y}", "<a href='javascript:alert(1)'>x</a>", "\ud800", "", "   ",
]  # fmt: skip
texts = st.one_of(st.sampled_from(NASTY), st.text())


@given(texts)
def test_html_and_figures_hold_text_alone(given):
    for escaped in (text.for_html(given), text.for_figure(given)):
        assert not re.search(r"[<>]|&(?!(amp|lt|gt|quot|#x27);)", escaped)
        assert html.unescape(escaped) == text.cut(given)
    assert '"' not in text.for_html(given)
    wrapped = text.wrapped_for_figure(given)
    assert set(re.findall(r"<[^>]*>?", wrapped)) <= {"<br>"}
    assert wrapped


@given(texts, st.integers(1, 30))
def test_cut_text_is_one_printable_line_of_at_most_so_many_characters(given, longest):
    line = text.cut(given, longest)
    assert len(line) <= longest
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp") for c in line)
    assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    line.encode("utf-8")


@pytest.mark.parametrize("word", ["می‌خواهم", "क्‍ष", "👩‍💻", "\u200fשלום", "naïve"])
def test_words_of_every_language_stay_as_they_are(word):
    assert text.cut(word) == word
    assert text.cut("\ufeffsoft\u00adhyphen") == "softhyphen"


def test_names_are_cut_as_short_as_tells_them_apart():
    assert text.names_for_figure(["balance", "x" * 50]) == ["balance", "x" * 23 + "…"]
    pair = ["balance_not_updated_after_bank_transfer", "balance_not_updated_after_cheque_or_cash_deposit"]
    assert text.names_for_figure(pair) == [pair[0], pair[1]]
    assert text.names_for_figure(["y" * 60 + "<a>", "y" * 60 + "<b>"]) == [
        "y" * 60 + "&lt;a&gt;",
        "y" * 60 + "&lt;b&gt;",
    ]


@given(st.dictionaries(texts, st.lists(texts)))
def test_json_in_a_script_reads_back_and_cannot_end_it(value):
    written = _json(value)
    assert "<" not in written
    assert json.loads(written) == value


def test_a_long_sentence_leaves_its_label():
    assert text.labelled("a word " * 100, "billing").endswith("… [billing]")
    assert len(text.labelled("x" * 500, "y" * 500)) < text.LONGEST
