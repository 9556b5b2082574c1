"""Atomic files and folders: the old one or the new one exists, never a part of it."""

import os
from pathlib import Path

import pytest

from tercet._files import REMOVED_PREFIX, atomic_directory, atomic_file, read_json, remove_directory, write_json
from tercet.errors import DataError, ModelError


def test_a_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "table.csv"
    with atomic_file(target) as partial:
        assert partial.suffix == ".csv"  # Some writers choose the format by the suffix.
        partial.write_text("text")
        assert not target.exists()
    assert target.read_text() == "text"
    assert os.listdir(target.parent) == ["table.csv"]


def _write_and_raise(manager, error):
    with manager as path:
        (path / "part" if path.is_dir() else path).write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError(28, "No space left on device")])
def test_an_error_leaves_the_old_file_and_no_other(error, tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    expected = DataError if isinstance(error, OSError) else ValueError
    message = "cannot write .*table.csv: No space left" if isinstance(error, OSError) else "wrong"
    with pytest.raises(expected, match=message):
        _write_and_raise(atomic_file(target), error)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_file_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"), atomic_file(tmp_path / "file" / "table.csv") as partial:
        partial.write_text("text")


def test_a_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder"
    with atomic_directory(target) as staging:
        (staging / "part").write_text("1")
        assert not target.exists()
    assert (target / "part").read_text() == "1"
    assert os.listdir(target.parent) == ["folder"]


def test_a_folder_is_replaced_and_its_other_files_are_kept(tmp_path):
    target = tmp_path / "folder"
    (target / "deep").mkdir(parents=True)
    (target / "deep/kept").write_text("kept")
    (target / "part").write_text("old")
    with atomic_directory(target) as staging:
        (staging / "part").write_text("new")
        assert (target / "part").read_text() == "old"
    assert (target / "part").read_text() == "new"
    assert (target / "deep/kept").read_text() == "kept"
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError(28, "No space left on device")])
def test_an_error_leaves_the_old_folder_and_no_other(error, tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "part").write_text("old")
    expected = ModelError if isinstance(error, OSError) else ValueError
    with pytest.raises(expected, match="No space left|wrong"):
        _write_and_raise(atomic_directory(target), error)
    assert (target / "part").read_text() == "old"
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_at_the_path_of_a_folder(tmp_path):
    (tmp_path / "folder").write_text("")
    with (
        pytest.raises(ModelError, match="it is a file; pass the path of a folder"),
        atomic_directory(tmp_path / "folder"),
    ):
        pass


def test_a_folder_is_renamed_before_its_files_are_removed(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / "part").write_text("1")
    seen = []
    rmtree = "tercet._files.shutil.rmtree"
    monkeypatch.setattr(rmtree, lambda path, **options: seen.append((Path(path).name, folder.exists())))
    remove_directory(folder)
    assert seen[-1] == (f"{REMOVED_PREFIX}checkpoint-3", False)
    monkeypatch.undo()
    folder.mkdir()
    remove_directory(folder)  # The rest of the removal that was interrupted is removed as well.
    assert os.listdir(tmp_path) == []


def test_json_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "a.json", {"name": "café"})
    assert read_json(tmp_path / "a.json") == {"name": "café"}
    assert "café" in (tmp_path / "a.json").read_text(encoding="utf-8")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ModelError, match="must contain a JSON object, but it contains a list"):
        read_json(tmp_path / "a.json")
