"""Runs that are killed by SIGKILL at random moments and resumed end in the weights of an undisturbed run."""

import os
import random
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tercet import SentenceTransformer
from tercet.runs import checkpoint_dir
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tests.forked import ForkedProcess
from tests.runs import survival_run
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

# The number of kills can be increased: TERCET_KILLS=20 pytest tests/runs/test_survival.py
_KILLS = int(os.environ.get("TERCET_KILLS", "2"))


def _start(bert: Path, output: Path, cross_batch_memory: int, **options) -> ForkedProcess:
    epochs = 4 * _KILLS  # of three steps, so there are a few steps per kill
    return ForkedProcess(survival_run.main, bert, output, cross_batch_memory, epochs, **options)


def _finish(process: ForkedProcess) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]


def _kill(process: ForkedProcess) -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize("cross_batch_memory", [0, 12])
def test_killed_at_random_moments(cross_batch_memory, bert, tmp_path):
    _finish(_start(bert, tmp_path / "undisturbed", cross_batch_memory))
    expected = load_file(tmp_path / "undisturbed/model.safetensors")
    output, chance = tmp_path / "killed", random.Random(cross_batch_memory)
    folder = checkpoint_dir(output)
    killed = during_save = 0
    while killed < _KILLS // (2 if cross_batch_memory else 1):
        before = latest_checkpoint(folder)
        process = _start(bert, output, cross_batch_memory)
        while latest_checkpoint(folder) == before and process.poll() is None:  # until it has taken a step
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.25))  # the random moment
        if process.poll() is not None:
            break  # it ended before the kill
        _kill(process)
        killed += 1
        during_save += (folder / ".tercet-unfinished").exists()
        for checkpoint in folder.glob("checkpoint-*"):  # each with this name is complete
            SentenceTransformer(checkpoint, device="cpu")
            for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
                torch.load(checkpoint / name, weights_only=False)
            assert (checkpoint / "trainer_state.json").exists()
    print(f"killed {killed} times, {during_save} of them during a save")
    assert killed > 0
    if not output.exists():
        _finish(_start(bert, output, cross_batch_memory))
        assert not folder.exists()
    found = load_file(output / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_full_disk_leaves_the_last_checkpoint_complete(bert, tmp_path):
    """A limit on the size of files, below that of the optimizer's, stands for the full disk."""
    output = tmp_path / "model"
    folder = checkpoint_dir(output)
    process = _start(bert, output, 0)
    wait_until(lambda: latest_checkpoint(folder) is not None, process)
    _kill(process)
    before = latest_checkpoint(folder)
    small = (before / "optimizer.pt").stat().st_size // 2
    process = _start(bert, output, 0, max_file_size=small)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert f"cannot write the checkpoint {folder}" in errors
    assert f"the last complete checkpoint is {before}" in errors
    assert latest_checkpoint(folder) == before
    assert not (folder / ".tercet-unfinished").exists()
    _finish(_start(bert, output, 0))
    assert (output / "model.safetensors").exists()
