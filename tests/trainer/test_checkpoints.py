"""Checkpoints with a memory, the ones that are kept, and what may not be resumed."""

from pathlib import Path

import pytest

from tercet import losses
from tercet.errors import DataError
from tercet.trainer.checkpoints import latest_checkpoint
from tests.trainer.test_trainer import _trainer


def _train(bert, folder, labelled, cross_batch_memory, **changes):
    options = {"save_strategy": "steps", "save_steps": 1, "cross_batch_memory": cross_batch_memory, **changes}
    trainer = _trainer(bert, folder, labelled, losses.BatchAllTripletLoss, changes=options, eval_dataset=labelled)
    return trainer, lambda last=None: trainer.train(resume_from_checkpoint=None if last is None else str(last))


@pytest.mark.parametrize(
    ("written", "resumed", "words"),
    [(12, 0, "was written with a memory"), (12, 6, "a memory of another size"), (0, 12, "without a memory")],
)
def test_a_memory_of_another_size_is_not_resumed(written, resumed, words, bert, labelled, tmp_path):
    _train(bert, tmp_path, labelled, written, max_steps=2)[1]()
    with pytest.raises(DataError, match=words):
        _train(bert, tmp_path, labelled, resumed)[1](latest_checkpoint(tmp_path))


def test_the_last_checkpoints_and_the_best_one_are_kept(bert, labelled, tmp_path):
    options = {"save_total_limit": 2, "max_steps": 5, "eval_strategy": "steps", "eval_steps": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "map@r", "learning_rate": 10.0}
    options |= {"greater_is_better": True, "optim": "sgd", "max_grad_norm": 0.0}
    trainer, train = _train(bert, tmp_path, labelled, 0, **options)
    train()
    best = Path(trainer.state.best_model_checkpoint)
    assert best.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({best.name, "checkpoint-5", *_fourth(best)})


def _fourth(best: Path) -> set[str]:
    return {"checkpoint-4"} if best.name == "checkpoint-5" else set()
