"""A column without texts is an error or a warning that names the column and those with words."""

import json

import pyarrow
import pytest
from datasets import Dataset
from pyarrow import parquet

from tercet._events import WarningKind, collect_warnings
from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.loading.triplets import load_triplets
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError
from tests.cli.command import run

_ROWS = [
    {"id": 100 + row, "day": f"2026-01-{row + 10}", "title": "a goal", "body": f"the team won game {row}", "label": "x"}
    for row in range(4)
]
_COLUMNS = {name: [row[name] for row in _ROWS] for name in _ROWS[0]}
_ID = ReadOptions(text_column="id")


def _csv(folder, rows, name="d.csv"):
    path = folder / name
    path.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n")
    return str(path)


def _warnings(load, *arguments):
    with collect_warnings() as found:
        load(*arguments)
    return [warning.message for warning in found if warning.kind is WarningKind.DOUBTFUL_DATA]


@pytest.mark.parametrize("incomplete", [False, True])  # True is an inspection.
def test_a_csv_column_of_numbers_is_a_warning(incomplete, tmp_path):
    path = _csv(tmp_path, [*_ROWS, {**_ROWS[0], "id": ""}, {**_ROWS[0], "id": "-1e3"}])
    (message,) = _warnings(lambda: load_labelled(path, _ID, incomplete=incomplete))
    assert message == (
        f"{path}: every text in the column 'id' is a number, such as '100'; columns with words: 'body', 'title'; if "
        "this is the wrong column, pass another text_column"
    )
    path = _csv(tmp_path, [*_ROWS, {**_ROWS[0], "id": "A-7"}])
    assert _warnings(load_labelled, path, _ID) == []


def test_a_typed_column_of_numbers_is_an_error(tmp_path):
    parquet.write_table(pyarrow.table(_COLUMNS), tmp_path / "d.parquet")
    (tmp_path / "d.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in _ROWS))
    expected = (
        r"(row 0|line 1): the text is 100 \(int\), not a string, and no value of the column 'id' is one; columns with "
        r"words: 'body', 'title'; pass another text_column, or convert the values with str\(\)$"
    )
    for source in (str(tmp_path / "d.parquet"), str(tmp_path / "d.jsonl"), Dataset.from_dict(_COLUMNS), _COLUMNS):
        with pytest.raises(DataError, match=expected):
            load_training_data(source, None, 0, _ID, triplets=False, seed=0)
    with pytest.raises(DataError, match=r"0\.5 \(float\), not a string, .* 'text' is one; pass another text_column"):
        load_labelled({"text": [None, 0.5], "label": ["a", "b"]})
    with pytest.raises(DataError, match="'text' is one; no other column has words; pass another"):
        load_labelled({"text": [1, 2], "label": ["a", "b"], "n": [1, 2]})


def test_a_mixed_column_is_an_error_about_its_row():
    with pytest.raises(DataError, match=r"row 1: the text is 3 \(int\), not a string; convert it with str\(\)"):
        load_labelled({"text": ["7", 3], "label": ["a", "b"]})


def test_triplets_of_ids_are_a_warning(tmp_path):
    rows = [{"anchor": n, "anchor_text": f"the team won {n}", "positive": f"p {n}", "negative": f"n {n}"} for n in "12"]
    (message,) = _warnings(load_triplets, _csv(tmp_path, rows))
    assert "the column 'anchor' is a number, such as '1'; columns with words: 'anchor_text', 'positive'" in message
    assert message.endswith("if this is the wrong column, rename the columns to 'anchor', 'positive', 'negative'")


def test_commands_that_read_texts_warn(bert, tmp_path):
    path, queries = _csv(tmp_path, _ROWS), tmp_path / "queries.txt"
    queries.write_text("a goal\n")
    expected = "every text in the column 'id' is a number, such as '100'; columns with words: 'body', 'title'"
    for words in (
        ("encode", bert, path, "--output", tmp_path / "d.npy"),
        ("duplicates", bert, path, "--output", tmp_path / "d.jsonl"),
        ("search", bert, path, "--queries", queries),
        ("inspect", path),
    ):
        stderr = run(*words, "--text-column", "id").stderr
        assert stderr.count(expected) == 1, words
        assert "if this is the wrong column, pass another --text-column" in stderr


def test_another_text_column_is_not_advised_for_queries_or_a_file_with_one_column(bert, tmp_path):
    data, queries = tmp_path / "d.txt", tmp_path / "q.csv"
    data.write_text("404\n405\n")
    queries.write_text("query,topic\n404,an error\n405,another error\n")
    stderr = run("search", bert, data, "--queries", queries).stderr
    assert f"{data}: every text in the column 'text' is a number, such as '404'; if these are not the texts" in stderr
    assert "with words: 'topic'; if this is the wrong column, give that of the queries the name 'text'" in stderr
    assert "--text-column" not in stderr
