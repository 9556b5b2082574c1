"""Two real gloo processes: replicas stay identical, and train as one process does on the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

_ROOT = Path(__file__).parents[2]


def _run(processes: int, bert: Path, output: Path, trainer: str, loss: str, batch_size: int) -> list[dict]:
    output.mkdir()
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, "-m", "tests.losses.distributed_run"]
    command += [str(bert), str(output), trainer, loss, str(batch_size)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(output / f"rank{rank}.pt") for rank in range(processes)]


@pytest.mark.parametrize("loss", ["BatchSemiHardTripletLoss", "BatchAllTripletLoss", "BatchHardTripletLoss"])
def test_two_processes_train_as_one_on_the_same_global_batch(loss, bert, tmp_path):
    """A batch of 8 on each of two ranks is the batch of 16 of one process: mined whole, gradients averaged right."""
    both = _run(2, bert, tmp_path / "two", "ours", loss, 8)
    (alone,) = _run(1, bert, tmp_path / "one", "ours", loss, 16)
    assert torch.equal(both[0]["weights"], both[1]["weights"])
    torch.testing.assert_close(both[0]["weights"], alone["weights"], rtol=1e-4, atol=1e-5)
    assert both[0]["losses"] == pytest.approx(alone["losses"], rel=1e-4)


def test_triplets_under_two_processes(bert, tmp_path):
    both = _run(2, bert, tmp_path / "two", "ours", "TripletLoss", 8)
    assert torch.equal(both[0]["weights"], both[1]["weights"])


def test_p_by_k_batches_under_two_processes(bert, tmp_path):
    both = _run(2, bert, tmp_path / "two", "ours, P×K", "BatchHardSoftMarginTripletLoss", 8)
    assert torch.equal(both[0]["weights"], both[1]["weights"])
    assert len(both[0]["losses"]) == 3


def test_our_loss_in_the_trainer_of_sentence_transformers_keeps_replicas_identical(bert, tmp_path):
    """Its own batch losses keep the bare model there, so that gradients are never averaged."""
    both = _run(2, bert, tmp_path / "two", "theirs", "BatchSemiHardTripletLoss", 8)
    assert torch.equal(both[0]["weights"], both[1]["weights"])
