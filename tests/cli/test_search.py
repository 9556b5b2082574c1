"""`tercet search` and `tercet duplicates` as a user meets them: what they print, write and refuse."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from pyarrow import concat_tables, parquet
from pyarrow import table as table_of

from tercet import SentenceTransformer
from tercet.encoder.modules import Router
from tests.child import ENVIRONMENT
from tests.cli.command import run
from tests.conftest import TOPICS

pytest.importorskip("vicinity", reason="vicinity is not installed: pip install 'tercet[search]'")

_ROWS = [(text, name) for name, topic in TOPICS.items() for text in topic]


@pytest.fixture
def with_copies(tmp_path):
    """The sentences of the topics, a copy with another label and one with the same, and a copy without a label."""
    path = tmp_path / "tickets.csv"
    copies = [("The team won the GAME", "sport"), ("the soup is hot", "money"), ("the train is late", "")]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label"), *((n, *row) for n, row in enumerate([*_ROWS, *copies]))])
    return path


def _table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_search_returns_the_most_similar_sentences_with_their_rows_and_labels(csv_file, bert, tmp_path):
    queries = ["a great goal", "bake the cake"]
    done = run("search", bert, csv_file, *queries, "--top", 3, "--json", "--output", tmp_path / "found.csv")
    results = json.loads(done.stdout)
    assert [result["query"] for result in results] == queries
    model = SentenceTransformer(bert, device="cpu")
    gallery = model.encode([text for text, _ in _ROWS], normalize_embeddings=True)
    flat = []
    for result, vector in zip(results, model.encode(queries, normalize_embeddings=True), strict=True):
        best = np.argsort(-(gallery @ vector))[:3]
        assert [hit["row"] for hit in result["results"]] == best.tolist()
        assert [(hit["text"], hit["label"]) for hit in result["results"]] == [_ROWS[row] for row in best]
        similarities = [hit["similarity"] for hit in result["results"]]
        np.testing.assert_allclose(similarities, (gallery @ vector)[best], atol=1e-4)
        flat += [(result["query"], rank, hit["text"]) for rank, hit in enumerate(result["results"], start=1)]
    written = _table(tmp_path / "found.csv")
    assert list(written[0]) == ["query", "rank", "similarity", "row", "text", "label"]
    assert [(line["query"], int(line["rank"]), line["text"]) for line in written] == flat
    assert f"6 results written to {tmp_path / 'found.csv'}" in done.stderr


def test_rows_of_a_part_of_the_data_keep_their_numbers_texts_and_stored_vectors(csv_file, bert, tmp_path):
    stored, part = tmp_path / "stored.parquet", tmp_path / "part.parquet"
    run("encode", bert, csv_file, "--output", stored)
    table = parquet.read_table(stored)
    odd = [row % 2 for row in range(len(table))]
    tags = [["b", "a"] if row < 8 else ["a", "b"] for row in range(len(table))]
    parquet.write_table(table.append_column("split", [[("train", "test")[one] for one in odd]]), part)
    text, label = _ROWS[9]
    for options in (("--split-column", "split", "--split", "test"), ("--sample", 12)):
        for vectors in ((), ("--vector-column", "embedding")):
            done = run("search", bert, part, text, *vectors, *options, "--top", 1, "--json")
            (hit,) = json.loads(done.stdout)[0]["results"]
            assert (hit["row"], hit["text"], hit["label"]) == (9, text, label)
            assert hit["similarity"] == pytest.approx(1, abs=1e-4)
    twice = concat_tables([table.append_column("tags", [tags]), table.append_column("tags", [tags[::-1]])])
    parquet.write_table(twice, part)
    options = ("--label-column", "tags", "--threshold", 0.9999, "--sample", 31, "--json")
    for pair in json.loads(run("duplicates", bert, part, *options).stdout)["pairs"]:
        assert (pair["other_row"], pair["label"], pair["other_label"]) == (pair["row"] + 16, "a, b", "a, b")


def test_search_prints_a_table_for_each_query_of_a_file_and_of_the_command_line(csv_file, eval_file, bert):
    done = run("search", bert, csv_file, "the soup is hot", "--queries", eval_file, "--top", 1)
    assert done.stdout.count("similarity") == 13
    assert "1.0000 │   8 │ the soup is hot │ food" in done.stdout
    assert done.stdout.index("the soup is hot") < done.stdout.index("the team lost the match")


def test_queries_come_from_standard_input_line_by_line(csv_file, bert):
    command = [sys.executable, "-m", "tercet", "search", bert, csv_file, "-", "--json", "--top", "1", "--quiet"]
    done = subprocess.run(command, input=b"the bread\n\nthe bank\n", capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert [result["query"] for result in json.loads(done.stdout)] == ["the bread", "the bank"]
    assert done.stderr == b""
    refused = subprocess.run(command, input=b"caf\xe9\n", capture_output=True, env=ENVIRONMENT)
    assert refused.returncode == 2
    assert b"standard input, line 1, is not UTF-8" in refused.stderr


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("the bread\nthe bank\n", ["the bread", "the bank"]),
        ("the soup is hot\nthe train is late\n", ["the soup is hot", "the train is late"]),
        ("bread\nbank\n\n", ["bread", "bank"]),
        ("Query\nthe bank\n", ["the bank"]),
        ("id,clean_text\n1,the bread is hot\n2,the bank is closed\n", ["the bread is hot", "the bank is closed"]),
        ("1,the bread is hot\n2,the bank is closed\n", ["the bread is hot", "the bank is closed"]),
    ],
)
def test_no_line_of_a_file_of_queries_is_lost(content, found, csv_file, bert, tmp_path):
    queries = tmp_path / "q.csv"
    queries.write_text(content)
    done = run("search", bert, csv_file, "--queries", queries, "--json")
    assert [result["query"] for result in json.loads(done.stdout)] == found
    assert "--no-header" not in done.stderr
    assert "--header" not in done.stderr


def test_a_file_without_a_clear_column_of_queries_is_refused(csv_file, bert, tmp_path):
    queries = tmp_path / "q.csv"
    queries.write_text("a b c d e,f g h i j\nk l m n o,p q r s t\n")
    refused = run("search", bert, csv_file, "--queries", queries, expect=2).stderr
    assert "which column has the queries? It has '0', '1'; give one the name 'text'" in refused
    refused = run("search", bert, csv_file, "--queries", "-", expect=2).stderr
    assert "--queries must be a file; to read standard input, pass - as the query" in refused


def test_search_takes_the_vectors_that_encode_has_written(csv_file, bert, tmp_path):
    stored = tmp_path / "stored.parquet"
    run("encode", bert, csv_file, "--output", stored)
    found = run("search", bert, stored, "a great goal", "--vector-column", "embedding", "--json")
    expected = run("search", bert, csv_file, "a great goal", "--json")
    assert [hit["text"] for hit in json.loads(found.stdout)[0]["results"]] == [
        hit["text"] for hit in json.loads(expected.stdout)[0]["results"]
    ]


def test_search_and_duplicates_take_a_folder_that_encode_has_written(with_copies, bert, tmp_path):
    texts, labels = zip(*((row["text"], row["label"]) for row in _table(with_copies)), strict=True)
    (tmp_path / "in").mkdir()
    for number, rows in enumerate((slice(0, 9), slice(9, 10), slice(10, 19))):
        columns = {"text": [*texts[rows]], "label": [*labels[rows]]}
        if number == 1:  # `encode` leaves these rows out.
            columns = {"text": [" ", *columns["text"], None], "label": ["x", *columns["label"], "y"]}
        parquet.write_table(table_of(columns), tmp_path / "in" / f"part-{number}.parquet")
    stored = tmp_path / "stored"
    run("encode", bert, tmp_path / "in", "--output", stored)
    for data in (stored, f"{stored}/*.parquet"):
        done = run("duplicates", bert, data, "--vector-column", "embedding", "--threshold", 0.999, "--json")
        expected = run("duplicates", bert, with_copies, "--threshold", 0.999, "--json")
        assert json.loads(done.stdout)["rows"] == 19
        names = ("row", "other_row", "text", "other_text", "label", "other_label", "group")
        found, pairs = ([[pair[n] for n in names] for pair in json.loads(o.stdout)["pairs"]] for o in (done, expected))
        assert found == pairs
        hits = run("search", bert, data, texts[9], "--vector-column", "embedding", "--top", 1, "--json")
        assert json.loads(hits.stdout)[0]["results"][0]["row"] == 9
    part = stored / "part-1.parquet"
    table = parquet.read_table(part)
    short = [vector[:8] for vector in table["embedding"].to_pylist()]
    parquet.write_table(table.drop_columns("embedding").append_column("embedding", [short]), part)
    refused = run("search", bert, stored, "a goal", "--vector-column", "embedding", expect=2).stderr
    assert f"{part}: the vectors have 8 dimensions, but those of {stored / 'part-0.parquet'} have 32" in refused


def test_rows_without_a_text_are_named_and_the_others_keep_their_numbers(with_copies, bert, tmp_path):
    rows = [(row["text"], row["label"]) for row in _table(with_copies)]
    gaps = tmp_path / "gaps.csv"
    with gaps.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), ("", "sport"), *rows[:9], (" \u200b", "food"), *rows[9:]])
    done = run("duplicates", bert, gaps, "--threshold", 0.999, "--json")
    assert "gaps.csv: 2 of 21 rows have no text (lines 2, 12); rows left out: 2" in done.stderr
    found = [(p["row"], p["other_row"], p["label"], p["other_label"]) for p in json.loads(done.stdout)["pairs"]]
    assert found == [(9, 19, "food", "money"), (1, 18, "sport", "sport"), (14, 20, "travel", "")]
    queries = tmp_path / "queries.csv"
    queries.write_text(f'text\n"{rows[9][0]}"\n""\n')
    done = run("search", bert, gaps, "--queries", queries, "--top", 1, "--json")
    assert [result["results"][0]["row"] for result in json.loads(done.stdout)] == [11]
    assert "queries.csv: 1 of 2 rows has no text (line 3)" in done.stderr


def test_vectors_of_another_model_are_refused(csv_file, bert, mpnet, tmp_path):
    from tests.conftest import build_bert

    stored = tmp_path / "stored.parquet"
    run("encode", build_bert(tmp_path / "other", seed=1), csv_file, "--output", stored)
    done = run("search", bert, stored, "a goal", "--vector-column", "embedding", expect=2)
    assert "the vectors are not those of this model (row 0: the cosine similarity" in done.stderr
    table = parquet.read_table(stored)
    short = [vector[:8] for vector in table["embedding"].to_pylist()]
    parquet.write_table(table.drop_columns("embedding").append_column("embedding", [short]), stored)
    done = run("search", bert, stored, "a goal", "--vector-column", "embedding", expect=2)
    assert "the vectors have 8 dimensions, but the model has 32" in done.stderr


def test_duplicates_come_with_rows_labels_and_groups_and_conflicts_come_first(with_copies, bert, tmp_path):
    output = tmp_path / "pairs.csv"
    done = run("duplicates", bert, with_copies, "--threshold", 0.999, "--output", output, "--json")
    result = json.loads(done.stdout)
    assert (result["threshold"], result["rows"]) == (0.999, 19)
    found = [(p["row"], p["other_row"], p["label"], p["other_label"]) for p in result["pairs"]]
    assert found == [(8, 17, "food", "money"), (0, 16, "sport", "sport"), (12, 18, "travel", "")]
    assert [pair["group"] for pair in result["pairs"]] == [1, 0, 2]
    names = ["similarity", "group", "row", "text", "label", "other_row", "other_text", "other_label"]
    written = _table(output)
    assert list(written[0]) == names
    assert [(int(line["row"]), int(line["other_row"])) for line in written] == [pair[:2] for pair in found]
    assert f"3 pairs written to {output}" in done.stderr
    table = run("duplicates", bert, with_copies, "--threshold", 0.999)
    assert "Pairs of near duplicates: 3 (groups: 3, rows: 6 of 19, pairs with different labels: 1)" in table.stdout
    assert "  tercet duplicates" in table.stderr


def test_data_without_labels_have_duplicates_without_labels(tmp_path, bert):
    path = tmp_path / "texts.txt.csv"
    path.write_text("text,id\nthe soup is hot,1\nThe soup is hot,2\nwe flew to the coast,3\n")
    done = run("duplicates", bert, path, "--threshold", 0.999)
    assert "Pairs of near duplicates: 1 (groups: 1, rows: 2 of 3)" in done.stdout
    assert "labels" not in done.stdout
    hits = json.loads(run("search", bert, path, "soup", "--json").stdout)[0]["results"]
    assert list(hits[0]) == ["similarity", "row", "text"]
    assert "no labels are shown: " in done.stderr


def test_several_columns_that_may_be_labels_are_named_and_one_can_be_chosen(tmp_path, bert):
    path = tmp_path / "two.csv"
    path.write_text("text,intent,topic\nthe soup is hot,a,x\nThe soup is hot,b,x\n")
    done = run("duplicates", bert, path)
    assert "no labels are shown: " in done.stderr
    assert "several have a usual name: 'intent', 'topic'; pass --label-column" in done.stderr
    chosen = run("duplicates", bert, path, "--label-column", "intent")
    assert "pairs with different labels: 1" in chosen.stdout
    assert "no labels" not in chosen.stderr


def test_control_codes_and_markup_of_the_data_do_not_reach_the_terminal(tmp_path, bert):
    path = tmp_path / "odd.jsonl"
    rows = [{"text": "the [red]soup[/red] \x1b[31mis hot", "label": "[b]a"}] * 2
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for arguments in (("search", bert, path, "the soup"), ("duplicates", bert, path)):
        done = run(*arguments)
        assert "[red]soup[/red]" in done.stdout
        assert "[b]a" in done.stdout
        assert "\x1b[31m" not in done.stdout


def test_no_duplicates_is_a_result_and_an_empty_table(csv_file, bert, tmp_path):
    output = tmp_path / "pairs.csv"
    done = run("duplicates", bert, csv_file, "--threshold", 1, "--output", output)
    assert "No two of the 16 sentences have a cosine similarity of at least 1; a lower --threshold" in done.stdout
    assert output.read_text() == "similarity,group,row,text,label,other_row,other_text,other_label\n"


def test_what_cannot_work_is_refused_in_one_sentence_before_the_model_is_loaded(csv_file, bert, tmp_path):
    existing = tmp_path / "there.csv"
    existing.write_text("mine")
    empty = tmp_path / "empty.csv"
    empty.write_text('text,label\n,a\n" ",b\n')
    for arguments, message in (
        (("search", bert, csv_file), "there is nothing to search for: tercet search MODEL DATA QUERY"),
        (("search", bert, csv_file, " x ", "--label-column", "team"), "has no column 'team'"),
        (("search", bert, csv_file, "x", "--top", 0), "'--top': expected greater than or equal to 1, got '0'"),
        (("search", bert, tmp_path / "none.csv", "x"), "no file"),
        (("search", bert, csv_file, "x", "--vector-column", "label"), "vectors are read from .npy and .parquet files"),
        (("search", bert, csv_file, "x", "--output", existing), "already exists; choose another --output or add"),
        (("search", tmp_path / "none", csv_file, "x"), "none"),
        (("duplicates", bert, csv_file, "--threshold", 1.5), "--threshold must be above 0 and at most 1, got 1.5"),
        (("duplicates", bert, csv_file, "--output", "pairs.xml"), "--output must end in .csv or"),
        (("duplicates", bert, csv_file, "--output", csv_file, "--overwrite"), "--output"),
        (("duplicates", bert, empty), "empty.csv: no row has a text in every column; check the columns"),
    ):
        done = run(*arguments, expect=2)
        assert message in " ".join(done.stderr.split()), done.stderr
        assert "loading PyTorch" not in done.stderr
        assert done.stdout == ""
    assert existing.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["data.csv", "empty.csv", "there.csv"]


def test_queries_and_rows_take_the_routes_of_a_router(csv_file, bert, tmp_path):
    query, document = (SentenceTransformer(bert, device="cpu") for _ in range(2))
    for parameter in query.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    routes = Router.for_query_document(list(query), list(document))
    SentenceTransformer(modules=[routes], device="cpu").save_pretrained(tmp_path / "model")
    found = json.loads(run("search", tmp_path / "model", csv_file, "the soup is hot", "--top", 1, "--json").stdout)
    expected = document.encode([text for text, _ in _ROWS], normalize_embeddings=True) @ query.encode(
        "the soup is hot", normalize_embeddings=True
    )
    assert found[0]["results"][0]["row"] == int(expected.argmax())
    assert found[0]["results"][0]["similarity"] == pytest.approx(float(expected.max()), abs=2e-4)
    assert expected.max() < 0.999  # One route for both would find the sentence itself.
    words = ("encode", tmp_path / "model", csv_file, "--overwrite", "--output", tmp_path / "e.npy")
    for options, model in (((), document), (("--task", "query"), query)):
        done = run(*words, *options)
        expected = model.encode([text for text, _ in _ROWS])
        np.testing.assert_allclose(np.load(tmp_path / "e.npy"), expected, atol=1e-4)
        message = "the texts take the route 'document' of 'query', 'document'; to choose one, pass --task to encode"
        assert done.stderr.count(message) == (not options)
    assert "the texts take the route 'document' of" in run("evaluate", tmp_path / "model", csv_file).stderr
    assert "no route for --task answer; its routes are" in run(*words, "--task", "answer", expect=2).stderr
    plain = run("encode", bert, csv_file, "--task", "query", "--output", tmp_path / "p.npy", expect=2)
    assert "--task query is for a model with a Router" in plain.stderr


def test_prompts_of_a_model_that_are_not_used_are_named(csv_file, bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    model.prompts = {"query": "the ", "document": ""}
    model.save_pretrained(tmp_path / "model")
    message = "has the prompts 'query' and no default prompt, so the sentences are embedded without one"
    words = ("search", tmp_path / "model", csv_file, "a goal", "--json")
    assert message in run(*words).stderr
    assert message not in run(*words, "--query-prompt-name", "query").stderr
    for words in (
        ("encode", tmp_path / "model", csv_file, "--output", tmp_path / "e.npy"),
        ("duplicates", tmp_path / "model", csv_file, "--json"),
    ):
        assert f"{message}; if the model was trained with them, pass --prompt-name" in run(*words).stderr


def test_duplicates_put_a_prompt_before_each_sentence(csv_file, bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    model.prompts = {"long": "the team won the game in the end "}
    model.save_pretrained(tmp_path / "model")
    words = ("duplicates", tmp_path / "model", csv_file, "--threshold", 0.01, "--json")
    texts = [text for text, _ in _ROWS]
    for name in (None, "long"):
        options = () if name is None else ("--prompt-name", name)
        pairs = json.loads(run(*words, *options).stdout)["pairs"]
        vectors = model.encode(texts, name, normalize_embeddings=True)
        for pair in pairs[:20]:
            expected = vectors[pair["row"]] @ vectors[pair["other_row"]]
            assert pair["similarity"] == pytest.approx(float(expected), abs=2e-4)
    assert "no prompt named 'other'; the prompts of this model: 'long'" in run(
        *words, "--prompt-name", "other", expect=2
    ).stderr  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("search", "MODEL", "DATA", "a goal"),
        ("duplicates", "MODEL", "DATA"),
        ("inspect", "DATA"),
        ("evaluate", "MODEL", "DATA"),
        ("train", "DATA", "--model", "MODEL", "--output", "OUTPUT"),
        ("encode", "MODEL", "DATA", "--output", "OUTPUT.npy"),
        ("fix", "DATA", "DATA", "--output", "OUTPUT.csv"),
    ],
)
def test_a_split_of_data_without_splits_is_refused(words, csv_file, bert, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("one.csv", "two.csv"):
        (folder / name).write_text(csv_file.read_text())
    for data in (csv_file, folder):
        places = {"MODEL": bert, "DATA": data, "OUTPUT": tmp_path / "out", "OUTPUT.npy": tmp_path / "out.npy",
                  "OUTPUT.csv": tmp_path / "out.csv"}  # fmt: skip
        done = run(*(places.get(word, word) for word in words), "--split", "validation", expect=2)
        assert f"{data} has no splits" in " ".join(done.stderr.split())
        advice = "" if words[0] == "fix" else ", or pass --split-column, the column with the split of each row"
        assert f"leave out --split{advice}" in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()
