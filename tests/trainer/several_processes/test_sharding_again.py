"""Models that were used before they are sharded: by one process, by another trainer, in a training that failed."""

import pytest
import torch

from tests.ranks import run_ranks
from tests.trainer.several_processes import sharded_again_run

pytestmark = pytest.mark.distributed


def test_two_trainers_shard_a_model_that_one_process_has_used(bert, tmp_path):
    run_ranks(sharded_again_run.train_twice, {"bert": bert}, tmp_path, processes=2, seconds=120)
    for rank in range(2):
        ddp, sharded = torch.load(tmp_path / f"rank{rank}.pt")
        torch.testing.assert_close(sharded, ddp, rtol=1e-6, atol=1e-8)


def test_trainings_that_cannot_run_and_a_model_of_a_failed_one_are_errors(bert, tmp_path):
    printed = run_ranks(sharded_again_run.fail, {"bert": bert}, tmp_path, processes=2, seconds=120)
    assert printed.count("failed in a step\n") == 2
    assert printed.count("the model is still sharded, because an earlier training with fsdp=True failed; start") == 4
    assert printed.count("the model is sharded over the processes of a training, so none of them can save it; in") == 2
    assert (
        printed.count("fsdp needs an optimizer whose state_dict() has the entries state and param_groups, as in t") == 2
    )
    assert "but OwnLayout has others" in printed
    assert not (tmp_path / "model").exists()
