"""Files as they are on the command line: what is printed about them, columns that are kept, and corrected labels."""

import csv
import gzip
import json

import numpy as np
import pytest
from pyarrow import parquet

from tests.cli.command import run
from tests.conftest import TOPICS

_PAIRS = [(text, label) for label, texts in TOPICS.items() for text in texts]
_SMALL = ("--batch-size", 8, "--samples-per-label", 2)


def _read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def tickets(tmp_path):
    """A file as spreadsheets write it: semicolons, cp1252, a nameless column, title and body; one label is wrong."""
    rows = [(n, text, "", "money" if n == 1 else label) for n, (text, label) in enumerate(_PAIRS)]
    rows.insert(3, (90, "", "", "sport"))
    path = tmp_path / "tickets.csv"
    lines = ["id;title;body;kind;", *(";".join(map(str, row)) + ";" for row in rows)]
    path.write_bytes("\n".join(lines).replace("the soup", "the £ soup").encode("cp1252"))
    return path


def test_a_found_format_is_printed_and_accepted_issues_are_corrected(tickets, bert, tmp_path):
    issues = tmp_path / "issues.csv"
    options = ("--text-column", "title,body", "--label-column", "kind")
    done = run("inspect", tickets, "--model", bert, "--label-issues", issues, *options, *_SMALL)
    assert f"{tickets}: read as cp1252 (Western European), because it is not UTF-8: byte 0xa3 on line 11" in done.stderr
    assert f"{tickets}: columns separated by semicolons; for another one, pass --csv-separator" in done.stderr
    assert "text from 'title,body', labels from 'kind'; not used: 'id'" in done.stderr
    assert "│ empty texts                     │ 1 (row 3)" in done.stdout
    found = _read(issues)
    assert list(found[0]) == [
        "row", "line", "text", "label", "suggested_label", "log_odds", "accept", "id", "title", "body",
    ]  # fmt: skip
    lines = tickets.read_text("cp1252").splitlines()
    for issue in found:
        assert lines[int(issue["line"]) - 1].startswith(f"{issue['id']};{issue['text']};")
        assert int(issue["line"]) == int(issue["row"]) + 2
    refused = run("fix", tickets, issues, "--output", tmp_path / "fixed.csv", *options, expect=2)
    assert "no row is accepted; write yes in the column accept of the right ones" in refused.stderr
    _accept(issues, found[:2], "yes", {1: "of my own"})
    fixed = run("fix", tickets, issues, "--output", tmp_path / "fixed.csv", *options)
    assert f"2 of 17 labels corrected; written to {tmp_path / 'fixed.csv'}" in fixed.stderr
    assert (
        f"tercet train {tmp_path / 'fixed.csv'} --text-column title,body --label-column kind --output" in fixed.stderr
    )
    before = list(csv.DictReader(lines, delimiter=";"))
    after = _read(tmp_path / "fixed.csv")
    assert list(after[0]) == ["id", "title", "body", "kind"]
    new = {int(found[0]["row"]): found[0]["suggested_label"], int(found[1]["row"]): "of my own"}
    for number, (old, row) in enumerate(zip(before, after, strict=True)):
        assert {**old, "kind": new.get(number, old["kind"])} == {**row, "": ""}
    wrong = run("fix", tmp_path / "fixed.csv", issues, "--output", tmp_path / "again.csv", *options, expect=2)
    assert "but the list has " in wrong.stderr
    assert "inspect the data again" in wrong.stderr
    _accept(issues, found[:1], "maybe", {})
    wrong = run("fix", tickets, issues, "--output", tmp_path / "again.csv", *options, expect=2)
    assert "issues.csv, line 2: accept must be yes or no (or empty), got 'maybe'" in wrong.stderr
    assert not (tmp_path / "again.csv").exists()


