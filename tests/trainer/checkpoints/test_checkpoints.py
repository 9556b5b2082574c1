"""Checkpoints: which of them are kept, and errors when a run with another cross-batch memory resumes one."""

import shutil
import time
from pathlib import Path

import pytest
from transformers import TrainerState

from tercet import losses
from tercet._files import atomic_directory
from tercet.errors import DataError
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tercet.trainer.checkpoints.writing import _REMOVED, _UNFINISHED, seconds_to_write, write_checkpoint
from tests.trainer.helpers import make_trainer


def _make(bert, folder, labelled, cross_batch_memory, **changes):
    options = {"save_strategy": "steps", "save_steps": 1, "cross_batch_memory": cross_batch_memory, **changes}
    return make_trainer(bert, folder, labelled, losses.BatchAllTripletLoss, changes=options, eval_dataset=labelled)


@pytest.mark.slow
@pytest.mark.parametrize(("written", "resumed"), [(12, 0), (12, 6), (0, 12)])
def test_a_cross_batch_memory_of_another_size_is_not_resumed(written, resumed, bert, labelled, tmp_path):
    _make(bert, tmp_path, labelled, written, max_steps=2).train()
    trainer = _make(bert, tmp_path, labelled, resumed, max_steps=2)
    with pytest.raises(DataError, match=f"cross_batch_memory was {written}, now it is {resumed}; pass the same"):
        trainer.train(resume_from_checkpoint=str(latest_checkpoint(tmp_path)))


def test_another_process_may_write_into_a_checkpoint_while_the_model_is_saved(tmp_path):
    """Every process writes the state of its random number generators, at any moment."""

    def write(unfinished):
        with atomic_directory(unfinished / "checkpoint-1") as new:
            (new / "config.json").write_text("{}")
            (unfinished / "checkpoint-1").mkdir(parents=True, exist_ok=True)
            (unfinished / "checkpoint-1/rng_state_1.pth").write_text("state")

    state = TrainerState(global_step=1)
    write_checkpoint(tmp_path, state, write, None, None, seal=lambda folder: None)
    written = {path.name for path in (tmp_path / "checkpoint-1").iterdir() if not path.name.startswith(".")}
    assert written == {"config.json", "rng_state_1.pth"}


@pytest.mark.slow
def test_the_last_checkpoints_and_the_best_one_are_kept(bert, labelled, tmp_path):
    options = {"save_total_limit": 2, "max_steps": 5, "eval_strategy": "steps", "eval_steps": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "map@r", "learning_rate": 10.0}
    options |= {"greater_is_better": True, "optim": "sgd", "max_grad_norm": 0.0}
    trainer = _make(bert, tmp_path, labelled, 0, **options)
    trainer.train()
    best = Path(trainer.state.best_model_checkpoint)
    assert best.exists()
    kept = {best.name, "checkpoint-5"}
    if best.name == "checkpoint-5":
        kept.add("checkpoint-4")
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    "place", ["checkpoint-2", "checkpoint-2/notes.txt", "checkpoint-2/model.safetensors/notes.txt"]
)
def test_files_of_the_user_in_the_place_of_a_checkpoint_are_reported_before_the_first_step(
    place, bert, labelled, tmp_path
):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("mine")
    trainer = _make(bert, tmp_path, labelled, 0, max_steps=2)
    with pytest.raises(
        DataError, match="checkpoint-2 is the place of a checkpoint, but it has files that no run wrote"
    ):
        trainer.train()
    assert trainer.state.global_step == 0
    assert (tmp_path / place).read_text() == "mine"


@pytest.mark.slow
def test_checkpoints_of_an_earlier_run_are_replaced(bert, labelled, tmp_path):
    for _ in range(2):
        _make(bert, tmp_path, labelled, 0, max_steps=2).train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]


def test_the_time_to_write_is_measured_and_nothing_remains(tmp_path):
    def write(folder):
        folder.mkdir(parents=True)
        (folder / "model").write_bytes(b"weights")
        time.sleep(0.2)

    for name in ("kept", "linked", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere/mine.txt").write_text("mine")
    (tmp_path / "linked" / _UNFINISHED).symlink_to(tmp_path / "elsewhere")
    for name in ("new", "kept", "linked"):
        assert 0.2 <= seconds_to_write(tmp_path / name, write) < 20
    assert {path.name for path in tmp_path.rglob("*")} == {"kept", "linked", "elsewhere", "mine.txt"}


def test_a_kill_while_a_checkpoint_is_removed_leaves_no_part_of_it(bert, labelled, tmp_path, monkeypatch):
    """A folder with the name of a checkpoint is complete. The hidden one is removed with the next checkpoint."""
    trainer = _make(bert, tmp_path, labelled, 0, max_steps=4, save_total_limit=1)
    remove, killed = shutil.rmtree, []

    def rmtree(path, **options):
        if Path(path).name == _REMOVED and Path(path).exists() and not killed:
            killed.append(path)
            next(Path(path).iterdir()).unlink()
            raise KeyboardInterrupt
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert {path.name for path in tmp_path.iterdir()} == {_REMOVED, "checkpoint-2"}
    _make(bert, tmp_path, labelled, 0, max_steps=4, save_total_limit=1).train(resume_from_checkpoint=True)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-4"}
