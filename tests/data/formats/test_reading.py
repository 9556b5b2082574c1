"""Files of every format are read alike; a file that cannot be read is refused with the place of the fault."""

import gzip
import io
import json
import os
import socket
from array import array
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet._events import collect_warnings
from tercet._texts import validate_texts
from tercet.catalogue import FILE_FORMATS, FileFormatSpec
from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.sources import read_table
from tercet.errors import DataError


def _write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _bytes_of_npy():
    file = io.BytesIO()
    np.save(file, np.ones((40, 4), dtype=np.int32))
    return file.getvalue()


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
        ("d.csv", "text,label\na,x\nb\n", "line 3: 1 field, but the header has 2; add the missing fields"),
        (
            "d.csv",
            "text,label\na, and b,x\n",
            "line 2: 3 fields, but the header has 2; put fields that contain a comma",
        ),
        ("d.csv", 'text,label\n"a,x\n', "line 2: unexpected end of data; a double quote was opened and not closed"),
        ("d.csv", "", "the first line is empty or missing; it must contain the names of the columns"),
        ("d.csv", "text,label\n", "has no rows"),
        ("d.csv", "text,label\nfine,x\nпривет,y\n".encode("cp1251"), "is not UTF-8: byte 0xef on line 3, and several"),
        ("d.jsonl", '{"text": "добрый"}\n'.encode("cp1251"), "is not UTF-8: byte 0xe4 on line 1, and several"),
        ("d.jsonl", '{"text": "a"}\n{"text": \n', "line 2: not valid JSON: Expecting value"),
        ("d.jsonl", '{"text": "a"}\n["b"]\n', "line 2: not a JSON object"),
        ("d.jsonl", "[" * 100_000, "line 1: not valid JSON: "),
        ("d.csv", gzip.compress(b"text,label\na,x\n", mtime=0), "is a gzip file, not a text file"),
        ("d.csv", bytes(100), "is full of zero bytes, not a text file"),
        ("d.csv", _bytes_of_npy(), "is a NumPy array, not a text file"),
        ("d.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16), "is a file of old Office (such as .xls), not a"),
        ("d.csv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "is a PDF file, not a text file"),
        ("d.jsonl", b"\xff\xff\xff\xff\x10\x01\x00\x00", "is an Arrow stream, not a text file"),
        # No signature is known. Numbers of 32 bits have zero bytes where UTF-16 has those of ASCII.
        ("d.csv", bytes(range(1, 255)) + bytes(8), "is a binary file, not a text file"),
        ("d.csv", array("i", range(-99, 300)).tobytes(), "is a binary file, not a text file"),
        (
            "d.csv",
            "text;label\na, and b;x\nc;d;x\n",
            "line 2: 2 fields, but the header has 1; the columns seem to be separated by semicolons",
        ),
        ("d.tsv", "text,label\na\tb,x\nb,c,x\n", "the columns seem to be separated by commas"),
        ("d.csv", ",,\na,b,c\n", "the first line is empty or missing; it must contain the names of the columns"),
        ("d.parquet", "no parquet", "is not a readable Parquet file"),
        ("d.doc", "", "has an unsupported file type; the file extension must be one of '.csv'"),
    ],
)
def test_bad_files_are_refused_with_the_place(name, content, message, tmp_path):
    with pytest.raises(DataError) as caught:
        read_table(_write(tmp_path / name, content))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_nested_object_is_refused_with_its_fields(tmp_path):
    rows = [{"message": {"subject": "hi", "body": f"no {n}"}, "label": {"name": "a"}, "kind": "a"} for n in range(4)]
    path = _write(tmp_path / "d.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"or write one of its fields, 'subject', 'body', into a column of its own$"):
        load_labelled(path, ReadOptions(text_column="message", label_column="kind"))
    with pytest.raises(DataError, match=r"all strings; write one of its fields, 'name', into a column of its own"):
        load_labelled(path, ReadOptions(text_column="kind", label_column="label"))
    with pytest.raises(DataError, match=r"row 1: .* \(dict\), not a string; write one of its fields, 'en', into"):
        validate_texts(["hello", {"en": "hello"}], "data")


def test_no_code_is_suggested_that_reads_a_binary_file_as_text(tmp_path):
    with pytest.raises(DataError, match=r"unsupported file type; the file extension must be one of .*'\.arrow'$"):
        read_table(_write(tmp_path / "vectors.npy", _bytes_of_npy()))


def test_utf_16_of_other_letters_without_a_mark_is_read_with_its_encoding(tmp_path):
    """Too few of its bytes are zero to know it, but none of another encoding would be."""
    path = _write(tmp_path / "d.csv", ("text,label\n" + "日本語の文章です,ラベル\n" * 20).encode("utf-16-le"))
    with pytest.raises(DataError, match=r"if it is text, pass encoding, such as encoding='utf-16-le'$"):
        load_labelled(path)
    assert load_labelled(path, ReadOptions(encoding="utf-16-le")).sentences[0] == "日本語の文章です"


def test_a_bad_byte_far_into_a_file_is_found_on_its_line(tmp_path):
    content = b"text,label\n" + b"fine,x\n" * 50_000 + b"\xe9\xe9,y\n"
    with pytest.raises(DataError, match="byte 0xe9 on line 50002"):
        read_table(_write(tmp_path / "d.csv", content))


def test_names_that_are_no_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file 'missing.csv'"):
        read_table("missing.csv")
    with pytest.raises(DataError, match="is a folder with no data files; pass a file in it"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="no file 'nobody/nothing', and no data set of this name can be loaded from"):
        read_table("nobody/nothing")


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "link to a device", "loop", "home"])
def test_what_is_no_regular_file_is_refused_at_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # The path of a socket must be short.
    path = Path("x.csv")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("x.csv")
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path = "~nobody99/x.csv"
    with pytest.raises(
        DataError, match=r"is a (named pipe|device|socket)|cannot be read as a file|no such home folder"
    ):
        read_table(path)


