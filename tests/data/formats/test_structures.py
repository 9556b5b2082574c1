"""The structures of JSON files in which one object may be a row or hold rows."""

import json

import pytest

from tercet.data.reading.sources import read_table
from tercet.errors import DataError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"message": "success", "data": [{"id": 1, "body": "hi"}, {"id": 2, "body": "ho"}]}, {"body": ["hi", "ho"]}),
        ({"title": "x", "train": [["a", "l"]], "test": [["b", "l"]]}, {"0": ["a"], "1": ["l"]}),
        ({"text": "a", "label": ["x", "y"], "tags": ["z"]}, {"text": ["a"], "label": [["x", "y"]]}),
        ({"title": "news", "text": ["a", "b"], "label": ["x", "y"]}, "several lists and other values"),
        ({"title": "news", "examples": ["a", "b"]}, "several lists and other values"),
        ({"message": "ok", "a": [{"id": 1, "b": "c"}], "d": [{"id": 1, "b": "c"}]}, "several lists and other values"),
        ({"title": "news", "a": [["b", "l"]], "c": [["d", "l"]]}, "several lists and other values"),
    ],
)
def test_an_object_with_a_text_is_a_row_only_if_nothing_else_fits(content, expected, tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(content))
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            read_table(path)
    else:
        columns = read_table(path).columns
        assert {name: list(columns[name]) for name in expected} == expected
