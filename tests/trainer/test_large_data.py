"""Large data: texts stay in a file and are tokenized batch by batch, and the run is the same."""

import gc
import logging
import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import TrainingArguments

import tercet.runs
from tercet.data import as_dataset, load_labelled
from tercet.data.tables import text_column
from tercet.trainer.batches import tokenizing
from tests.trainer.helpers import flat_weights, logged_losses, make_trainer


@pytest.fixture
def is_large(monkeypatch):
    def make_large():
        monkeypatch.setattr(text_column, "_MAX_BYTES", 0)
        monkeypatch.setattr(text_column, "PART", 7)
        monkeypatch.setattr(tokenizing, "ROWS_TOKENIZED_ONCE", 0)
        monkeypatch.setattr(tokenizing, "_SAMPLED_TEXTS", 6)

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


def _stream_rows():
    yield from ({"text": f"the goal {row}", "label": row % 4} for row in range(32))


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(TrainingArguments, "dataloader_multiprocessing_context"), reason="needs a newer version of transformers"
)
def test_spawned_workers_get_large_data_streams_and_data_sets_derived_from_files(bert, csv_file, tmp_path, is_large):
    """macOS and Windows start workers that way: they get the data set pickled."""
    is_large()
    data = as_dataset(load_labelled(csv_file)).shuffle(seed=0)  # The file belongs to the data set before.
    gc.collect()
    spawned = {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "spawn"}
    rows = [
        [
            batch["labels"].tolist()
            for batch in make_trainer(bert, tmp_path, data, changes=changes).get_train_dataloader()
        ]
        for changes in ({}, spawned)
    ]
    assert rows[0] == rows[1]
    assert sorted(label for batch in rows[1] for label in batch) == sorted(data["label"])
    trainer = make_trainer(bert, tmp_path, IterableDataset.from_generator(_stream_rows))
    batches = trainer.get_train_dataloader().dataset
    sent = ForkingPickler.dumps(batches)
    assert len(sent) < 200_000  # The weights of the encoder are not sent.
    assert next(iter(pickle.loads(sent))) == next(iter(batches))
    file = Path(data.cache_files[0]["filename"])
    assert file.exists()
    del data, trainer, batches
    gc.collect()
    assert not file.exists()
