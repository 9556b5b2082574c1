import json
import os

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import tercet.heads.choice
from tercet.data import ReadOptions
from tercet.data.loading.vectors import load_vectors
from tercet.errors import DataError, EmbeddingError, ModelError, TercetError
from tercet.evaluation import label_metrics
from tercet.heads import HeadSettings, load_head
from tercet.records import RunRecord
from tercet.runs import repeat_arguments, train_vectors


@pytest.fixture(autouse=True)
def _short_trainings(monkeypatch):
    candidates = tuple(HeadSettings(steps=40, batch_size=64, dropout=dropout) for dropout in (0.0, 0.3))
    monkeypatch.setattr(tercet.heads.choose_head, "__kwdefaults__", {
        **tercet.heads.choose_head.__kwdefaults__, "candidates": candidates,
    })  # fmt: skip


def _data(rows=300, dim=16, labels=4, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    label_ids = np.arange(rows) % labels
    angle = 2 * np.pi * label_ids / labels
    x = noise * rng.normal(size=(rows, dim))
    x[:, :2] = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.2 * rng.normal(size=(rows, 2))
    return x.astype(np.float32), [f"label {label}" for label in label_ids]


@pytest.fixture
def files(tmp_path):
    """Vectors of the same rows as .npy with a file of labels, and as .parquet; and evaluation data."""
    for name, seed, rows in (("train", 0, 300), ("test", 1, 60)):
        x, labels = _data(rows=rows, seed=seed)
        np.save(tmp_path / f"{name}.npy", x)
        (tmp_path / f"{name}.csv").write_text("label\n" + "\n".join(labels))
        columns = {"label": labels, "embedding": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 16)}
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    return tmp_path


def test_held_out_rows_are_measured_against_the_training_rows(files):
    run = train_vectors(files / "train.npy", files / "head", label_file=files / "train.csv", seed=2)
    x, labels = _data()
    held_out = run.record.data["eval"]["held_out_rows"]
    assert len(held_out) == 60
    kept = np.setdiff1d(np.arange(300), held_out)
    names = np.array(labels)
    for metrics, mapped in ((run.record.before, x), (run.record.after, run.head(x))):
        expected = label_metrics(
            mapped[held_out], names[held_out].tolist(),
            reference_embeddings=mapped[kept], reference_labels=names[kept].tolist(),
        )  # fmt: skip
        assert metrics == pytest.approx(expected)
    assert list(run.record.evaluation) == ["against_reference", "among_themselves"]
    assert run.record.after["map@r"] > run.record.before["map@r"] + 0.1
    assert run.record.gain.outcome == "already separated"  # by accuracy; only MAP@R rises
    assert run.record.gain.map_at_r.difference == pytest.approx(run.record.after["map@r"] - run.record.before["map@r"])
    content = json.loads((files / "head/metrics.json").read_text())
    assert RunRecord.from_dict(content).to_dict() == run.record.to_dict()
    assert content["settings"]["head"]["dropout"] in (0.0, 0.3)
    assert content["settings"]["reason"] == run.reason
    entry = json.loads((files / "head/head.json").read_text())
    assert entry["label_names"] == ["label 0", "label 1", "label 2", "label 3"]
    assert torch.equal(load_head(files / "head").weight, run.head.weight)


def test_arrays_and_parquet_files_give_the_same_head(files):
    first = train_vectors(
        files / "train.npy", files / "a", label_file=files / "train.csv",
        eval_data=files / "test.npy", eval_label_file=files / "test.csv",
    )  # fmt: skip
    second = train_vectors(
        files / "train.parquet", files / "b", vector_column="embedding", eval_data=files / "test.parquet"
    )
    assert torch.equal(first.head.weight, second.head.weight)
    assert first.record.after == second.record.after
    assert first.record.data["eval"]["held_out_rows"] is None


def test_a_smaller_dimension_is_measured_at_each_half(files):
    run = train_vectors(files / "train.parquet", files / "head", vector_column="embedding", dimension=3)
    assert list(run.record.by_dimension) == ["16", "8", "4", "3"]
    assert run.record.by_dimension["3"] == run.record.after
    assert run.head.out_dim == load_head(files / "head").out_dim == 3
    assert run.record.after["map@r"] > run.record.before["map@r"]


