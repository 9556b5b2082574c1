"""`tercet train` on vectors, and `tercet encode --head`."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet import SentenceTransformer
from tercet.heads import HeadSettings, load_head, save_head, train_head
from tests.cli.command import run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    labels = np.arange(260) % 4
    x = rng.normal(size=(260, 32)).astype(np.float32) / 2
    x[:, 0], x[:, 1] = np.cos(labels * np.pi / 2), np.sin(labels * np.pi / 2)
    np.save(folder / "v.npy", x)
    (folder / "labels.csv").write_text("label\n" + "".join(f"label {label}\n" for label in labels))
    table = {"text": [f"row {row}" for row in range(260)], "label": labels, "v": pa.array(x.tolist())}
    parquet.write_table(pa.table(table), folder / "v.parquet")
    save_head(train_head(x, labels, dimension=8, settings=HeadSettings(steps=20)), folder / "head")
    return folder


@pytest.mark.slow
def test_train_prints_before_and_after_and_each_dimension(files, tmp_path):
    output = tmp_path / "head"
    done = run("train", files / "v.npy", "--label-file", files / "labels.csv", "--output", output, "--dimension", 8)
    assert re.search(r"MAP@R +│ +[01]\.\d{4} │ +[01]\.\d{4} │ +-?0\.\d{4}", done.stdout)
    assert all(f"head, {size}" in " ".join(done.stdout.split()) for size in (32, 16, 8))
    assert "chosen: a head with dropout" in done.stderr
    assert "tercet encode YOUR.npy --head" in done.stderr
    assert load_head(output).weight.shape == (8, 32)
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["evaluation"]["against_reference"]["after"] == metrics["by_dimension"]["8"]


@pytest.mark.slow
def test_train_reads_a_column_of_vectors_and_prints_json(files, tmp_path):
    done = run("train", files / "v.parquet", "--vector-column", "v", "--output", tmp_path / "head", "--json",
               "--eval-fraction", 0.3, "--train", "head")  # fmt: skip
    assert json.loads(done.stdout) == json.loads((tmp_path / "head/metrics.json").read_text())


def test_encode_maps_a_file_of_vectors(files):
    folder = files
    head, x = load_head(folder / "head"), np.load(folder / "v.npy")
    run("encode", folder / "v.npy", "--head", folder / "head", "--output", folder / "mapped.npy")
    np.testing.assert_allclose(np.load(folder / "mapped.npy"), head(x), atol=1e-6)
    run("encode", folder / "v.parquet", "--vector-column", "v", "--head", folder / "head",
        "--output", folder / "mapped.parquet")  # fmt: skip
    table = parquet.read_table(folder / "mapped.parquet")
    assert table.column_names == ["text", "label", "embedding"]
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), head(x), atol=1e-6)


def test_encode_applies_a_head_after_a_model(files, bert, csv_file):
    folder = files
    run("encode", bert, csv_file, "--head", folder / "head", "--output", folder / "sentences.parquet")
    table = parquet.read_table(folder / "sentences.parquet")
    expected = load_head(folder / "head")(SentenceTransformer(bert, device="cpu").encode(table["text"].to_pylist()))
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, atol=1e-6)


def test_what_is_not_for_vectors_is_refused(files, csv_file, bert, tmp_path):
    folder = files
    vectors = ("train", folder / "v.npy", "--label-file", folder / "labels.csv", "--output", tmp_path / "out")
    for more, message in (
        (("--epochs", 3, "--model", bert), "so '--model', '--epochs' cannot be used; leave it out"),
        (("--train", "both"), "leave out --train both"),
        (("--vector-column", "v"), "--vector-column is for .parquet files"),
        (("--dimension", 64), "--dimension must be at most 32"),
        (("--eval-label-file", "x.csv"), "--eval-label-file needs --eval-data"),
        (("--eval-data", "x.npy", "--eval-fraction", 0.5), "--eval-fraction"),
        (("--encoding", "utf-16"), "labels.csv"),
    ):
        assert message in run(*vectors, *more, expect=2).stderr
    done = run("train", csv_file, "--label-file", folder / "labels.csv", "--output", tmp_path / "out", expect=2)
    assert "labels.csv has 260; there must be one label" in done.stderr
    done = run(*vectors[:2], "--output", tmp_path / "out", expect=2)
    assert "pass --label-file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_use_of_encode_is_one_clear_error(files, csv_file, bert, tmp_path):
    folder = files
    np.save(tmp_path / "small.npy", np.ones((3, 4), dtype=np.float32))
    output = ("--output", tmp_path / "out.npy")
    for arguments, message in (
        ((folder / "v.npy",), "the data are missing: tercet encode MODEL DATA"),
        ((tmp_path / "small.npy", "--head", folder / "head"), "the head takes embeddings of dimension 32, but"),
        ((folder / "v.npy", "--head", folder), "is not the folder of a head: it has no file head.json"),
        ((bert, csv_file, "--head", tmp_path / "missing"), "is not the folder of a head: it does not exist"),
        ((bert, csv_file, "--vector-column", "v"), "--vector-column is for vectors"),
        ((tmp_path / "missing.npy", "--head", folder / "head"), "no file"),
        (
            (folder / "v.npy", "--head", folder / "head", "--normalize", "--split", "x", "--limit", 3),
            "--split and --limit and --normalize would have no effect on a file of vectors; leave them out",
        ),
    ):
        assert message in run("encode", *arguments, *output, expect=2).stderr
        assert not (tmp_path / "out.npy").exists()
    same = run("encode", folder / "v.npy", "--head", folder / "head", "--output", folder / "v.npy", expect=2)
    assert "v.npy is the input data; choose another path" in same.stderr


@pytest.mark.slow
def test_a_training_is_repeated_from_its_record(files, tmp_path):
    run("train", files / "v.npy", "--label-file", files / "labels.csv", "--output", tmp_path / "one", "--seed", 1)
    done = run("train", "--repeat", tmp_path / "one", "--output", tmp_path / "two")
    assert "will differ from the record" not in done.stderr
    weights = [(tmp_path / name / "head.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_the_record_of_vectors_repeats_no_training_on_sentences(files, tmp_path):
    record = tmp_path / "metrics.json"
    record.write_text(json.dumps({"settings": {"train": "head", "seed": 0, "data": str(files / "v.npy")}}))
    words = ("train", "--output", tmp_path / "head", "--repeat", record)
    done = run(*words, "--epochs", 2, expect=2)
    assert "with vectors, only a linear head is trained, so '--epochs' cannot be used" in done.stderr
    (tmp_path / "d.csv").write_text("text,label\na,x\nb,y\n")
    done = run(*words, tmp_path / "d.csv", expect=2)
    assert "the record is that of a training on vectors, but the data are sentences" in done.stderr
