"""Warnings about texts that are longer than the model reads say whose texts they are."""

import pytest

from tercet._events import WarningKind, collect_warnings
from tercet.trainer.batches import tokenizing
from tests.trainer.helpers import make_trainer


def _messages(warnings):
    return [warning.message for warning in warnings if warning.kind == WarningKind.TRUNCATED_TEXTS]


@pytest.mark.parametrize("batch_by_batch", [False, True])
def test_cut_texts_are_those_of_the_training_or_of_the_evaluation(
    batch_by_batch, bert, labelled, tmp_path, monkeypatch
):
    if batch_by_batch:
        monkeypatch.setattr(tokenizing, "ROWS_TOKENIZED_ONCE", 1)
    long = labelled.map(lambda row: {"text": row["text"] + 40 * " match"})
    for train, evaluation, expected in ((long, labelled, "training"), (labelled, long, "evaluation")):
        trainer = make_trainer(bert, tmp_path / expected, train, eval_dataset=evaluation)
        with collect_warnings() as warnings:
            trainer.train()
            trainer.get_eval_dataloader()
        (message,) = _messages(warnings)
        assert message.startswith(f"{len(long)} of {len(long)} {expected} texts are longer than 32 tokens")
    with collect_warnings() as warnings:
        trainer = make_trainer(bert, tmp_path / "other", labelled)
        trainer.get_eval_dataloader(long)
    (message,) = _messages(warnings)
    assert f"of {len(long)} evaluation texts are longer" in message
