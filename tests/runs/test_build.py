"""The trainer of a run computes where its model is."""

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.errors import DataError
from tercet.runs.build import _stays_on_cpu, build_trainer
from tercet.runs.settings import RunSettings


def test_a_model_on_the_cpu_is_trained_there(bert, sentences, labels, tmp_path, monkeypatch):
    model = SentenceTransformer(bert, device="cpu")
    settings = RunSettings(batch_size=8, samples_per_label=2, max_steps=1)
    data = Dataset.from_dict({"sentence": sentences, "label": labels})
    assert not _stays_on_cpu(model, settings)  # Without a CUDA GPU, the trainer may use another accelerator.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _stays_on_cpu(model, settings)
    with pytest.raises(DataError, match="bf16=True needs a GPU, but the model is on the CPU"):
        _stays_on_cpu(model, RunSettings(batch_size=8, samples_per_label=2, bf16=True))
    monkeypatch.setattr(SentenceTransformer, "device", torch.device("cuda:1"))
    with pytest.raises(DataError, match="set the environment variable CUDA_VISIBLE_DEVICES=1 and leave out device"):
        build_trainer(model, data, settings, tmp_path, [])
