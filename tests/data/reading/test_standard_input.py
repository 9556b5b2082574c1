"""Standard input is read like a file, and messages call it by its name."""

import io
import json
import logging
import sys

import pytest

from tercet.data.reading.sources import read_table
from tercet.errors import DataError


@pytest.fixture
def given(monkeypatch):
    """A function that sets the content of standard input."""

    def set_content(content):
        raw = content if isinstance(content, bytes) else content.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    return set_content


@pytest.mark.parametrize(
    ("row", "end"),
    [
        ({"text": "hello", "label": "x"}, "\n"),
        ({"text": "hello", "label": "x"}, ""),
        ({"body": "hello", "kind": 3, "id": None}, "\r\n"),  # No name is a usual one.
        ({"text": "hello", "label": ["x", "y"], "entities": [{"start": 0, "end": 2}], "meta": {"id": 3}}, "\n\n"),
    ],
)
def test_one_line_of_json_lines_is_a_row(row, end, given):
    for lines, mark in ((1, b""), (1, b"\xef\xbb\xbf"), (2, b"")):
        given(mark + (json.dumps(row) + end).encode() * lines if end else mark + json.dumps(row).encode())
        table = read_table("-")
        assert table.columns == {name: [value] * (lines if end else 1) for name, value in row.items()}
        assert table.source == "standard input"


def test_an_object_in_lines_is_not_json_lines(given):
    given(json.dumps({"greet": ["hello", "hi"], "bye": ["see you"]}, indent=1))
    assert read_table("-").columns == {"text": ["hello", "hi", "see you"], "label": ["greet", "greet", "bye"]}
    given('{"greet": ["hello", "hi"], "bye": ["see you"]}')
    assert read_table("-").columns["label"] == ["greet", "greet", "bye"]
    given('{"title": "greetings", "data": [{"text": "hello", "label": "x"}]}')
    assert read_table("-").columns == {"text": ["hello"], "label": ["x"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text;label\na;x\nb;y\n", "standard input: columns separated by semicolons; for another one, pass"),
        ("text,label\ncafé one,x\nb,y\n".encode("cp1252"), "standard input: read as cp1252 (Western European), bec"),
        ("greeting\nhello there\nhow are you\n", "standard input: the first line is read as the column names"),
        ("a text of several words,x\nsome more words,x\n", "standard input: the first line looks like data"),
    ],
)
def test_a_note_names_standard_input(content, message, given, caplog):
    given(content)
    with caplog.at_level(logging.INFO, "tercet"):
        read_table("-")
    assert message in caplog.text
    assert "/tmp" not in caplog.text


def test_an_error_names_standard_input(given):
    given("text,id,label,id\na,1,x,2\n")
    table = read_table("-")
    with pytest.raises(DataError, match=r"^standard input, line 1: several columns have the same name: 'id'"):
        table.columns["id"]  # It is read after the temporary file is gone.
    given("text,label\na,x\nb\n")
    with pytest.raises(DataError, match=r"^standard input, line 3: 1 field, but the header has 2"):
        read_table("-")
    given("text\n\n")
    with pytest.raises(DataError, match=r"^standard input has no rows of data"):
        read_table("-")
    given('{"text": "a"}')
    with pytest.raises(DataError, match="csv_separator is for .*; leave it out for standard input"):
        read_table("-", csv_separator=";")
