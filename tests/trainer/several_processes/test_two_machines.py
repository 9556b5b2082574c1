"""The command of the guide for two machines: two launchers on this machine, with one gloo process each."""

import json
import shutil
import socket
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.child import ENVIRONMENT
from tests.docs.pages import DOCS, blocks
from tests.docs.run_page import commands

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

_STEPS = 5
# The loss does not depend on these parameters. In float32 AdamW moves them by rounding errors.
_WITHOUT_EFFECT = ("key.bias", "layer.1.output.LayerNorm.bias")


def _command_of_the_guide(node_rank, port, data, output):
    """Return the command that the guide starts on each machine, for this machine and a small batch."""
    (page,) = (page for page in DOCS if page.name == "several-processes.md")
    (words,) = (
        words
        for block in blocks(page)
        if block.language == "sh"
        for words in commands(block.source)
        if "--nnodes" in words
    )
    for place, value in (
        ("--node-rank", node_rank),
        ("--nproc-per-node", 1),
        ("--master-addr", "127.0.0.1"),
        ("--master-port", port),
        ("train", data),
        ("--output", output),
        ("--batch-size", 8),
    ):
        words[words.index(place) + 1] = str(value)
    assert words[:3] == ["torchrun", "--nnodes", "2"]
    return [sys.executable, "-m", "torch.distributed.run", *words[1:]]


def _run_all(started):
    """Read the output of all processes at once, since one waits for the other, and return it."""
    printed = [""] * len(started)

    def read(number):
        printed[number] = "".join(started[number].communicate(timeout=300))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(started))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for process in started:
            process.kill()
    for process, text in zip(started, printed, strict=True):
        assert process.returncode == 0, text[-3000:]
    return printed


def _losses(output):
    """Return the loss of each step, which TensorBoard got."""
    (folder,) = (output.parent / f"{output.name}.logs").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    return [entry.value for entry in events.Scalars("train/loss")]


def test_two_launchers_train_as_one_process(bert, csv_file, tmp_path):
    encoder = shutil.copytree(bert, tmp_path / "bert")
    config = json.loads((encoder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (encoder / "config.json").write_text(json.dumps(config))
    more = ["--model", encoder, "--device", "cpu", "--max-steps", _STEPS, "--samples-per-label", 2, "--report-to"]
    more = [*map(str, more), "tensorboard", "--train", "encoder", "--eval-fraction", "0.5"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone = [sys.executable, "-m", "tercet", "train", str(csv_file), "--output", str(tmp_path / "alone")]
    together = [_command_of_the_guide(rank, port, csv_file, tmp_path / "together") for rank in range(2)]
    printed = []
    for launch in ([[*alone, "--batch-size", "8"]], together):
        started = [
            subprocess.Popen(
                [*words, *more], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for words in launch
        ]
        printed.append(_run_all(started))
    (first, second) = printed[1]
    assert (first.count("model written to"), first.count("R-precision")) == (1, 2)
    assert not any(words in second for words in ("model written to", "R-precision", "finished in"))
    losses = [_losses(tmp_path / name) for name in ("alone", "together")]
    assert len(losses[0]) == _STEPS
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("alone", "together")]
    for name, expected in weights[0].items():
        if not name.endswith(_WITHOUT_EFFECT):
            torch.testing.assert_close(weights[1][name], expected, rtol=1e-5, atol=1e-5, msg=name)
