"""Locks: one writer at a time, none left by a killed process."""

import multiprocessing
import os
import threading

import pytest

from tercet._files import locked
from tercet.errors import DataError

_FORK = multiprocessing.get_context("fork")


def _hold(target, ready, ending):
    with locked(target):
        ready.set()
        ending.wait(60)


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path):
    ready, ending = _FORK.Event(), _FORK.Event()
    process = _FORK.Process(target=_hold, args=(tmp_path / "m", ready, ending))
    process.start()
    assert ready.wait(60)
    with (
        pytest.raises(DataError, match=rf"another process or thread is writing to .*m \(process {process.pid}\)"),
        locked(tmp_path / "m"),
    ):
        pass
    with locked(tmp_path / "other"):
        pass
    process.kill()
    process.join()
    assert os.listdir(tmp_path) != []  # The killed process has left its lock file, which blocks nobody.
    with locked(tmp_path / "m"), locked(tmp_path / "m"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_second_thread_is_refused_and_does_not_release_the_lock(tmp_path):
    refused = []

    def second():
        try:
            with locked(tmp_path / "m"):
                pass
        except DataError as error:
            refused.append(str(error))

    with locked(tmp_path / "m"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        ready, ending = _FORK.Event(), _FORK.Event()
        process = _FORK.Process(target=_hold, args=(tmp_path / "m", ready, ending))
        process.start()
        process.join()
        assert process.exitcode == 1
    assert len(refused) == 1
    assert "another process or thread is writing to" in refused[0]


def test_the_lock_file_is_not_opened_through_a_link(tmp_path):
    with locked(tmp_path / "m"):
        (name,) = os.listdir(tmp_path)
    (tmp_path / "victim").write_text("precious")
    (tmp_path / name).symlink_to("victim")
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / "m"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"
