"""Paths that cannot be written are refused before the work, and nothing is left of the attempt."""

import os

import pytest

from tercet._files import check_file, check_folder, check_separate
from tercet.errors import DataError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/proc/x", "cannot write /proc/x"),
        ("/sys/x", "cannot write /sys/x"),
        ("loop", "leads through a loop of symbolic links"),
        ("~nobody99/x", "there is no home folder of the user '~nobody99'"),
        ("x" * 256, "is an invalid path: File name too long; choose a shorter name"),
        ("/".join(["y" * 250] * 17), "is an invalid path: File name too long; choose a shorter name"),
        ("a\nb", "has a line break or another control character"),
        ("m\udcff", "is not UTF-8"),
        ("afile/m", "afile is a file, not a folder"),
        ("fifo", "fifo is"),
    ],
)
@pytest.mark.parametrize("check", [check_file, check_folder])
def test_paths_that_cannot_be_written(check, path, message, here):
    (here / "loop").symlink_to("loop")
    (here / "afile").touch()
    os.mkfifo(here / "fifo")
    with pytest.raises(DataError) as caught:
        check(here / path if path[0] not in "/~" else path, overwrite=True)
    assert message in str(caught.value)
    assert sorted(os.listdir(here)) == ["afile", "fifo", "loop"]


def test_what_exists_is_refused_without_overwrite_and_unchanged_with_it(here):
    (here / "m").mkdir()
    check_folder(here / "m", overwrite=False)
    (here / "m/lost+found").mkdir()  # Each new volume has it.
    check_folder(here / "m", overwrite=False)
    (here / "m/notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"m already exists and is not empty; pass another output, or overwrite=True"):
        check_folder(here / "m", overwrite=False)
    check_folder(here / "m", overwrite=True)
    check_file(here / "m/notes.txt", overwrite=True)
    with pytest.raises(DataError, match=r"notes\.txt already exists; choose another --report or add overwrite=True"):
        check_file(here / "m/notes.txt", overwrite=False, argument="--report")
    check_file(here / "new/deep/x.csv", overwrite=False)
    check_folder(here / "new/deep/m", overwrite=False)
    assert (here / "m/notes.txt").read_text() == "mine"
    assert sorted(os.listdir(here / "m")) == ["lost+found", "notes.txt"]
    assert os.listdir(here) == ["m"]


@pytest.mark.parametrize("output", ["d.csv", "./x/../d.csv", "~/d.csv", "link.csv", "hard.csv", "loop/d.csv"])
@pytest.mark.parametrize("data", ["d.csv", "~/d.csv", "hard.csv"])
def test_an_output_that_is_an_input_is_found_in_every_form(output, data, here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    (here / "d.csv").write_text("text,label\n")
    (here / "x").mkdir()
    (here / "link.csv").symlink_to("d.csv")
    (here / "hard.csv").hardlink_to("d.csv")
    (here / "loop").symlink_to(".")
    with pytest.raises(DataError, match=r"--output .*d?\.csv is the input data; choose another path"):
        check_separate({"--output": output}, {"the input data": data})


def test_outputs_that_meet_each_other_or_a_model(here):
    (here / "model").mkdir()
    with pytest.raises(DataError, match="--report and --output are both"):
        check_separate({"--output": "x.html", "--report": "./x.html"}, {})
    with pytest.raises(DataError, match="would be inside --report, the file a"):
        check_separate({"--output": "a.html/m", "--report": "a.html"}, {})
    with pytest.raises(DataError, match="--output model is the model to train"):
        check_separate({"--output": "model"}, {"the model to train": "model"})
    with pytest.raises(DataError, match="is inside the model to train, model; choose another path"):
        check_separate({"--output": "model/new"}, {"the model to train": "model"})
    with pytest.raises(DataError, match="is an invalid path: File name too long"):
        check_separate({"--output": "m", "--report": "x" * 300}, {"the input data": "m"})
    check_separate({"--output": "m", "--report": "m/r.html"}, {"the model to train": "owner/name", "the data": None})


@pytest.mark.parametrize("check", [check_file, check_folder])
def test_an_empty_path_is_not_the_current_folder(check, here):
    with pytest.raises(DataError, match=r'the path is empty; pass .* "\." for the current folder'):
        check("", overwrite=True)
