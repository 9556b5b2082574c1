"""Commands set the threads of PyTorch: as many as a container may use, and threads that wait do not block others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tercet.cli.threads import quota_of_groups
from tests.child import ENVIRONMENT

_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
# A child process prints the variable and the number of threads of PyTorch.
_PRINT_THREADS = (
    "import os; from tercet.cli.threads import set_threads; set_threads(); import torch; "
    "print(os.environ.get('OMP_NUM_THREADS'), torch.get_num_threads())"
)


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses libgomp on Linux only")
@pytest.mark.parametrize(
    ("of_the_user", "expected"),
    [({}, 20_000), ({"GOMP_SPINCOUNT": "7"}, 7), ({"OMP_WAIT_POLICY": "passive"}, 0)],
    ids=str,
)
def test_libgomp_gets_the_number_of_rounds_unless_the_user_has_set_it(of_the_user, expected, bert, csv_file, tmp_path):
    """The library itself prints what it has read, in a new process of the command."""
    words = ("encode", bert, csv_file, "--output", tmp_path / "vectors.npy", "--text-column", "text")
    done = subprocess.run(
        [sys.executable, "-m", "tercet", *map(str, words)], text=True, capture_output=True, timeout=300,
        env={**_environment(), "OMP_DISPLAY_ENV": "verbose", **of_the_user},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"GOMP_SPINCOUNT = '{expected}'" in done.stderr


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"cpu.max": "max 100000\n", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "100000 50000"}, 2),
        ("0::/of/the/host\n", {"cpu.max": "400000 100000"}, 4),
        ("7:memory:/m\n4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ("4:cpu:/a\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, None),
        ("4:cpuset:/a\n", {"cpu/a/cpu.cfs_quota_us": "1\n", "cpu/a/cpu.cfs_period_us": "1\n"}, None),
        ("0::/\n", {"cpu.max": "broken"}, None),
        ("", {"cpu.max": "200000 100000"}, None),
    ],
)
def test_the_limit_is_the_lowest_of_the_group_and_its_parents(groups, files, expected, tmp_path):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    assert quota_of_groups(groups, tmp_path) == expected


@pytest.fixture
def one_processor():
    """A control group that may use the time of one processor. Needs root, and a kernel that has such groups here."""
    mount = Path("/sys/fs/cgroup")
    parent = mount / "cpu" if (mount / "cpu").is_dir() else mount
    group = parent / f"tercet-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_quota_us").write_text("100000", encoding="ascii")
        else:
            (group / "cpu.max").write_text("100000 100000", encoding="ascii")
        yield group / "cgroup.procs"
    except OSError as error:
        pytest.skip(f"no limit can be set: {error}")
    finally:
        group.rmdir()


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the limit must be below the number of processors")
@pytest.mark.parametrize(("of_the_user", "expected"), [({}, "1 1"), ({"OMP_NUM_THREADS": "2"}, "2 ")], ids=str)
def test_a_process_with_a_limit_starts_no_more_threads_than_it_may_use(of_the_user, expected, one_processor):
    program = f"import os; open({str(one_processor)!r}, 'w').write(str(os.getpid())); {_PRINT_THREADS}"
    assert _output(program, of_the_user).startswith(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
def test_without_a_limit_pytorch_chooses():
    if quota_of_groups(Path("/proc/self/cgroup").read_text("utf-8"), Path("/sys/fs/cgroup")) is not None:
        pytest.skip("these tests run with a limit")
    assert _output(_PRINT_THREADS).startswith("None ")


def _environment() -> dict[str, str]:
    return {name: value for name, value in ENVIRONMENT.items() if name not in _VARIABLES}


def _output(program: str, more: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], text=True, capture_output=True, timeout=300,
        env={**_environment(), **(more or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
