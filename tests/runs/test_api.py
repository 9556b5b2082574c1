"""`train`, `evaluate` and `compare` from Python: data in memory, results as objects, errors that name arguments."""

import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict

from tercet import SentenceTransformer
from tercet._files import locked
from tercet.comparison import compare
from tercet.errors import DataError, ModelError
from tercet.inspection import inspect
from tercet.records import RunRecord
from tercet.report.facts import run_facts
from tercet.runs import RunSettings, evaluate, train
from tests.conftest import TOPICS, build_bert

SETTINGS = RunSettings(max_steps=4, batch_size=8, samples_per_label=2, learning_rate=1e-3)


@pytest.fixture
def data(sentences, labels):
    return Dataset.from_dict({"sentence": sentences, "label": labels})


def test_a_file_and_a_data_set_give_the_same_run(bert, csv_file, eval_file, data, tmp_path):
    held_out = Dataset.from_csv(str(eval_file))
    one = train(csv_file, tmp_path / "one", model=bert, settings=SETTINGS, eval_data=eval_file, device="cpu")
    two = train(data, tmp_path / "two", model=bert, settings=SETTINGS, eval_data=held_out, device="cpu")
    assert one.record.after == two.record.after != one.record.before
    assert one.record.settings["data"] == str(csv_file)
    assert two.record.settings["data"] is None
    assert len(one.eval_data) == 12
    saved = RunRecord.from_dict(json.loads((tmp_path / "one/metrics.json").read_text()))
    assert saved == one.record


