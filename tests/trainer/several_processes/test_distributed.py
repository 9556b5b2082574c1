"""Two and four real gloo processes: their replicas are identical, and equal to one process on the same batches."""

import json
import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from tests.child import ENVIRONMENT
from tests.forked import command_line
from tests.ranks import run_ranks
from tests.trainer.several_processes import best_checkpoint_run, processes_run
from tests.trainer.several_processes.processes_run import RUNS, STATS, STEPS

pytestmark = pytest.mark.distributed

# The loss does not depend on these parameters. In float32 AdamW moves them by rounding errors.
_WITHOUT_EFFECT = ("key.bias", "layer.1.output.LayerNorm.bias")


@pytest.fixture(scope="module")
def results(bert, tmp_path_factory) -> dict[int, list[dict]]:
    """The results of every rank by number of processes."""
    results = {}
    for processes in (1, 2, 4):
        output = tmp_path_factory.mktemp(f"processes{processes}")
        run_ranks(processes_run.main, bert, output, 8 // processes, processes=processes, seconds=600)
        results[processes] = [torch.load(output / f"rank{rank}.pt") for rank in range(processes)]
    return results


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_several_processes_train_as_one(run, processes, results):
    """Six steps of AdamW on the same global batches of 8: bit-identical replicas, and the weights of one process."""
    ranks = [rank[str(run)] for rank in results[processes]]
    (alone,) = (rank[str(run)] for rank in results[1])
    for rank in ranks[1:]:
        assert torch.equal(rank["weights"], ranks[0]["weights"])
        assert torch.equal(rank["label_means"], ranks[0]["label_means"])
    torch.testing.assert_close(ranks[0]["weights"], alone["weights"], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ranks[0]["label_means"], alone["label_means"], rtol=0, atol=8)  # of 2**20
    assert ranks[0]["stats"] == pytest.approx(alone["stats"], abs=1e-4)
    assert len(alone["stats"]) == STEPS * len(STATS)
    assert ranks[0]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert ranks[0]["map"] == alone["map"]


def test_every_rank_loads_the_best_checkpoint(bert, tmp_path):
    run_ranks(best_checkpoint_run.main, bert, tmp_path, processes=2)
    results = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    assert {result["best"] for result in results} == {"checkpoint-2"}
    for result in results:
        assert torch.equal(result["weights"], result["saved"])


@pytest.fixture
def without_dropout(bert, tmp_path):
    """A folder with the tiny encoder without dropout, for the command line."""
    folder = shutil.copytree(bert, tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _torchrun(*words, processes):
    """Run `tercet …` in several processes of torchrun, as a user does, and return what it prints."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, "-m", "tercet", *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("launch", "options", "of_several"),
    [
        (_torchrun, [], []),
        (partial(run_ranks, command_line), ["--mini-batch-tokens", "30", "--no-packing"], []),
        (partial(run_ranks, command_line), ["--train", "both"], ["--fsdp"]),
    ],
    ids=["direct", "cached", "divided"],
)
def test_the_command_line_in_several_processes(launch, options, of_several, without_dropout, csv_file, tmp_path):
    trained, measured = [], []
    for processes in (1, 2):
        output = tmp_path / f"model{processes}"
        words = ["train", csv_file, "--output", output, "--model", without_dropout, "--max-steps", 10]
        words += ["--batch-size", 8, "--samples-per-label", 2, "--eval-fraction", 0.5, "--eval-steps", 4, *options]
        printed = launch(*map(str, words), *(of_several if processes > 1 else []), processes=processes)
        # One process prints: one table for each protocol, and one line about the model.
        assert (printed.count("R-precision"), printed.count("model written to")) == (2, 1)
        trained.append(load_file(output / "model.safetensors"))
        measured.append(json.loads((output / "metrics.json").read_text())["by_step"])
    assert list(measured[0]) == list(measured[1]) == ["4", "8", "10"]
    assert measured[1]["8"] == pytest.approx(measured[0]["8"], abs=1e-4)
    alone, together = trained
    for name in alone:
        if not name.endswith(_WITHOUT_EFFECT):
            torch.testing.assert_close(together[name], alone[name], rtol=1e-5, atol=1e-5, msg=name)
