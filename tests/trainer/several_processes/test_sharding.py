"""Models sharded over two real gloo processes (`fsdp=True`): the results of one process, and ordinary files."""

import pytest
import sentence_transformers
import torch

from tercet import SentenceTransformer
from tests.ranks import run_ranks
from tests.trainer.helpers import flat_weights
from tests.trainer.several_processes import best_checkpoint_run, sharded_run
from tests.trainer.several_processes.sharded_run import KINDS, STEPS, load, make_trainer

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def folders(bert, mpnet):
    return {"bert": bert, "mpnet": mpnet}


@pytest.fixture(scope="module")
def results(folders, tmp_path_factory):
    """The results of one process, and those of each of two."""
    results = []
    for processes in (1, 2):
        output = tmp_path_factory.mktemp(f"processes{processes}")
        run_ranks(sharded_run.compare, folders, output, processes=processes, seconds=600)
        results += [torch.load(output / f"rank{rank}.pt") for rank in range(processes)]
    return results


@pytest.mark.parametrize("kind", KINDS)
def test_a_sharded_model_trains_as_in_one_process(kind, results):
    """Losses, norms of gradients before they are clipped, evaluations, weights; the parts are equal halves."""
    alone, *ranks = results
    one = alone[kind, False]
    assert len(one["losses"]) == STEPS
    assert len(one["evaluations"]) == STEPS // 2
    for rank in ranks:
        for sharded in (False, True):
            result = rank[kind, sharded]
            for name in ("losses", "norms", "evaluations"):
                assert result[name] == pytest.approx(one[name], rel=1e-7)
            torch.testing.assert_close(result["weights"], one["weights"], rtol=1e-6, atol=1e-8)
        assert rank[kind, False]["parts"] == one["parts"]
        assert rank[kind, True]["parts"] == tuple(number // 2 for number in one["parts"])
        assert rank[kind, True]["class"] == "SentenceTransformer"


@pytest.fixture(scope="module")
def resumed(folders, tmp_path_factory):
    """The weights of runs in both processes, by name, and the folder with their files."""
    output = tmp_path_factory.mktemp("resumed")
    run_ranks(sharded_run.interrupt, folders, output, processes=2)
    assert [path.name for path in (output / "interrupted").iterdir()] == ["checkpoint-2"]
    run_ranks(sharded_run.resume, folders, output, processes=2)
    return *(torch.load(output / f"rank{rank}.pt") for rank in range(2)), output


def test_a_run_killed_after_a_checkpoint_is_resumed_exactly(resumed):
    *ranks, _ = resumed
    for rank in ranks:
        assert torch.equal(rank["resumed"], rank["uninterrupted"])
        assert not torch.equal(rank["resumed"], rank["sharded"])  # with dropout


def test_checkpoints_are_those_of_a_model_that_is_not_sharded(resumed, folders):
    first, second, output = resumed
    for name in ("ddp", "resumed by ddp", "resumed from ddp"):
        torch.testing.assert_close(first[name], first["sharded"], rtol=0, atol=1e-6)
    model = load("head", folders)
    trainer = make_trainer("head", model, output / "sharded", save_strategy="steps", save_steps=2)
    trainer.train(resume_from_checkpoint=str(output / "sharded" / "checkpoint-2"))
    torch.testing.assert_close(flat_weights(model), first["sharded"], rtol=0, atol=1e-6)
    for name in first:
        assert torch.equal(first[name], second[name])


def test_a_saved_model_is_an_ordinary_folder(resumed, sentences):
    first, _, output = resumed
    sharded, ddp = (SentenceTransformer(output / f"of {name}", device="cpu") for name in ("sharded", "ddp"))
    torch.testing.assert_close(flat_weights(sharded), first["sharded"].float(), rtol=0, atol=1e-6)
    state = ddp.state_dict()
    assert sharded.state_dict().keys() == state.keys()
    for name, value in sharded.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=1e-6)
    peer = sentence_transformers.SentenceTransformer(str(output / "of sharded"), device="cpu")
    torch.testing.assert_close(
        peer.float().encode(sentences, convert_to_tensor=True), sharded.encode(sentences, convert_to_tensor=True)
    )


def test_a_trainer_that_runs_twice_goes_on(resumed):
    first, *_ = resumed
    torch.testing.assert_close(first["sharded twice"], first["ddp twice"], rtol=1e-6, atol=1e-8)
    assert not torch.equal(first["sharded twice"], first["sharded"])


def test_every_process_loads_the_best_checkpoint_of_a_sharded_model(bert, tmp_path):
    run_ranks(best_checkpoint_run.main, bert, tmp_path, True, processes=2)
    results = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    for result in results:
        assert result["best"] == "checkpoint-2"
        assert torch.equal(result["weights"], result["saved"])


def test_an_optimizer_of_the_whole_weights_is_an_error(folders, tmp_path):
    printed = run_ranks(sharded_run.pass_an_optimizer, folders, tmp_path, processes=2)
    assert printed.count("fsdp replaces the weights that the optimizer in `optimizers` trains; pass optimizer_cls") == 2