def test_a_model_in_memory_is_trained_in_place_and_evaluated(bert, csv_file, data, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    run = train(data, tmp_path / "m", model=model, settings=SETTINGS, eval_fraction=0.5, keep_embeddings=True)
    assert run.model is model
    assert len(run.eval_data) == 8
    assert [part.shape for part in run.embeddings] == [(8, 32), (8, 32)]
    assert evaluate(model, csv_file) == pytest.approx(evaluate(tmp_path / "m", csv_file, device="cpu"), abs=1e-6)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (train, {"epochs": 1}, r"train() has no argument 'epochs'; pass settings=RunSettings(epochs=…)"),
        (train, {"eval_fracton": 0.5}, "train() has no argument 'eval_fracton'; did you mean 'eval_fraction'?"),
        (train, {"reading": {"limit": 4}}, "train() has no argument 'reading'"),
        (compare, {"max_steps": 1}, "compare() has no argument 'max_steps'; pass settings=RunSettings(max_steps=…)"),
        (evaluate, {"limits": 4}, "evaluate() has no argument 'limits'; did you mean 'limit'?"),
        (
            inspect,
            {"text_columns": "sentence"},
            "inspect() has no argument 'text_columns'; did you mean 'text_column'?",
        ),
    ],
)
def test_an_argument_that_a_function_has_not_is_refused(function, arguments, message, data, tmp_path):
    first = [data] if function is inspect else ["no/model", data] if function is evaluate else [data, tmp_path / "m"]
    with pytest.raises(TypeError) as caught:
        function(*first, **arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_fraction_that_is_not_used_is_reported(on_disk, bert, data, tmp_path, caplog):
    splits = {"train": data.filter(lambda _, row: row % 4 < 3, with_indices=True), "test": data.select([3, 7, 11, 15])}
    if on_disk:
        DatasetDict(splits).save_to_disk(tmp_path / "data")
    source, settings = tmp_path / "data" if on_disk else splits, replace(SETTINGS, train="encoder", max_steps=1)
    with caplog.at_level("WARNING", "tercet"):
        run = train(source, tmp_path / "m", model=bert, settings=settings, device="cpu", eval_fraction=0.4)
    assert (run.record.settings["eval_split"], run.record.settings["eval_fraction"]) == ("test", None)
    assert "the split test of the data" in str(run_facts(run.record))
    assert "eval_fraction=0.4 is not used, because the data have a split to evaluate on" in caplog.text
    (warning,) = [found for found in run.record.warnings if found["kind"] == "unused-argument"]
    assert warning["message"].endswith("to hold rows out instead, pass the rows of one split only as data")
    caplog.clear()
    train(source, tmp_path / "m2", model=bert, settings=settings, device="cpu")
    assert "eval_fraction" not in caplog.text


def test_resume_without_a_checkpoint_starts_the_run(bert, data, tmp_path, caplog):
    caplog.set_level("INFO", "tercet")
    train(data, tmp_path / "m", model=bert, settings=SETTINGS, device="cpu", resume=True)
    assert "m.checkpoints has no complete checkpoint yet, so the run starts at the first step" in caplog.text
    assert (tmp_path / "m/metrics.json").exists()


def test_triplets_in_memory(bert, sentences, tmp_path):
    rows = {"anchor": sentences[:8], "positive": sentences[1:9], "negative": sentences[8:]}
    run = train(Dataset.from_dict(rows), tmp_path / "m", model=bert, device="cpu",
                settings=RunSettings(loss="triplet", max_steps=2, batch_size=4))  # fmt: skip
    assert len(run.eval_data) == 2
    assert run.record.after.keys() >= {"cosine_accuracy"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": RunSettings(epochs=0)}, "epochs must be above 0"),
        ({"settings": {"epochs": 1}}, "settings must be a RunSettings, got a dict; pass RunSettings("),
        ({"eval_fraction": 1}, "eval_fraction must be at least 0 and below 1, got 1"),
        (
            {"eval_fraction": 0, "settings": RunSettings(eval_steps=3)},
            "eval_steps needs evaluation data, but no row is held out",
        ),
        ({"eval_data": "test.csv"}, "no file 'test.csv'; check the path"),
        (
            {"settings": RunSettings(loss="triplet")},
            "data: the triplet loss needs the columns 'anchor', 'positive', 'negative'",
        ),
        ({"overwrite": False}, "already exists and is not empty; pass another output, or overwrite=True"),
    ],
)
def test_invalid_arguments_of_train(arguments, message, data, tmp_path):
    if "overwrite" in arguments:
        (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as caught:
        train(data, tmp_path, model="bundled", **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"settings": {"epochs": 1}}, "settings must be a RunSettings, got a dict; pass RunSettings("),
        ({"minutes": 0}, "minutes must be above 0, got 0"),
        ({"settings": RunSettings(report_to="wandb")}, "a comparison does not report to trackers; leave out report_to"),
        ({"minutes": 1, "settings": SETTINGS}, "minutes and max_steps exclude each other"),
        ({"resume": True, "overwrite": True}, "resume and overwrite exclude each other"),
        ({"grid": ["margin=x"]}, "grid: margin 'x' is not a number of at least 0"),
        ({"eval_fraction": 0}, "the variants cannot be compared; pass eval_data"),
    ],
)
def test_invalid_arguments_of_compare(arguments, message, data, tmp_path):
    with pytest.raises(DataError) as caught:
        compare(data, tmp_path / "out", model="bundled", **arguments)
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_label_file_has_the_labels_of_the_data_and_not_of_the_reference(bert, csv_file, sentences, labels, tmp_path):
    data, label_file = tmp_path / "data.txt", tmp_path / "labels.txt"
    data.write_text("".join(f"{text} again\n" for text in sentences))
    label_file.write_text("".join(f"{label}\n" for label in labels))
    reference = tmp_path / "reference.csv"  # as many rows, in another order
    reference.write_text("text,label\n" + "".join(reversed(csv_file.read_text().splitlines(keepends=True)[1:])))
    found = evaluate(bert, data, reference=reference, label_file=str(label_file))
    expected = evaluate(bert, data, reference=csv_file, label_file=str(label_file))
    assert found["map@r"] == pytest.approx(expected["map@r"])


