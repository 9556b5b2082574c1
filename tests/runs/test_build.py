"""The trainer of a run computes where its model is."""

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.encoder import devices
from tercet.errors import DataError
from tercet.runs.build import _stays_on_cpu, build_trainer, training_arguments
from tercet.runs.settings import RunSettings
from tercet.trainer import arguments


def test_a_model_on_the_cpu_is_trained_there(bert, sentences, labels, tmp_path, monkeypatch):
    model = SentenceTransformer(bert, device="cpu")
    settings = RunSettings(batch_size=8, samples_per_label=2, max_steps=1)
    data = Dataset.from_dict({"sentence": sentences, "label": labels})
    assert not _stays_on_cpu(model)  # Without a CUDA GPU, the trainer may use another accelerator.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _stays_on_cpu(model)
    monkeypatch.setattr(SentenceTransformer, "device", torch.device("cuda:1"))
    with pytest.raises(DataError, match="set the environment variable CUDA_VISIBLE_DEVICES=1 and leave out device"):
        build_trainer(model, data, settings, tmp_path, [])


def test_bfloat16_needs_a_processor_or_a_gpu_that_computes_in_it(tmp_path, monkeypatch):
    settings = RunSettings(batch_size=8, samples_per_label=2, epochs=1, bf16=True)
    gpu = torch.device("cuda")  # A build of torch for CUDA names it on a machine without a GPU, too.
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(
        torch.accelerator,
        "current_accelerator",
        lambda check_available=False: gpu if torch.accelerator.is_available() or not check_available else None,
    )
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(
        DataError, match="bf16=True needs a GPU with bfloat16 or a processor with avx512_bf16, but this "
    ):
        training_arguments(settings, tmp_path, triplets=False)
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(arguments, "cpu_has_bfloat16", lambda: True)
    made = training_arguments(settings, tmp_path, triplets=False)
    assert (made.bf16, made.use_cpu) == (True, True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: device.type == "cpu")
    with pytest.raises(DataError, match="but the GPU of this training has none; leave out bf16=True"):
        training_arguments(settings, tmp_path, triplets=False)
    assert training_arguments(settings, tmp_path, triplets=False, use_cpu=True).use_cpu


def test_a_run_in_bfloat16_on_the_cpu(bert, sentences, labels, tmp_path, monkeypatch):
    """The weights stay in float32."""
    for module in (devices, arguments):
        monkeypatch.setattr(module, "cpu_has_bfloat16", lambda: True)
    model = SentenceTransformer(bert, device="cpu")
    settings = RunSettings(batch_size=8, samples_per_label=2, max_steps=1, bf16=True)
    data = Dataset.from_dict({"sentence": sentences, "label": labels})
    trainer = build_trainer(model, data, settings, tmp_path, [])
    trainer.train()
    assert trainer.accelerator.mixed_precision == "bf16"
    assert {value.dtype for value in model.parameters()} == {torch.float32}