def test_byte_order_and_precision_of_an_array_do_not_matter(files):
    options = {"label_file": files / "train.csv", "seed": 2}
    expected = train_vectors(files / "train.npy", files / "little", **options)
    array = np.load(files / "train.npy")
    np.save(files / "train.npy", array.astype(array.dtype.newbyteorder(">")))
    assert np.load(files / "train.npy").dtype.byteorder == ">"
    assert torch.equal(train_vectors(files / "train.npy", files / "big", **options).head.weight, expected.head.weight)
    np.save(files / "train.npy", array.astype(np.longdouble))
    long = train_vectors(files / "train.npy", files / "long", **options).head.weight
    torch.testing.assert_close(long, expected.head.weight, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dimension", [0, 17])
def test_a_dimension_that_is_impossible_is_refused_before_the_choice_of_a_head(dimension, files, caplog):
    caplog.set_level("INFO", logger="tercet")
    with pytest.raises(TercetError, match="dimension must be"):
        train_vectors(files / "train.npy", files / "head", label_file=files / "train.csv", dimension=dimension)
    assert "choosing a head" not in caplog.text


def test_random_labels_give_the_identity(files):
    _, labels = _data()
    (files / "train.csv").write_text("label\n" + "\n".join(np.random.default_rng(0).permutation(labels)))
    run = train_vectors(files / "train.npy", files / "head", label_file=files / "train.csv")
    assert torch.equal(run.head.weight, torch.eye(16))
    assert run.reason.startswith("no head")
    assert run.record.settings["head"] is None
    assert run.record.after == pytest.approx(run.record.before)


def test_equal_vectors_are_on_one_side(files):
    x, labels = _data(rows=60)
    np.save(files / "twice.npy", np.concatenate([x, x]))
    (files / "twice.csv").write_text("label\n" + "\n".join(labels * 2))
    run = train_vectors(files / "twice.npy", files / "head", label_file=files / "twice.csv")
    held_out = set(run.record.data["eval"]["held_out_rows"])
    assert held_out
    assert all((row + 60) % 120 in held_out for row in held_out)
    assert run.record.data["eval"]["copies"] == len(held_out) // 2


def test_vectors_of_the_training_data_are_not_measured(files):
    x, _ = _data()
    mixed, _ = _data(rows=60, seed=1)
    mixed[:6] = x[:6]
    np.save(files / "mixed.npy", mixed)
    run = train_vectors(
        files / "train.npy", files / "head", label_file=files / "train.csv",
        eval_data=files / "mixed.npy", eval_label_file=files / "test.csv",
    )  # fmt: skip
    rows = run.record.evaluation["against_reference"].rows
    assert (rows.rows, rows.measured, rows.overlapping) == (60, 54, 6)


def test_without_held_out_rows_the_head_is_trained_and_not_evaluated(files):
    run = train_vectors(files / "train.parquet", files / "head", vector_column="embedding", eval_fraction=0)
    assert run.record.evaluation == {}
    assert run.record.data["train"]["rows"] == 300
    assert load_head(files / "head").in_dim == 16


def test_nothing_is_written_if_the_input_is_wrong(files):
    (files / "few.csv").write_text("label\na\nb")
    (files / "one.csv").write_text("label\n" + "\n".join(["a"] * 300))
    np.save(files / "small.npy", _data(rows=60, dim=8)[0])
    arguments = {"label_file": files / "train.csv"}
    for changes, error, message in (
        ({"label_file": None}, DataError, "pass label_file"),
        ({"label_file": files / "few.csv"}, DataError, "has 300 vectors, but .* has 2 labels"),
        ({"label_file": files / "one.csv"}, DataError, "has one label only"),
        ({"dimension": 17}, EmbeddingError, "dimension must be at most 16"),
        ({"eval_label_file": files / "test.csv"}, DataError, "eval_label_file needs eval_data"),
        ({"eval_fraction": 1.0}, DataError, "eval_fraction must be at least 0 and below 1"),
        (
            {"eval_data": files / "small.npy", "eval_label_file": files / "test.csv"},
            DataError,
            "small.npy has vectors of dimension 8, but .*train.npy has vectors of 16",
        ),
    ):
        with pytest.raises(error, match=message):
            train_vectors(files / "train.npy", files / "head", **{**arguments, **changes})
        assert not (files / "head").exists()


def test_a_folder_with_files_is_left_alone(files, bert):
    (files / "head").mkdir()
    (files / "head/head.json").write_text("{}")
    arguments = {"label_file": files / "train.csv"}
    with pytest.raises(DataError, match="overwrite=True"):
        train_vectors(files / "train.npy", files / "head", **arguments)
    with pytest.raises(DataError, match="have their names: 'head.json'"):
        train_vectors(files / "train.npy", files / "head", overwrite=True, **arguments)
    with pytest.raises(DataError, match="is the folder of a model"):
        train_vectors(files / "train.npy", bert, overwrite=True, **arguments)
    with pytest.raises((DataError, ModelError), match="is a file"):
        train_vectors(files / "train.npy", files / "test.csv", overwrite=True, **arguments)
    assert os.listdir(files / "head") == ["head.json"]


def test_vectors_with_several_labels(files):
    """Each row has the label of its direction and that of its half."""
    x, labels = _data()
    rows = [[label, "left" if row % 2 else "right"] for row, label in enumerate(labels)]
    columns = {"label": rows, "embedding": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 16)}
    parquet.write_table(pa.table(columns), files / "lists.parquet")
    run = train_vectors(files / "lists.parquet", files / "head", vector_column="embedding", dimension=8)
    assert run.record.settings["multi_label"] == ";"
    assert "accuracy" not in run.reason
    assert run.record.gain.labels == 6
    assert run.record.data["train"]["labels"] == 6
    assert run.record.after["ndcg@10"] > run.record.before["ndcg@10"]
    assert list(run.record.by_dimension) == ["16", "8"]
    entry = json.loads((files / "head/head.json").read_text())
    assert entry["label_names"][-2:] == ["left", "right"]
    (files / "joined.csv").write_text("label\n" + "\n".join("+".join(row) for row in rows))
    source = {"source": files / "train.npy", "label_file": files / "joined.csv"}
    joined = load_vectors(options=ReadOptions(multi_label="+"), **source)
    assert joined.rows.label_names == ["label 0+right", "label 1+left", "label 2+right", "label 3+left"]
    with pytest.raises(DataError, match="no row has several labels separated by '/'"):
        load_vectors(options=ReadOptions(multi_label="/"), **source)