def test_columns_that_are_not_used_never_end_the_reading(tmp_path):
    csv = _write(tmp_path / "d.csv", "v1,v2,,,\nham,hello,,,\nspam,win,x,,\n")
    assert read_table(csv).columns == {"v1": ["ham", "spam"], "v2": ["hello", "win"]}
    table = read_table(_write(tmp_path / "d.csv", "text,id,label,id\na,1,x,2\n"))
    assert table.columns["text"] == ["a"]
    with pytest.raises(DataError, match=r"line 1: several columns have the same name: 'id'; rename them"):
        table.columns["id"]
    lines = _write(tmp_path / "d.jsonl", '{"a": 1, "b": 2}\n\n{"b": 3, "c": 4, "c": 5}\n{}\n')
    table = read_table(lines)
    assert {name: table.columns[name] for name in "ab"} == {"a": [1, None, None], "b": [2, 3, None]}
    assert (len(table), list(table.lines)) == (3, [1, 3, 4])
    with pytest.raises(DataError, match="line 3: the key 'c' occurs twice"):
        table.columns["c"]
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], ["text", "id", "id"])
    with pa.OSFile(str(tmp_path / "d.arrow"), "wb") as file, pa.ipc.new_file(file, twice.schema) as writer:
        writer.write_table(twice)
    table = read_table(tmp_path / "d.arrow")
    assert table.columns["text"] == ["a"]
    with pytest.raises(DataError, match="several columns have the same name: 'id'; rename them"):
        table.complete_columns()  # One of them would be lost in a copy.


def test_an_empty_object_in_the_first_line_is_a_row(tmp_path):
    table = read_table(_write(tmp_path / "d.jsonl", '{}\n{"text": "a"}\n'))
    assert (table.columns, list(table.lines)) == ({"text": [None, "a"]}, [1, 2])


def test_parquet_reads_only_the_columns_that_are_used(tmp_path):
    text, far = pa.array(["a", None, "a"]), pa.array([2**62] * 3, pa.timestamp("us"))
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffb")])
    struct = pa.StructArray.from_arrays([text, text], names=["x", "x"])
    parquet.write_table(
        pa.table({"text": text, "far": far, "bad": bad, "struct": struct, "large": text.cast(pa.large_string()),
                  "category": text.dictionary_encode(), "list": pa.array([["a"], [], None])}),
        tmp_path / "d.parquet",
    )  # fmt: skip
    table = read_table(tmp_path / "d.parquet")
    for name in ("text", "large", "category"):
        assert table.columns[name] == ["a", None, "a"], name
    assert table.columns["list"] == [["a"], [], None]
    with pytest.raises(DataError, match=r"the column 'far' has the type timestamp\[us\]; convert it to strings"):
        table.columns["far"]
    with pytest.raises(DataError, match=r"row 1: the column 'bad' is not UTF-8"):
        table.columns["bad"]
    with pytest.raises(DataError, match="the column 'struct' has the type struct"):
        table.columns["struct"]


