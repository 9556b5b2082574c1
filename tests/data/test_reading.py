"""Files of every format are read alike; a file that cannot be read is refused with the place of the fault."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.catalogue import FILE_FORMATS, FileFormatSpec
from tercet.data.loading import load_labelled
from tercet.data.reading import read_table
from tercet.errors import DataError


def _write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_format_gives_the_same_columns(tmp_path):
    wanted = {"text": ['a "b", c', "ü\n2", "tab\there"], "label": ["x", "y", "x"]}
    rows = [dict(zip(wanted, row, strict=True)) for row in zip(*wanted.values(), strict=True)]
    csv = 'text,label\r\n"a ""b"", c",x\r\n"ü\n2",y\r\ntab\there,x\r\n'
    tsv = 'text\tlabel\n"a ""b"", c"\tx\n"ü\n2"\ty\n"tab\there"\tx\n'
    lines = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    parquet.write_table(pa.table(wanted), tmp_path / "d.parquet")
    files = [
        _write(tmp_path / "d.csv", csv),
        _write(tmp_path / "bom.CSV", b"\xef\xbb\xbf" + csv.encode()),
        _write(tmp_path / "d.tsv", tsv),
        _write(tmp_path / "d.jsonl", lines),
        _write(tmp_path / "d.ndjson", b"\xef\xbb\xbf" + lines.encode()),
        tmp_path / "d.parquet",
    ]
    for file in files:
        assert read_table(file).columns == wanted, file


def test_json_and_parquet_keep_integer_labels(tmp_path):
    assert read_table(_write(tmp_path / "d.jsonl", '{"text": "a", "label": 3}')).columns["label"] == [3]
    parquet.write_table(pa.table({"label": np.arange(3)}), tmp_path / "d.parquet")
    assert read_table(tmp_path / "d.parquet").columns["label"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "text,label\na,x\nb\n", "line 3: 1 fields, but the header has 2; add the missing fields"),
        (
            "d.csv",
            "text,label\na, and b,x\n",
            "line 2: 3 fields, but the header has 2; put fields that contain a comma",
        ),
        ("d.csv", "text,text\na,b\n", "line 1: several columns have the same name: 'text'"),
        ("d.csv", 'text,label\n"a,x\n', "line 2: unexpected end of data; a double quote was opened and not closed"),
        ("d.csv", "", "the first line is empty or missing; it must contain the names of the columns"),
        ("d.csv", "text,label\n", "has no rows"),
        ("d.csv", b"text,label\nfine,x\ncaf\xe9,y\n", "is not UTF-8: byte 0xe9 on line 3"),
        ("d.jsonl", b'{"text": "caf\xe9"}\n', "is not UTF-8: byte 0xe9 on line 1"),
        ("d.jsonl", '{"text": "a"}\n{"text": \n', "line 2: not valid JSON: Expecting value"),
        ("d.jsonl", '{"text": "a"}\n["b"]\n', "line 2: not a JSON object"),
        (
            "d.jsonl",
            '{"text": "a"}\n{"texts": "b"}\n',
            "the keys are 'texts', but in the first row they are 'text'",
        ),
        ("d.jsonl", "[" * 100_000, "line 1: not valid JSON: "),
        ("d.csv", "text,label\na,x\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("d.parquet", "no parquet", "is not a readable Parquet file"),
        ("d.xlsx", "", "has an unsupported file type; the file extension must be one of '.csv'"),
    ],
)
def test_bad_files_are_refused_with_the_place(name, content, message, tmp_path):
    with pytest.raises(DataError) as caught:
        read_table(_write(tmp_path / name, content))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_bad_byte_far_into_a_file_is_found_on_its_line(tmp_path):
    content = b"text,label\n" + b"fine,x\n" * 50_000 + b"caf\xe9,y\n"
    with pytest.raises(DataError, match="byte 0xe9 on line 50002"):
        read_table(_write(tmp_path / "d.csv", content))


def test_names_that_are_no_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file 'missing.csv'"):
        read_table("missing.csv")
    with pytest.raises(DataError, match="is a folder; name a file in it"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="no file 'nobody/nothing', and no data set of this name can be loaded from"):
        read_table("nobody/nothing")


def test_a_long_field_is_read(tmp_path):
    text = "word " * 100_000
    assert read_table(_write(tmp_path / "d.csv", f"text,label\n{text},x\n")).columns["text"] == [text]


def _read_paragraphs(path):
    """A format made up for the test: a label and a text in each paragraph, without line numbers."""
    parts = [part.split("\n", 1) for part in path.read_text().strip().split("\n\n")]
    return {"text": [text for _, text in parts], "label": [label for label, _ in parts]}, None


@pytest.fixture
def paragraph_format():
    suffixes = {".txt": "no_module:no_reader", ".paragraphs.txt": _read_paragraphs}
    for suffix, reader in suffixes.items():
        FILE_FORMATS.register(FileFormatSpec(suffix=suffix, reader=reader, summary="a label and a text per paragraph"))
    yield
    for suffix in suffixes:
        FILE_FORMATS.unregister(suffix)


@pytest.mark.usefixtures("paragraph_format")
def test_one_registration_adds_a_format(tmp_path):
    file = _write(tmp_path / "d.paragraphs.txt", "x\na text\nof two lines\n\ny\nanother\n\nx\na third\n")
    assert read_table(file).columns == {
        "text": ["a text\nof two lines", "another", "a third"],
        "label": ["x", "y", "x"],
    }
    data = load_labelled(str(file))
    assert (data.label_ids.tolist(), data.label_names) == ([0, 1, 0], ["x", "y"])
    with pytest.raises(DataError, match="one of '.csv', .*'.parquet', '.txt', '.paragraphs.txt'"):
        read_table(_write(tmp_path / "d.doc", "text"))
    with pytest.raises(DataError, match="no file 'missing.paragraphs.txt'"):
        read_table("missing.paragraphs.txt")
