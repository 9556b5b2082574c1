"""Encoders of other kinds: T5, adapters, and models in several files."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer as Peer

from tercet import SentenceTransformer
from tercet.errors import ModelError

TEXTS = ["the team won the game", "the soup is hot", "the train is late"]


def _save_with_tokenizer_of(bert, model, folder):
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("with_decoder", [True, False])
def test_t5_is_its_encoder(with_decoder, bert, tmp_path):
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=104, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    folder = _save_with_tokenizer_of(bert, transformers.T5Model(config), tmp_path / "t5")
    theirs = Peer(str(folder), device="cpu")
    if not with_decoder:
        theirs.save_pretrained(str(tmp_path / "theirs"))
        folder = tmp_path / "theirs"
    ours = SentenceTransformer(folder, device="cpu")
    assert type(ours.transformer.auto_model).__name__ == "T5EncoderModel"
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5)
    ours.save_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(
        SentenceTransformer(tmp_path / "saved", device="cpu").encode(TEXTS), ours.encode(TEXTS)
    )


def test_other_encoder_decoders_are_refused(bert, tmp_path):
    config = transformers.BartConfig(
        vocab_size=104, d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32,
        encoder_attention_heads=2, decoder_attention_heads=2,
    )  # fmt: skip
    folder = _save_with_tokenizer_of(bert, transformers.BartModel(config), tmp_path / "bart")
    with pytest.raises(ModelError, match=r"is an encoder-decoder \(bart\), which is not supported; use an encoder"):
        SentenceTransformer(folder, device="cpu")


@pytest.fixture
def adapted(bert, tmp_path, monkeypatch):
    """A model with an adapter, whose base model is a relative path, and its embeddings."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bert, "base")
    model = SentenceTransformer("base", device="cpu")
    model.add_adapter(LoraConfig(r=4, target_modules=["query"], init_lora_weights=False))
    model.save_pretrained("adapter")
    return model.encode(TEXTS)


def test_an_adapter_finds_its_base_model_beside_it(adapted, tmp_path, monkeypatch):
    np.testing.assert_array_equal(SentenceTransformer("adapter", device="cpu").encode(TEXTS), adapted)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "base", tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=r"is a peft adapter of the base model '(.*/)?base', which was not found"):
        SentenceTransformer("../adapter", device="cpu")


def test_an_adapter_with_other_names_is_refused(adapted, tmp_path):
    path = tmp_path / "adapter/adapter_model.safetensors"
    save_file({f"x.{name}": value for name, value in load_file(path).items()}, path)
    with pytest.raises(ModelError, match=r"the weights in .*adapter are incomplete"):
        SentenceTransformer("adapter", device="cpu")
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"peft adapter without adapter_model.safetensors; only safetensors weights"):
        SentenceTransformer("adapter", device="cpu")


def test_an_adapter_of_an_incomplete_base_model_is_refused(adapted, tmp_path):
    path = tmp_path / "base/model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "layer.1" not in name}, path)
    with pytest.raises(ModelError, match=r"incomplete: 16 are missing"):
        SentenceTransformer("adapter", device="cpu")


def test_an_adapter_inside_of_its_base_model(adapted, tmp_path):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "adapter" / name, tmp_path / "base" / name)
    np.testing.assert_allclose(SentenceTransformer("base", device="cpu").encode(TEXTS), adapted, atol=1e-6)


def test_weights_in_several_files(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    expected = SentenceTransformer(bert, device="cpu").encode(TEXTS)
    np.testing.assert_array_equal(SentenceTransformer(folder, device="cpu").encode(TEXTS), expected)
    (folder / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"names files that are missing: 'b.safetensors'"):
        SentenceTransformer(folder, device="cpu")
