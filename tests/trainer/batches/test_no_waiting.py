"""Steps of the trainer that never wait for a GPU, and statistics that are read for several batches at once."""

import pytest
import torch
from transformers import TrainerCallback

from tercet import SentenceTransformerTrainingArguments, losses
from tercet.encoder.modules.transformer import Transformer
from tercet.errors import EmbeddingError
from tercet.losses._engine import double_product_source
from tercet.losses.modules import BaseLoss
from tercet.trainer.logs import monitoring
from tercet.trainer.trainer import SentenceTransformerTrainer
from tests.trainer.helpers import logged_losses, make_arguments, make_trainer


class StopAfter(TrainerCallback):
    """End a run by an error, before the trainer reads the mean loss at its end."""

    class End(Exception):
        pass

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise self.End


@pytest.mark.slow
@pytest.mark.parametrize("loss", [losses.BatchSemiHardTripletLoss, losses.BatchAllTripletLoss])
def test_a_step_reads_nothing_from_the_device(loss, bert, tmp_path, labelled, monkeypatch):
    """The meta device has no values: whatever reads one raises an error. It stands for a GPU here.

    What happens once in a run or at its logs is left out: the self-check of packing, the check of the margin, and the
    sums of the weights.
    """
    monkeypatch.setattr(Transformer, "_runs_packed", lambda self, device, layers: True)
    monkeypatch.setattr(double_product_source, "DEVICE_TYPES", {"meta"})
    monkeypatch.setattr(SentenceTransformerTrainer, "_defers_reading", lambda self: True)
    monkeypatch.setattr(BaseLoss, "reset_warnings", lambda self: setattr(self, "_margin_checked", True))
    for name in ("weight_sums", "sample_weights"):
        monkeypatch.setattr(monitoring, name, lambda model: None)
    meta = torch.device("meta")
    device = property(lambda arguments: arguments._setup_devices and meta)
    monkeypatch.setattr(SentenceTransformerTrainingArguments, "device", device)
    changes = {"logging_steps": 100, "logging_nan_inf_filter": False, "max_steps": 8, "optim": "adamw_torch"}
    trainer = make_trainer(bert, tmp_path, labelled, loss, changes=changes, callbacks=[StopAfter(6)])
    monkeypatch.setattr(trainer.accelerator.state, "device", meta)
    with pytest.raises(StopAfter.End):
        trainer.train()
    assert {parameter.device.type for parameter in trainer.model.parameters()} == {"meta"}
    assert len(trainer._unread_stats[None]) == 6


@pytest.mark.slow
def test_statistics_that_are_read_later_are_the_same(bert, tmp_path, labelled, monkeypatch):
    logs, observed = [], []
    for defers in (False, True):
        monkeypatch.setattr(SentenceTransformerTrainer, "_defers_reading", lambda self, defers=defers: defers)
        trainer = make_trainer(bert, tmp_path, labelled, changes={"logging_steps": 4, "max_steps": 14})
        trainer.train()
        logs.append([{k: v for k, v in entry.items() if "runtime" not in k and "per_second" not in k}
                     for entry in trainer.state.log_history])  # fmt: skip
        observed.append((trainer._monitors[None]._num_batches, trainer._monitors[None]._run))
        assert not len(trainer._unread_stats[None])
    assert logged_losses(trainer)
    assert logs[0] == logs[1]
    assert observed[0] == observed[1]


def test_values_that_the_loss_cannot_use_are_an_error_also_if_they_are_read_later(
    bert, tmp_path, labelled, monkeypatch
):
    monkeypatch.setattr(SentenceTransformerTrainer, "_defers_reading", lambda self: True)

    class Break(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step == 2:
                with torch.no_grad():
                    next(model.parameters()).fill_(torch.nan)

    trainer = make_trainer(bert, tmp_path, labelled, changes={"logging_steps": 100}, callbacks=[Break()])
    with pytest.raises(EmbeddingError, match=r"a batch \(one of the last 4\) have values that are NaN"):
        trainer.train()


def test_batches_are_copied_while_a_gpu_computes(tmp_path, monkeypatch):
    arguments = make_arguments(tmp_path)
    assert arguments.logging_nan_inf_filter
    assert not arguments.accelerator_config.non_blocking
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(SentenceTransformerTrainingArguments, "device", torch.device("cuda"))
    monkeypatch.setattr(SentenceTransformerTrainingArguments, "world_size", 1)
    monkeypatch.setattr(SentenceTransformerTrainingArguments, "n_gpu", 1)
    on_gpu = make_arguments(tmp_path)
    assert on_gpu.accelerator_config.non_blocking
    assert not on_gpu.logging_nan_inf_filter
    assert make_arguments(tmp_path, logging_nan_inf_filter=True).logging_nan_inf_filter
    given = {"non_blocking": False}
    assert not make_arguments(tmp_path, accelerator_config=given).accelerator_config.non_blocking
