"""What a user has at the paths of a run is kept, and what cannot work is refused before the first step."""

import json
import os
import shutil

import pytest
from datasets import Dataset

from tercet._files import atomic_directory
from tercet.comparison import compare
from tercet.comparison.files import remove_model, reserved_comparison
from tercet.errors import DataError
from tercet.runs import RunSettings, train
from tercet.runs.output import checkpoint_dir, reserved_output
from tercet.trainer import SentenceTransformerTrainer
from tercet.trainer.checkpoints import writing
from tests.cli.command import run

SETTINGS = RunSettings(max_steps=2, save_every=1, batch_size=8, samples_per_label=2, train="encoder")


@pytest.fixture
def data(sentences, labels):
    return Dataset.from_dict({"sentence": sentences, "label": labels})


def _train(data, output, bert, **options):
    return train(data, output, model=bert, settings=SETTINGS, device="cpu", classifier=False, **options)


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nowhere"])
def test_what_is_in_the_place_of_the_checkpoints_is_kept(kind, bert, data, tmp_path):
    place = tmp_path / "m.checkpoints"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / ("mine" if "folder" in kind else "nowhere"))
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"m\.checkpoints is "):
            _train(data, tmp_path / "m", bert, overwrite=overwrite)
    assert sorted(os.listdir(tmp_path)) == ["m.checkpoints", "mine"]
    assert (tmp_path / "mine/thesis.txt").read_text() == "mine"
    assert place.is_symlink() or place.read_text() == "mine"


def test_the_demo_keeps_a_folder_of_the_user(tmp_path):
    (tmp_path / "demo.checkpoints").mkdir()
    (tmp_path / "demo.checkpoints/thesis.txt").write_text("mine")
    for options in ((), ("--overwrite",)):
        done = run("demo", "--output", tmp_path / "demo", *options, expect=2)
        assert "has files that no run wrote: 'thesis.txt'; move them away" in " ".join(done.stderr.split())
    assert (tmp_path / "demo.checkpoints/thesis.txt").read_text() == "mine"


def test_data_whose_name_is_not_utf_8_are_trained_on(bert, csv_file, tmp_path):
    name = os.fsdecode(b"d\xff.csv")
    shutil.copy(csv_file, tmp_path / name)
    _train(tmp_path / name, tmp_path / "m", bert)
    settings = json.loads((tmp_path / "m/metrics.json").read_text(encoding="utf-8"))["settings"]
    assert settings["data"].endswith(name)
    assert not (tmp_path / "m.checkpoints").exists()


def _write_model_and_checkpoints(output):
    with reserved_output(output, overwrite=False, inputs={}):
        checkpoint_dir(output).mkdir()
        with atomic_directory(output) as staging:
            (staging / "modules.json").write_text("[]")


@pytest.mark.parametrize("length", [200, 228, 243])
def test_a_long_name_can_be_written(length, tmp_path):
    _write_model_and_checkpoints(tmp_path / ("x" * length))
    assert os.listdir(tmp_path / ("x" * length)) == ["modules.json"]


@pytest.mark.parametrize("length", [244, 255, 256])
def test_a_name_without_room_for_the_checkpoints_is_refused_before_the_work(length, tmp_path):
    with pytest.raises(DataError, match="is an invalid path: File name too long; choose a shorter name"):
        _write_model_and_checkpoints(tmp_path / ("x" * length))
    assert os.listdir(tmp_path) == []


def test_a_first_checkpoint_that_cannot_be_written_leaves_nothing_and_ends_the_line(
    bert, data, tmp_path, monkeypatch, capsys
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "list_files", full)
    with pytest.raises(
        DataError, match=r"cannot write the checkpoint .*No space left on device; no earlier checkpoint"
    ):
        _train(data, tmp_path / "m", bert, show_progress_bar=True)
    assert os.listdir(tmp_path) == []
    bar = capsys.readouterr().err
    assert "Train:" in bar
    assert bar.endswith("\n")


def test_an_error_in_a_step_ends_the_line_of_the_progress_bar(bert, data, tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise DataError("the step fails")

    monkeypatch.setattr(SentenceTransformerTrainer, "training_step", fail)
    with pytest.raises(DataError, match="the step fails"):
        _train(data, tmp_path / "m", bert, show_progress_bar=True)
    bar = capsys.readouterr().err
    assert "Train:" in bar
    assert bar.endswith("\n")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_model_that_no_comparison_wrote_is_not_removed(overwrite, bert, data, tmp_path):
    """The comparison was killed before its first run, and something else came to the folder since."""
    out = tmp_path / "out"
    (out / "model").mkdir(parents=True)
    (out / "model/model.safetensors").write_text("mine")
    (out / "compare.json").write_text(
        json.dumps({"settings": {}, "data": {}, "environment": {}, "runs": [], "format_version": 4})
    )
    with pytest.raises(DataError, match="has files that no comparison wrote: 'model.safetensors'; move them away"):
        compare(data, out, grid=["loss=batch-hard,batch-all"], model=bert, settings=SETTINGS, overwrite=overwrite)
    remove_model(out / "model")
    assert (out / "model/model.safetensors").read_text() == "mine"


def test_runs_that_no_comparison_wrote_are_not_removed(tmp_path):
    (tmp_path / "out/.runs/mine").mkdir(parents=True)
    (tmp_path / "out/.runs/mine/notes.txt").write_text("mine")
    (tmp_path / "out/compare.json").write_text("{}")
    with (
        pytest.raises(DataError, match="is the folder for the runs, but no comparison wrote mine in it"),
        reserved_comparison(tmp_path / "out", resume=False, overwrite=True, inputs={}),
    ):
        pass
    assert (tmp_path / "out/.runs/mine/notes.txt").read_text() == "mine"