@pytest.mark.slow
def test_many_equal_rows_in_a_small_file_take_little_memory(tmp_path):
    parquet.write_table(pa.table({"text": pa.array(["a long text " * 100] * 200_000)}), tmp_path / "d.parquet")
    before = pa.total_allocated_bytes()
    texts = read_table(tmp_path / "d.parquet").columns["text"]
    assert len(texts) == 200_000
    assert set(texts) == {"a long text " * 100}
    # In memory they would take 240 MB.
    assert pa.total_allocated_bytes() - before < 80 << 20


@pytest.mark.slow
def test_a_header_of_many_columns_takes_linear_time(tmp_path):
    names = ",".join(f"c{column}" for column in range(100_000))
    table = read_table(_write(tmp_path / "d.csv", f"text,{names}\na{',' * 100_000}\n"))
    assert table.columns["text"] == ["a"]


def test_a_long_field_is_read(tmp_path):
    text = "word " * 100_000
    assert read_table(_write(tmp_path / "d.csv", f"text,label\n{text},x\n")).columns["text"] == [text]


def _read_paragraphs(path):
    """A format made up for the test: a label and a text in each paragraph, without line numbers."""
    parts = [part.split("\n", 1) for part in path.read_text().strip().split("\n\n")]
    return {"text": [text for _, text in parts], "label": [label for label, _ in parts]}, None


def _read_parts(path, split="train"):
    """A format made up for the test: the lines of each split after its name."""
    parts = {part.split("\n")[0]: part.split("\n")[1:] for part in path.read_text().split("\n\n")}
    return {"text": parts[split], "label": ["x", *["y"] * (len(parts[split]) - 1)]}, None


def test_a_reader_of_a_plugin_has_read_the_split_that_it_took(tmp_path):
    file = _write(tmp_path / "d.parts", "train\na\nb\n\nheld\nc\nd\ne")
    FILE_FORMATS.register(FileFormatSpec(suffix=".parts", reader=_read_parts, summary="splits"))
    try:
        with collect_warnings() as warnings:
            assert load_labelled(str(file), ReadOptions(split="held")).labels() == ["x", "y", "y"]
            assert load_labelled(str(file)).labels() == ["x", "y"]
        assert warnings == []
        assert read_table(file, "held").splits == ("held",)
    finally:
        FILE_FORMATS.unregister(".parts")


@pytest.mark.parametrize("name", ["d.json", "d.yml"])
def test_a_split_of_a_file_without_splits_is_refused(name, tmp_path):
    file = _write(tmp_path / name, '[{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]')
    assert read_table(file).splits == ()
    message = "has no splits, but `split` is 'held'; leave out `split`, or pass `split_column`, the column with the sp"
    with pytest.raises(DataError, match=message):
        load_labelled(str(file), ReadOptions(split="held"))


@pytest.fixture
def paragraph_format():
    suffixes = {".paras": "no_module:no_reader", ".paragraphs.paras": _read_paragraphs}
    for suffix, reader in suffixes.items():
        FILE_FORMATS.register(FileFormatSpec(suffix=suffix, reader=reader, summary="a label and a text per paragraph"))
    yield
    for suffix in suffixes:
        FILE_FORMATS.unregister(suffix)


@pytest.mark.usefixtures("paragraph_format")
def test_one_registration_adds_a_format(tmp_path):
    file = _write(tmp_path / "d.paragraphs.paras", "x\na text\nof two lines\n\ny\nanother\n\nx\na third\n")
    assert read_table(file).columns == {
        "text": ["a text\nof two lines", "another", "a third"],
        "label": ["x", "y", "x"],
    }
    data = load_labelled(str(file))
    assert (data.label_ids.tolist(), data.label_names) == ([0, 1, 0], ["x", "y"])
    with pytest.raises(DataError, match="one of '.csv', .*'.parquet', .*'.arrow', '.paras', '.paragraphs.paras'"):
        read_table(_write(tmp_path / "d.doc", "text"))
    with pytest.raises(DataError, match="no file 'missing.paragraphs.paras'"):
        read_table("missing.paragraphs.paras")
