"""The losses in the trainer of sentence-transformers under two real gloo processes; ours: `tests/trainer`."""

import subprocess
import sys

import pytest
import torch

from tests.child import ENVIRONMENT, ROOT

pytestmark = pytest.mark.distributed


def test_our_loss_in_the_trainer_of_sentence_transformers_keeps_replicas_identical(bert, tmp_path):
    """Its own batch losses keep the bare model there, so that gradients are never averaged."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "-m", "tests.losses.peer_processes_run", str(bert), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
