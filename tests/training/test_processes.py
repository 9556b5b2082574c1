"""One, two and four real gloo processes: replicas are identical, and train as one process on the same global batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.processes_run import RUNS

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(bert, tmp_path_factory) -> dict[int, list[dict]]:
    """For each number of processes, what every rank came to."""
    found = {}
    for processes in (1, 2, 4):
        output = tmp_path_factory.mktemp(f"processes{processes}")
        launcher = [sys.executable]
        if processes > 1:
            launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [*launcher, "-m", "tests.training.processes_run", str(bert), str(output), str(8 // processes)]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}"}
        done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        found[processes] = [torch.load(output / f"rank{rank}.pt") for rank in range(processes)]
    return found


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_processes_train_as_one(run, processes, results):
    """Ten steps of AdamW on the same global batches of 8: bit-identical replicas, and the weights of one process."""
    ranks = [rank[str(run)] for rank in results[processes]]
    (alone,) = (rank[str(run)] for rank in results[1])
    for rank in ranks[1:]:
        assert torch.equal(rank["weights"], ranks[0]["weights"])
    torch.testing.assert_close(ranks[0]["weights"], alone["weights"], rtol=1e-5, atol=1e-7)
    assert ranks[0]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert ranks[0]["map"] == alone["map"]
