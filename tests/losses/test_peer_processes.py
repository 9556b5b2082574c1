"""The losses in the trainer of sentence-transformers under two real gloo processes; ours: `tests/trainer`."""

import pytest
import torch

from tests.losses import peer_processes_run
from tests.ranks import run_ranks

pytestmark = pytest.mark.distributed


def test_our_loss_in_the_trainer_of_sentence_transformers_keeps_replicas_identical(bert, tmp_path):
    """Its own batch losses keep the bare model there, so that gradients are never averaged."""
    run_ranks(peer_processes_run.main, bert, tmp_path, processes=2)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