def test_vectors_with_nested_labels(files):
    _, labels = _data()
    (files / "nested.csv").write_text("label\n" + "\n".join(f"{'ab'['0' in label]}/{label}" for label in labels))
    run = train_vectors(files / "train.npy", files / "head", label_file=files / "nested.csv", label_levels="/")
    assert 0 < run.record.after["map@r_level1"] <= 1
    assert run.record.settings["label_levels"] == "/"


def test_a_file_of_labels_is_read_as_the_options_say(files):
    """Of the evaluation data, the labels are in the Parquet file, which has no encoding."""
    x, labels = _data()
    words = [label.replace("label", "\u043c\u0435\u0442\u043a\u0430") for label in labels]
    lines = "".join(f"{word};{row}\n" for row, word in enumerate(words))
    (files / "cyrillic.csv").write_bytes(f"label;part\n{lines}".encode("cp1251"))
    parquet.write_table(pa.table({"label": words[:60], "v": list(x[:60] + 1)}), files / "other.parquet")
    parquet.write_table(pa.table({"v": list(x)}), files / "vectors.parquet")
    run = train_vectors(
        files / "vectors.parquet", files / "head", label_file=files / "cyrillic.csv", label_column="label",
        eval_data=files / "other.parquet", csv_separator=";", encoding="cp1251",
    )  # fmt: skip
    used = run.record.settings
    assert (used["encoding"], used["csv_separator"]) == ("cp1251", ";")
    assert json.loads((files / "head" / "head.json").read_text())["label_names"] == sorted(set(words))
    assert not [warning for warning in run.record.warnings if "label" in warning["message"]]


@pytest.mark.parametrize(
    "options",
    [
        {"data": "train.npy", "label_file": "train.csv", "dimension": 4, "seed": 3},
        {"data": "train.parquet", "vector_column": "embedding", "label_column": "label", "label_levels": "/"},
        {"data": "train.parquet", "vector_column": "embedding", "eval_data": "test.parquet"},
        {"data": "lists.parquet", "vector_column": "embedding", "eval_fraction": 0.3, "jaccard_weights": True},
    ],
    ids=str,
)
def test_a_training_is_repeated_from_its_record(options, files, caplog):
    if options["data"] == "lists.parquet":
        table = parquet.read_table(files / "train.parquet")
        lists = [[label, "odd" if row % 2 else "even"] for row, label in enumerate(table["label"].to_pylist())]
        parquet.write_table(table.set_column(0, "label", pa.array(lists)), files / "lists.parquet")
    if options.get("label_levels"):
        table = parquet.read_table(files / "train.parquet")
        names = [label.replace(" ", "/") for label in table["label"].to_pylist()]
        parquet.write_table(table.set_column(0, "label", pa.array(names)), files / "train.parquet")
    paths = {name: files / options[name] for name in ("data", "label_file", "eval_data") if name in options}
    one = train_vectors(output=files / "one", **{**options, **paths})
    caplog.set_level("INFO", "tercet")
    two = train_vectors(**repeat_arguments(files / "one"), output=files / "two")
    assert torch.equal(one.head.weight, two.head.weight)
    assert two.record.settings == one.record.settings
    assert two.record.evaluation == one.record.evaluation
    assert "will differ from the record" not in caplog.text
    assert "another environment" not in caplog.text


def test_a_repeated_training_says_what_differs(files, caplog):
    train_vectors(files / "train.npy", files / "one", label_file=files / "train.csv")
    arguments = repeat_arguments(files / "one")
    caplog.set_level("INFO", "tercet")
    train_vectors(**{**arguments, "dimension": 4}, output=files / "two")
    assert "dimension=4, which was not set: this run will differ from the record" in caplog.text
    x, _ = _data(seed=5)
    np.save(files / "train.npy", x)
    with pytest.raises(DataError, match="the training data are not those of the record"):
        train_vectors(**arguments, output=files / "three")
    assert not (files / "three").exists()
    train_vectors(**{**arguments, "seed": 7}, output=files / "three")
    assert "so the results will differ" in caplog.text
