"""The process of a run ends with the comparison that started it, however this one ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tercet.comparison.subprocess_runner import run_in_subprocess
from tests.child import ENVIRONMENT, ROOT
from tests.waiting import wait_until


def _write_pid_and_wait(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(100)
    return {}


def main(path):
    run_in_subprocess(_write_pid_and_wait, path)


def _is_alive(pid):
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_process_of_a_run_ends_when_its_parent_is_killed(tmp_path):
    path = tmp_path / "pid"
    code = f"from tests.comparison.test_killed_parent import main\nif __name__ == '__main__': main({str(path)!r})"
    with subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT) as parent:
        wait_until(lambda: path.exists() and path.read_text() != "", parent)
        child = int(path.read_text())
        assert _is_alive(child)
        parent.kill()
    wait_until(lambda: not _is_alive(child), seconds=10)