def _accept(path, issues, word, labels):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(issues[0]))
        writer.writeheader()
        for at, issue in enumerate(issues):
            writer.writerow({**issue, "accept": word, "suggested_label": labels.get(at, issue["suggested_label"])})


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".tsv"])
def test_labels_are_corrected_in_every_format_that_can_be_written(suffix, tmp_path):
    data = tmp_path / "d.json"
    data.write_text(json.dumps([{"text": f"text {n}", "label": n % 2, "id": n} for n in range(4)]))
    (tmp_path / "l.jsonl").write_text(
        '{"row": 2, "text": "text 2", "label": 0, "suggested_label": 1, "accept": true}\n'
        '{"row": 3, "text": "text 3", "label": 1, "suggested_label": 0, "accept": null}\n'
    )
    run("fix", data, tmp_path / "l.jsonl", "--output", tmp_path / f"fixed{suffix}")
    from tercet.data.reading.sources import read_table

    columns = read_table(tmp_path / f"fixed{suffix}").columns
    assert [int(label) for label in columns["label"]] == [0, 1, 1, 1]
    assert list(columns) == ["text", "label", "id"]


@pytest.mark.parametrize("command", ["encode", "search", "classify", "duplicates"])
def test_the_help_names_every_kind_of_data(command):
    text = " ".join(run(command, "--help").stdout.replace("│", " ").split())
    for kind in (".jsonl", "also compressed (.gz, .zst, .zip)", "a folder", "- for standard input", "data set on the"):
        assert kind in text


def test_a_folder_and_a_compressed_file_are_embedded_and_a_header_of_lines_is_refused(bert, tmp_path):
    for label, texts in TOPICS.items():
        (tmp_path / "texts" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            (tmp_path / "texts" / label / f"{number}.txt").write_text(text)
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(text for label in sorted(TOPICS) for text in TOPICS[label]))
    (tmp_path / "lines.txt.gz").write_bytes(gzip.compress(lines.read_bytes()))
    for name in ("texts", "lines.txt", "lines.txt.gz"):
        run("encode", bert, tmp_path / name, "--output", tmp_path / f"{name}.npy")
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), np.load(tmp_path / "texts.npy"), atol=1e-6)
    refused = run("encode", bert, lines, "--header", "--output", tmp_path / "no.npy", expect=2).stderr
    assert f"--header is for columns, but each line of {lines} is a text; leave out --header, or pass --csv" in refused


def test_encode_keeps_the_columns_and_reads_standard_input(tickets, bert, tmp_path):
    done = run("encode", bert, tickets, "--text-column", "title,body", "--output", tmp_path / "e.parquet")
    assert "1 of 17 rows has no text (line 5); rows left out: 1" in done.stderr
    table = parquet.read_table(tmp_path / "e.parquet")
    assert table.column_names == ["id", "title", "body", "kind", "embedding"]
    assert table.num_rows == 16
    refused = run("encode", bert, tickets, "--text-column", "title", "--output", tmp_path / "e.npy", expect=2)
    assert "1 of 17 rows has no text (line 5); an array has a vector for each row, so fill them in" in refused.stderr
    assert "write a .parquet file" in refused.stderr
    lines = "".join(json.dumps({"text": text}) + "\n" for text, _ in _PAIRS)
    run("encode", bert, "-", "--output", tmp_path / "json.npy", stdin=lines)
    run(
        "encode", bert, "-", "--output", tmp_path / "csv.npy", stdin="text;x\n" + "".join(f"{t};a\n" for t, _ in _PAIRS)
    )
    np.testing.assert_array_equal(np.load(tmp_path / "json.npy"), np.load(tmp_path / "csv.npy"))
    packed = tmp_path / "d.txt.gz"
    packed.write_bytes(gzip.compress("".join(f"{text}\n" for text, _ in _PAIRS).encode()))
    run("encode", bert, packed, "--limit", 3, "--output", tmp_path / "t.npy")
    np.testing.assert_allclose(np.load(tmp_path / "t.npy"), np.load(tmp_path / "csv.npy")[:3], atol=1e-6)
    refused = run("encode", bert, "-", "--output", tmp_path / "x.npy", stdin="text\n\n", expect=2)
    assert "standard input has no rows of data" in refused.stderr
