"""Tables are written in parts, with the types that the format has, and are read back as they were."""

import datetime
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.data.reading.sources import read_table
from tercet.data.writers import write_parquet
from tercet.data.writing import find_suffix, open_writer, prepare_columns, writable_suffixes
from tercet.errors import DataError

_COLUMNS = {"id": ["007", "2", "3"], "text": ['a "b", c\td', "ü\n2", "one\rtwo"], "": ["x", "", "\r"]}


def _written(suffix, *parts):
    file = io.BytesIO()
    writer = open_writer(suffix, file)
    for part in parts:
        writer.write(part)
    writer.close()
    return file.getvalue()


@pytest.mark.parametrize("suffix", writable_suffixes())
def test_a_written_table_is_read_back_with_columns_without_a_name(suffix, tmp_path):
    parts = [
        {name: [value] for name, value in zip(_COLUMNS, row, strict=True)}
        for row in zip(*_COLUMNS.values(), strict=True)
    ]
    path = tmp_path / f"d{suffix}"
    path.write_bytes(_written(suffix, *parts))
    table = read_table(path)
    assert {name: list(map(str, values)) for name, values in table.complete_columns().items()} == _COLUMNS


def test_a_csv_file_keeps_a_column_without_a_name_that_no_reader_uses(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b",text\r\n0,a\r\n1,b\r\n")  # as pandas writes it
    table = read_table(path)
    assert list(table.columns) == ["text"]
    assert table.complete_columns() == {"": ["0", "1"], "text": ["a", "b"]}
    path.write_text(",text,,\n0,a,,\n1,b,,\n")  # the same, saved by Excel
    assert read_table(path).complete_columns() == {"": ["0", "1"], "text": ["a", "b"]}
    path.write_text(",text,,\n0,a,,x\n")
    with pytest.raises(DataError, match="line 1: several columns have values but no name; name them, or remove them"):
        read_table(path).complete_columns()
    path.write_text("text,id,id\na,1,2\n")
    with pytest.raises(DataError, match="several columns have the same name: 'id'; rename them"):
        read_table(path).complete_columns()


def test_parquet_keeps_its_types_and_text_formats_write_them(tmp_path):
    values = {
        "text": ["a", None],
        "date": [datetime.date(2026, 1, 2), None],
        "price": pa.array([0.1, float("nan")], pa.float32()),
        "flag": [True, None],
        "tags": [["x", "y"], []],
        "id": pa.array([2**60, 3], pa.int64()),
        "kind": pa.array(["k", "l"]).dictionary_encode(),
    }
    table = pa.table(values)
    parquet.write_table(table, tmp_path / "d.parquet")
    columns = read_table(tmp_path / "d.parquet").complete_columns()
    parts = [{name: column.slice(row, 1) for name, column in columns.items()} for row in range(2)]
    written = parquet.read_table(io.BytesIO(_written(".parquet", *parts)))
    assert written.schema.remove_metadata() == table.schema.remove_metadata()
    assert written.column("id").to_pylist() == [2**60, 3]
    header, first, second = _written(".csv", *parts).decode().splitlines()
    assert header == "text,date,price,flag,tags,id,kind"
    assert first == 'a,2026-01-02,0.10000000149011612,true,"[""x"", ""y""]",1152921504606846976,k'
    assert second == ",,,,[],3,l"
    rows = [json.loads(line) for line in _written(".jsonl", *parts).splitlines()]
    assert rows[0]["date"] == "2026-01-02"
    assert rows[1] == {"text": None, "date": None, "price": None, "flag": None, "tags": [], "id": 3, "kind": "l"}


def test_json_lines_keep_their_types_and_half_characters():
    row = {"n": [1], "f": [0.5], "b": [True], "o": [{"a": [None, float("inf")]}], "s": ["\ud800 日本"]}
    (line,) = _written(".jsonl", row).splitlines()
    assert json.loads(line) == {"n": 1, "f": 0.5, "b": True, "o": {"a": [None, None]}, "s": "\ud800 日本"}
    assert "日本" in _written(".jsonl", {"s": ["日本"]}).decode()
    assert _written(".csv", {"s": ["\ud800"]}) == b"s\n?\n"


def test_parquet_has_no_dictionary_of_embeddings_and_is_smaller(tmp_path):
    values = np.random.default_rng(0).standard_normal(100 * 384).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), 384)
    columns = {
        "a.b": ["x", "y"] * 50, "tags": [["x"], ["y", "z"]] * 50, "record": [{"a": "x"}] * 100, "score": values[:100],
        "": ["x"] * 100, "embedding": vectors,
    }  # fmt: skip
    table, path = pa.table(columns), tmp_path / "d.parquet"
    write_parquet(table, path)
    assert parquet.read_table(path).equals(table)
    group = parquet.ParquetFile(path).metadata.row_group(0)
    chunks = [group.column(at) for at in range(group.num_columns)]
    with_dictionary = [chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page]
    assert with_dictionary == ["a.b", "tags.list.element"]
    parquet.write_table(table, tmp_path / "default.parquet")
    assert path.stat().st_size < 0.8 * (tmp_path / "default.parquet").stat().st_size


def test_a_column_of_nulls_is_one_of_strings_in_parquet():
    table = parquet.read_table(io.BytesIO(_written(".parquet", {"label": [None]}, {"label": [None]})))
    assert table.schema.field("label").type == pa.string()


def test_what_a_format_cannot_hold_is_refused_before_the_work(tmp_path):
    with pytest.raises(DataError, match=r"d.jsonl: the column 'n' cannot be written to a .parquet file .*; write a .j"):
        prepare_columns({"n": [1, "a"]}, ".parquet", "d.jsonl")
    with pytest.raises(DataError, match=r"binary values, as in the column 'image', need a .parquet file"):
        prepare_columns({"image": pa.chunked_array([[b"x"]])}, ".csv", "d.parquet")
    with pytest.raises(DataError, match=r"binary values, as in the column 'image', need a .parquet file"):
        prepare_columns({"image": [None, b"x"]}, ".jsonl", "data")
    with pytest.raises(
        DataError, match=r"output must end in .csv or .tsv or .jsonl or .ndjson or .parquet, got 'a.xml"
    ):
        find_suffix(tmp_path.__class__("a.xml"))
    assert find_suffix(tmp_path / "A.CSV") == ".csv"
