"""One, two and four real gloo processes: replicas are identical, and train as one process on the same global batches."""

import subprocess
import sys

import pytest
import torch

from tests.child import ENVIRONMENT, ROOT
from tests.training.processes_run import RUNS

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
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
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
