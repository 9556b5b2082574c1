"""`max_seq_length` and LoRA adapters of a run, and that Tercet and sentence-transformers load the saved folder."""

import json

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer, SentenceTransformerTrainer
from tercet.errors import DataError, ModelError
from tercet.runs import RunSettings, train
from tercet.runs.model_changes import change_model
from tercet.runs.recipe import choose_schedule

SHORT = {"max_steps": 3, "batch_size": 8, "samples_per_label": 2, "learning_rate": 1e-2}
TEXTS = ["the game", "the soup is hot"]


def _train(csv_file, output, bert, **settings):
    return train(csv_file, output, model=bert, settings=RunSettings(**SHORT, **settings), device="cpu")


def test_a_lora_run_saves_an_adapter_that_both_libraries_load(bert, csv_file, tmp_path, monkeypatch):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    pytest.importorskip("peft")
    monkeypatch.chdir(bert.parent)
    run = _train(csv_file, tmp_path / "m", bert.name, lora=True, lora_rank=4)
    monkeypatch.chdir(tmp_path)  # a relative path of the base model must not depend on the current folder
    assert not (tmp_path / "m/model.safetensors").exists()
    config = json.loads((tmp_path / "m/adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (4, str(bert))
    embeddings = run.model.encode(TEXTS)
    assert np.abs(embeddings - SentenceTransformer(bert, device="cpu").encode(TEXTS)).max() > 1e-4
    np.testing.assert_allclose(SentenceTransformer(tmp_path / "m", device="cpu").encode(TEXTS), embeddings, atol=1e-6)
    other = sentence_transformers.SentenceTransformer(str(tmp_path / "m"), device="cpu")
    np.testing.assert_allclose(other.encode(TEXTS), embeddings, atol=1e-6)


def test_an_adapter_trains_every_linear_layer_but_the_pooler_and_starts_as_the_identity(bert):
    pytest.importorskip("peft")
    model = SentenceTransformer(bert, device="cpu")
    before = model.encode(TEXTS)
    change_model(model, RunSettings(lora=True, seed=3))
    np.testing.assert_array_equal(model.encode(TEXTS), before)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert len(trained) == 2 * 6 * 2  # two matrices for each of the six linear layers of two blocks
    assert all("lora_" in name and "pooler" not in name for name in trained)
    again = SentenceTransformer(bert, device="cpu")
    torch.rand(3)  # Only the seed of the run decides.
    change_model(again, RunSettings(lora=True, seed=3))
    for name, value in again.named_parameters():
        assert name not in trained or value.equal(trained[name])


def test_an_adapter_gets_a_higher_learning_rate():
    rates = [choose_schedule(RunSettings(lora=lora), few_rows=False, width=384).learning_rate for lora in (False, True)]
    assert rates == pytest.approx([1e-4, 1e-3])


def test_a_model_that_cannot_get_an_adapter(bert):
    peft = pytest.importorskip("peft")
    model = SentenceTransformer(bert, device="cpu")
    model.transformer.auto_model.name_or_path = ""
    with pytest.raises(DataError, match="lora=True needs a model from a folder or the hub"):
        change_model(model, RunSettings(lora=True))
    model = SentenceTransformer(bert, device="cpu")
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["query"]))
    with pytest.raises(DataError, match="lora=True needs a model without an adapter"):
        change_model(model, RunSettings(lora=True))


def test_max_seq_length_truncates_and_is_saved(bert, csv_file, tmp_path):
    run = _train(csv_file, tmp_path / "m", bert, max_seq_length=4)
    assert SentenceTransformer(tmp_path / "m", device="cpu").max_seq_length == 4
    assert run.record.settings["max_seq_length"] == 4
    assert run.record.data["train"]["max_seq_length"] == 4
    assert run.record.data["train"]["truncated_texts"] > 0


def test_max_seq_length_above_the_limit_of_the_model(bert, csv_file, tmp_path):
    with pytest.raises(ModelError, match="max_seq_length is 600, but this model has 32 positions; set at most 32"):
        _train(csv_file, tmp_path / "m", bert, max_seq_length=600)
    assert not (tmp_path / "m").exists()


def test_a_killed_lora_run_is_resumed_with_the_same_weights(bert, csv_file, tmp_path, monkeypatch):
    pytest.importorskip("peft")
    settings = {"lora": True, "lora_rank": 4, "save_every": 1, "max_seq_length": 16}
    whole = _train(csv_file, tmp_path / "whole", bert, **settings)
    step = SentenceTransformerTrainer.training_step

    def killed(self, *args, **kwargs):
        if self.state.global_step == 2:
            raise SystemExit("killed")
        return step(self, *args, **kwargs)

    def interrupted():
        with monkeypatch.context() as patch:
            patch.setattr(SentenceTransformerTrainer, "training_step", killed)
            with pytest.raises(SystemExit):
                _train(csv_file, tmp_path / "m", bert, **settings)

    def resumed(**changes):
        changed = RunSettings(**{**SHORT, **settings, **changes})
        return train(csv_file, tmp_path / "m", model=bert, settings=changed, device="cpu", resume=True)

    interrupted()
    with pytest.raises(DataError, match="max_seq_length was 16, now it is None"):
        resumed(max_seq_length=None)
    weights = resumed(report_to="none").model.state_dict()
    for name, value in whole.model.state_dict().items():
        assert value.equal(weights[name]), name
