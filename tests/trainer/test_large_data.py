"""Large data: texts stay in a file and are tokenized batch by batch, and the run is the same."""

import logging

import pytest
import torch
from datasets import Dataset

import tercet.runs
from tercet.data.tables import text_column
from tercet.trainer import dataloading
from tests.trainer.helpers import flat_weights, logged_losses, make_trainer


@pytest.fixture
def is_large(monkeypatch):
    def make_large():
        monkeypatch.setattr(text_column, "_MAX_BYTES", 0)
        monkeypatch.setattr(text_column, "PART", 7)
        monkeypatch.setattr(dataloading, "ROWS_TOKENIZED_ONCE", 0)
        monkeypatch.setattr(dataloading, "_SAMPLED_TEXTS", 6)

    return make_large


@pytest.mark.slow
def test_a_run_on_a_large_file_is_that_on_a_small_one(bert, csv_file, tmp_path, is_large, caplog):
    settings = tercet.runs.RunSettings(max_steps=3, batch_size=8, samples_per_label=2, train="encoder", margin=0.3)
    caplog.set_level(logging.INFO, "tercet")
    runs = []
    for name in ("small", "large"):
        if name == "large":
            is_large()
        runs.append(
            tercet.runs.train(csv_file, tmp_path / name, model=bert, settings=settings, show_progress_bar=False)
        )
    small, large = runs
    assert torch.equal(flat_weights(small.model), flat_weights(large.model))
    assert small.record.after == large.record.after
    data = large.record.data["train"]
    assert data.pop("tokenized_texts") == 6
    for facts in (data, small.record.data["train"]):
        del facts["unknown_tokens"]
    assert data == small.record.data["train"]
    assert "tokenized batch by batch; truncated texts and unknown tokens are counted in 6 of them" in caplog.text
    assert "first step of the training after" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_on_disk_is_not_copied(bert, labelled, tmp_path, is_large, workers):
    changes = {"dataloader_num_workers": workers, "max_steps": 2}
    expected = make_trainer(bert, tmp_path, labelled, changes=changes)
    expected.train()
    is_large()
    labelled.to_parquet(tmp_path / "d.parquet")
    on_disk = Dataset.from_parquet(str(tmp_path / "d.parquet"), cache_dir=str(tmp_path / "cache"))
    trainer = make_trainer(bert, tmp_path, on_disk, changes=changes)
    assert trainer.train_dataset.cache_files == on_disk.cache_files
    trainer.train()
    assert logged_losses(trainer) == logged_losses(expected)