def test_reference_columns_and_label_forms(bert, csv_file, sentences, labels, tmp_path):
    other = tmp_path / "reference.jsonl"
    rows = [  # Two columns of sentences and of labels, so that none is guessed.
        {"phrase": text, "group": label.upper(), "again": text, "mark": label}
        for text, label in zip(sentences, labels, strict=True)
    ]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"reference_text_column": "phrase", "reference_label_column": "group"}
    with pytest.raises(
        DataError, match=r"which column is the text\? .*; pass reference_text_column, and reference_lab"
    ):
        evaluate(bert, csv_file, reference=other)
    with pytest.raises(
        DataError, match=r"no column 'text'; it has .*; name its columns with reference_text_column and"
    ):
        evaluate(bert, csv_file, reference=other, text_column="text")
    with pytest.raises(DataError, match="written in another way than in the reference data"):
        evaluate(bert, csv_file, reference=other, **columns)
    with pytest.raises(DataError, match="reference_text_column and reference_label_column need reference"):
        evaluate(bert, csv_file, **columns)


def test_a_file_without_a_header_is_trained_on(bert, sentences, labels, tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("".join(f"{text},{label}\n" for text, label in zip(sentences, labels, strict=True)))
    columns = {"text_column": "0", "label_column": "1", "eval_fraction": 0, "model": bert, "device": "cpu"}
    with pytest.raises(DataError, match="has no column '0' and no column '1'"):
        train(path, tmp_path / "m", settings=SETTINGS, header=True, **columns)
    found = train(path, tmp_path / "found", settings=SETTINGS, **columns)
    run = train(path, tmp_path / "m", settings=SETTINGS, header=False, **columns)
    assert found.record.data["train"] == run.record.data["train"]
    assert run.record.settings["header"] is False


def _train_on(data, folder, model, *, resume=True, eval_fraction=0.5, **changes):
    settings = {"batch_size": 4, "samples_per_label": 2, "max_steps": 3, "save_every": 1, **changes}
    return train(
        data, folder / "m", model=str(model), settings=RunSettings(**settings), resume=resume,
        eval_fraction=eval_fraction, device="cpu", show_progress_bar=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(bert, tmp_path_factory):
    """The checkpoints of a run that ended after its last step, before the model was written."""
    folder = tmp_path_factory.mktemp("interrupted")
    rows = [f"{sentence},{label}\n" for label, topic in TOPICS.items() for sentence in topic]
    (folder / "data.csv").write_text("text,label\n" + "".join(rows))
    save = SentenceTransformer.save_pretrained

    def killed(self, path, **options):
        if Path(path).name == "m":
            raise SystemExit("killed")
        return save(self, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentenceTransformer, "save_pretrained", killed)
        with pytest.raises(SystemExit):
            _train_on(folder / "data.csv", folder, bert, resume=False)
    return folder / "m.checkpoints"


@pytest.fixture
def interrupted(checkpoints, bert, csv_file, tmp_path):
    """A function that continues the run of `checkpoints`."""
    shutil.copytree(checkpoints, tmp_path / "m.checkpoints")

    def run(*, data=csv_file, model=bert, **changes):
        return _train_on(data, tmp_path, model, **changes)

    return run


def test_a_run_that_has_reached_its_last_step_is_resumed_without_a_step(interrupted):
    record = interrupted(save_every=2, keep=1, mini_batch_tokens=64).record
    assert record.settings["steps"] == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed was 0, now it is 1"),
        ({"learning_rate": 0.5}, "learning_rate was 0.0001, now it is 0.5"),
        ({"loss": "batch-all", "margin": 0.1}, "loss was batch-semi-hard, now it is batch-all"),
        ({"distance": "manhattan"}, "distance was"),
        ({"max_steps": 6}, "max_steps was 3, now it is 6; the learning-rate schedule is fitted"),
        ({"eval_fraction": 0.25}, "eval_fraction was 0.5, now it is 0.25"),
    ],
)
def test_other_settings_do_not_resume_a_run(changes, words, interrupted):
    with pytest.raises(DataError, match=words):
        interrupted(**changes)


def test_a_setting_that_a_checkpoint_lacks_had_its_default(interrupted, tmp_path):
    """A checkpoint of an earlier version lacks the settings that were added later."""
    for path in tmp_path.glob("m.checkpoints/*/run.json"):
        content = json.loads(path.read_text())
        assert content["identity"]["settings"].pop("jaccard_weights") is False
        path.write_text(json.dumps(content))
    assert interrupted().record.settings["steps"] == 3


