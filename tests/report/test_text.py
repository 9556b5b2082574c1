"""Text from the data never becomes a tag, an entity or a template."""

import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet._display import MAX_LENGTH, truncate
from tercet.report import text
from tercet.report.page import _json
from tests.report.helpers import NASTY

texts = st.one_of(st.sampled_from(NASTY), st.text())


@pytest.mark.slow
@given(texts)
def test_html_and_plots_contain_only_text(given):
    for escaped in (text.for_html(given), text.for_plot(given)):
        assert not re.search(r"[<>]|&(?!(amp|lt|gt|quot|#x27);)", escaped)
        assert html.unescape(escaped) == truncate(given)
    assert '"' not in text.for_html(given)
    wrapped = text.wrapped_for_plot(given)
    assert set(re.findall(r"<[^>]*>?", wrapped)) <= {"<br>"}
    assert wrapped


def test_names_are_truncated_to_a_length_at_which_they_differ():
    assert text.names_for_plot(["balance", "x" * 50]) == ["balance", "x" * 23 + "…"]
    pair = ["balance_not_updated_after_bank_transfer", "balance_not_updated_after_cheque_or_cash_deposit"]
    assert text.names_for_plot(pair) == [pair[0], pair[1]]
    assert text.names_for_plot(["y" * 60 + "<a>", "y" * 60 + "<b>"]) == [
        "y" * 60 + "&lt;a&gt;",
        "y" * 60 + "&lt;b&gt;",
    ]


@pytest.mark.slow
@given(st.dictionaries(texts, st.lists(texts)))
def test_json_in_a_script_reads_back_and_cannot_end_it(value):
    written = _json(value)
    assert "<" not in written
    assert json.loads(written) == value


def test_a_long_sentence_does_not_displace_its_label():
    assert text.with_label("a word " * 100, "billing").endswith("… [billing]")
    assert len(text.with_label("x" * 500, "y" * 500)) < MAX_LENGTH
