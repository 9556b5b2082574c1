"""Atomic files and folders: the old one or the new one exists, never a part of it."""

import errno
import json
import multiprocessing
import os
import shutil
import stat
from functools import partial

import pytest

from tercet._files import atomic_directory, atomic_file, locked, read_json, write_json
from tercet._files import staging as staging_module
from tercet._files.staging import remove_leftovers
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


def test_the_new_file_is_written_through_a_link_and_keeps_the_permissions(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/table.csv").write_text("old")
    (tmp_path / "real/table.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("real/table.csv")
    with atomic_file(tmp_path / "link.csv") as partial:
        partial.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real/table.csv").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real/table.csv").stat().st_mode) == 0o640
    assert os.listdir(tmp_path / "real") == ["table.csv"]


def test_planted_links_are_not_written_through(tmp_path):
    (tmp_path / "victim").write_text("precious")
    names = [".o.npy.partial.npy", ".o.npy.partial", "new.npy"]
    for name in names:
        (tmp_path / name).symlink_to(tmp_path / "victim")
    with atomic_file(tmp_path / "o.npy") as partial:
        assert stat.S_IMODE(partial.parent.stat().st_mode) == 0o700
        partial.write_text("new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "o.npy", "victim"])


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_regular_file_is_not_replaced(kind, tmp_path):
    target = tmp_path / "o.csv"
    os.mkfifo(target) if kind == "fifo" else target.symlink_to(os.devnull)
    with pytest.raises(DataError, match="it is not a regular file"), atomic_file(target):
        pass
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_what_appears_meanwhile_is_not_replaced_unless_asked(tmp_path):
    def write(manager, name):
        with manager as path:
            (path / "new" if path.is_dir() else path).write_text("new")
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("mine")

    with pytest.raises(DataError, match="already exists; choose another output or add overwrite=True"):
        write(atomic_file(tmp_path / "o.csv", overwrite=False), "o.csv")
    with pytest.raises(DataError, match="already exists and is not empty"):
        write(atomic_directory(tmp_path / "m", overwrite=False), "m/notes.txt")
    assert (tmp_path / "o.csv").read_text() == (tmp_path / "m/notes.txt").read_text() == "mine"
    assert os.listdir(tmp_path / "m") == ["notes.txt"]


def _write_two_files(target, text, killed_after=None):
    """Write the files `a` and `entry`; end the process like a kill at the given rename of the exchange."""
    with atomic_directory(target, owns=lambda name: name in ("stale", "a", "entry"), last=["entry"]) as new:
        for name in ("a", "entry"):
            (new / name).write_text(text)
        if killed_after is not None:
            rename, count = os.rename, iter(range(100))

            def counted(source, place):
                if next(count) == killed_after:
                    os._exit(9)
                rename(source, place)

            os.rename = counted


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", range(1, 7))
def test_an_exchange_that_was_killed_is_completed_or_undone(killed_after, tmp_path):
    target = tmp_path / "m"
    target.mkdir()
    for name in ("a", "entry", "stale"):
        (target / name).write_text("old")
    (target / "notes.txt").write_text("mine")
    run = partial(_write_two_files, target, "new", killed_after)
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    found = {name: (target / name).read_text() for name in ("a", "entry") if (target / name).exists()}
    assert process.exitcode == (9 if killed_after < 6 else 0)
    assert "entry" not in found or set(found.values()) in ({"old"}, {"new"})  # no mixture with its entry file
    with locked(target):
        remove_leftovers(target, ["entry"])
    assert {(target / name).read_text() for name in ("a", "entry")} == {"new"}
    assert sorted(os.listdir(target)) == ["a", "entry", "notes.txt"]
    assert os.listdir(tmp_path) == ["m"]


def test_a_rename_that_fails_moves_everything_back(tmp_path, monkeypatch):
    target = tmp_path / "m"
    target.mkdir()
    for name in ("a", "entry", "stale"):
        (target / name).write_text("old")
    rename = os.rename

    def busy(source, place):
        if str(source).endswith("new/entry"):
            raise OSError(16, "Device or resource busy")
        rename(source, place)

    monkeypatch.setattr(os, "rename", busy)
    with pytest.raises(ModelError, match="Device or resource busy"):
        _write_two_files(target, "new")
    assert {path.name: path.read_text() for path in target.iterdir()} == dict.fromkeys(("a", "entry", "stale"), "old")


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    def killed():
        with atomic_directory(tmp_path / "m") as new:
            (new / "part").write_text("half")
            os._exit(9)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert len(os.listdir(tmp_path)) == 2  # the hidden folder and the lock
    with atomic_directory(tmp_path / "m") as new:
        (new / "part").write_text("whole")
    assert os.listdir(tmp_path) == ["m"]


def test_leftovers_for_a_file_are_looked_for_only_after_a_kill(tmp_path, monkeypatch):
    """In a folder of many files, a look at all names for each file takes longer than to write them."""

    def killed():
        with atomic_file(tmp_path / "a.csv") as partial:
            partial.write_text("half")
            os._exit(9)

    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": [listed.append(str(path)), scandir(path)][1])

    def write(name):
        listed.clear()
        with atomic_file(tmp_path / name) as partial:
            partial.write_text("whole")
        return str(tmp_path) in listed

    assert not write("a.csv")
    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert len(os.listdir(tmp_path)) == 3
    assert not write("b.csv")
    assert len(os.listdir(tmp_path)) == 4
    with locked((tmp_path / "a.csv").resolve()) as after_kill:  # as a command does that first looks at the input
        assert after_kill
        assert write("a.csv")
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.csv"]
    assert not write("a.csv")


def test_a_hidden_folder_that_cannot_be_removed_is_removed_by_a_later_writer(tmp_path, monkeypatch):
    def write(name="a.csv"):
        with atomic_file(tmp_path / name) as partial:
            partial.write_text("whole")
        return len(os.listdir(tmp_path))

    def fail(path):
        raise OSError(errno.EBUSY, "a file is open", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        assert write() == 3  # the file, the hidden folder and the lock
        assert write() == 4
    assert write("b.csv") == 5
    assert write() == 2
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.csv"]


def test_json_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "a.json", {"name": "café"})
    assert read_json(tmp_path / "a.json") == {"name": "café"}
    write_json(tmp_path / "b.json", {"data": "d\udcff.csv"})  # the name of a file that is not UTF-8
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == {"data": "d\udcff.csv"}
    assert "café" in (tmp_path / "a.json").read_text(encoding="utf-8")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ModelError, match="must contain a JSON object, but it contains a list"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("when", ["the folder exists", "before it is removed", "it is removed"])
def test_ctrl_c_at_a_hidden_folder_leaves_nothing_after_the_next_write(when, tmp_path, monkeypatch):
    def interrupted(function):
        def run(*arguments, **options):
            monkeypatch.undo()
            if when == "the folder exists":
                function(*arguments, **options)
            raise KeyboardInterrupt

        return run

    file = tmp_path / "out" / "compare.json"
    write = partial(_write_text, file)
    write("one")
    if when == "the folder exists":
        monkeypatch.setattr(type(file), "mkdir", _only_hidden(type(file).mkdir, interrupted(type(file).mkdir)))
    elif when == "before it is removed":
        monkeypatch.setattr(staging_module, "files_in", interrupted(staging_module.files_in))
    else:
        monkeypatch.setattr(shutil, "rmtree", interrupted(shutil.rmtree))
    with pytest.raises(KeyboardInterrupt):
        write("two")
    write("three")
    assert os.listdir(tmp_path / "out") == ["compare.json"]
    assert file.read_text() == "three"


def _write_text(file, text):
    with atomic_file(file) as new:
        new.write_text(text)


def _only_hidden(function, of_hidden):
    def run(path, *arguments, **options):
        chosen = of_hidden if path.name.startswith(".tercet-") and "mode" in options else function
        return chosen(path, *arguments, **options)

    return run
