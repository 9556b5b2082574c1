"""Text of the data never becomes a tag, an entity or a template."""

import html
import json
import re

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
    assert line.isprintable()
    line.encode("utf-8")


@given(st.dictionaries(texts, st.lists(texts)))
def test_json_in_a_script_reads_back_and_cannot_end_it(value):
    written = _json(value)
    assert not set("<>&") & set(written)
    assert json.loads(written) == value


def test_a_long_sentence_leaves_its_label():
    assert text.labelled("a word " * 100, "billing").endswith("… [billing]")
    assert len(text.labelled("x" * 500, "y" * 500)) < text.LONGEST
