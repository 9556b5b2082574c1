"""Runs that are killed with SIGKILL at random moments, and resumed: they end in the weights of an undisturbed run."""

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tercet import SentenceTransformer
from tercet.runs.run import checkpoint_dir
from tercet.trainer.checkpoints import latest_checkpoint
from tests.child import ENVIRONMENT, ROOT

# More can be asked for: TERCET_KILLS=20 pytest tests/runs/test_survival.py
_KILLS = int(os.environ.get("TERCET_KILLS", "2"))


def _start(bert: Path, output: Path, memory: int, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.runs.survival_run", str(bert), str(output), str(memory)]
    command.append(str(4 * _KILLS))  # epochs of three steps: a kill comes every few steps
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, **options)


def _finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]


@pytest.mark.parametrize("memory", [0, 12])
def test_killed_at_random_moments(memory, bert, tmp_path):
    _finish(_start(bert, tmp_path / "undisturbed", memory))
    wanted = load_file(tmp_path / "undisturbed/model.safetensors")
    output, chance = tmp_path / "killed", random.Random(memory)
    folder = checkpoint_dir(output)
    killed = in_a_save = 0
    while killed < _KILLS // (2 if memory else 1):
        before = latest_checkpoint(folder)
        process = _start(bert, output, memory)
        while latest_checkpoint(folder) == before and process.poll() is None:  # it is under way again
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.25))
        if process.poll() is not None:
            break  # it was done before we came
        process.kill()
        process.communicate()
        killed += 1
        in_a_save += (folder / ".unfinished").exists()
        for checkpoint in folder.glob("checkpoint-*"):  # each that has its name is whole
            SentenceTransformer(checkpoint, device="cpu")
            for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
                torch.load(checkpoint / name, weights_only=False)
            assert (checkpoint / "trainer_state.json").exists()
    print(f"killed {killed} times, {in_a_save} of them during a save")
    assert killed > 0
    if not output.exists():
        _finish(_start(bert, output, memory))
        assert not folder.exists()
    found = load_file(output / "model.safetensors")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_disk_that_is_full_leaves_the_last_checkpoint_whole(bert, tmp_path):
    """Files may grow to less than the optimizer's; the first checkpoint is there already."""
    output = tmp_path / "model"
    folder = checkpoint_dir(output)
    process = _start(bert, output, 0)
    while latest_checkpoint(folder) is None and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    before = latest_checkpoint(folder)
    small = (before / "optimizer.pt").stat().st_size // 2
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (small, small))  # noqa: E731
    process = _start(bert, output, 0, preexec_fn=limit)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert f"cannot write the checkpoint {folder}" in errors
    assert f"the last complete checkpoint is {before}" in errors
    assert latest_checkpoint(folder) == before
    assert not (folder / ".unfinished").exists()
    _finish(_start(bert, output, 0))
    assert (output / "model.safetensors").exists()
