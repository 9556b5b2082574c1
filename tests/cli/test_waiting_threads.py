"""Threads of libgomp that wait for others free their processor soon, so that runs at the same time go on."""

import subprocess
import sys

import pytest

from tests.child import ENVIRONMENT

_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses libgomp on Linux only")
@pytest.mark.parametrize(
    ("of_the_user", "expected"),
    [({}, 20_000), ({"GOMP_SPINCOUNT": "7"}, 7), ({"OMP_WAIT_POLICY": "passive"}, 0)],
    ids=str,
)
def test_libgomp_gets_the_number_of_rounds_unless_the_user_has_set_it(of_the_user, expected, bert, csv_file, tmp_path):
    """The library itself prints what it has read, in a new process of the command."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in _VARIABLES}
    words = ("encode", bert, csv_file, "--output", tmp_path / "vectors.npy", "--text-column", "text")
    done = subprocess.run(
        [sys.executable, "-m", "tercet", *map(str, words)], text=True, capture_output=True, timeout=300,
        env={**environment, "OMP_DISPLAY_ENV": "verbose", **of_the_user},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"GOMP_SPINCOUNT = '{expected}'" in done.stderr