def test_another_start_model_or_other_labels_do_not_resume_a_run(interrupted, csv_file, tmp_path):
    with pytest.raises(DataError, match="a checkpoint of another run: the start model differs; pass the same"):
        interrupted(model=build_bert(tmp_path / "other", seed=5))
    other = tmp_path / "other.csv"
    other.write_text(csv_file.read_text().replace(",sport", ",games"))
    with pytest.raises(DataError, match="the training data differ .*; the evaluation data differ"):
        interrupted(data=other)


def test_files_of_the_user_at_the_folder_of_checkpoints_are_kept(bert, data, tmp_path):
    checkpoints = tmp_path / "m.checkpoints"
    (checkpoints / "checkpoint-2").mkdir(parents=True)
    (checkpoints / "checkpoint-2/thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="it has files that no run wrote: 'checkpoint-2'; move them away"):
        train(data, tmp_path / "m", model=bert, settings=SETTINGS, device="cpu", overwrite=True)
    assert (checkpoints / "checkpoint-2/thesis.txt").read_text() == "mine"
    with pytest.raises(DataError, match="output .* is the model to train"):
        train(data, bert, model=bert, settings=SETTINGS, overwrite=True)
    assert os.listdir(tmp_path) == ["m.checkpoints"]


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "model.safetensors"])
def test_files_of_the_user_with_names_of_a_model_are_reported_before_the_training(name, data, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / name).write_text('{"mine": 1}')
    with pytest.raises(DataError, match=f"not those of a model, but have their names: '{name}'; move them away"):
        train(data, tmp_path / "m", model=tmp_path / "no model", settings=SETTINGS, overwrite=True)
    assert (tmp_path / "m" / name).read_text() == '{"mine": 1}'
    assert os.listdir(tmp_path / "m") == [name]


def test_two_trainings_into_one_output_are_refused(bert, data, tmp_path):
    with locked(tmp_path / "m"), ThreadPoolExecutor(1) as pool:
        second = pool.submit(train, data, tmp_path / "m", model=bert, settings=SETTINGS, device="cpu")
        with pytest.raises(DataError, match="another process or thread is writing to"):
            second.result()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs user namespaces to mount a folder")
def test_a_mounted_folder_gets_the_model_and_the_checkpoints(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from tercet.runs.output import checkpoint_dir, reserved_output\n"
        "from tercet._files import atomic_directory\n"
        "volume = Path(sys.argv[1]); checkpoints = checkpoint_dir(volume)\n"
        "with reserved_output(volume, overwrite=False, inputs={}), atomic_directory(volume) as new:\n"
        "    (new / 'modules.json').write_text('[]')\n"
        "print(checkpoints.parent == volume, sorted(os.listdir(volume)))\n"
    )
    for mount in ("mount -t tmpfs none volume", "mkdir other && mount --bind other volume"):
        folder = tmp_path / str(len(mount))
        (folder / "volume").mkdir(parents=True)
        command = f"{mount} && '{sys.executable}' -c \"$1\" '{folder / 'volume'}'"
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", command, "sh", script], cwd=folder, capture_output=True, text=True
        )
        if "mount" in done.stderr or "unshare" in done.stderr:
            pytest.skip(done.stderr)
        assert done.stdout == "True ['modules.json']\n", done.stderr


def test_a_run_does_not_change_the_global_random_generators(bert, data, tmp_path):
    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    def seed():
        random.seed(3)
        np.random.seed(3)
        torch.manual_seed(3)

    seed()
    expected = draws()
    seed()
    train(data, tmp_path / "m", model=bert, settings=SETTINGS, eval_fraction=0, classifier=False)
    assert draws() == expected


@pytest.mark.parametrize("function", [train, compare])
def test_data_in_the_place_of_the_output_are_named(function, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^output must be a string or a pathlib.Path, got "):
        function("my-model", data.to_pandas(), model="bundled")
    with pytest.raises(ModelError, match=r"^model must be a folder, a name on the hub or a SentenceTransformer, got "):
        evaluate(data.to_pandas(), "my-model")
