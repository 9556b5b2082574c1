"""The folder of a model is what text-embeddings-inference 1.9.3 reads.

The container is not run. Each check names the Rust type that parses the file: `serde` refuses a missing field or
another type.
"""

import json

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer

from tercet import SentenceTransformer
from tercet.encoder.modules import Dense, Normalize, Pooling, Transformer
from tercet.heads import LinearHead, append_head

_MODULES = {f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Dense", "Normalize")}
_ACTIVATIONS = {None, "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"}


@pytest.fixture(params=["bert", "mpnet", "roberta"])
def folder(request, tmp_path):
    """The folder of a model with a head and a default prompt."""
    modules = [Transformer.load(str(request.getfixturevalue(request.param))), Pooling(32, "mean"), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu", prompts={"q": "query: "}, default_prompt_name="q")
    append_head(model, LinearHead(torch.randn(8, 32)))
    assert any(isinstance(module, Dense) for module in model)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def _json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_settings_have_the_fields_of_ModelConfig(folder):
    config = _json(folder / "config.json")
    assert config["architectures"]
    assert not any(name.endswith("Classification") for name in config["architectures"])
    assert isinstance(config["model_type"], str)
    assert type(config["max_position_embeddings"]) is int
    assert type(config["pad_token_id"]) is int


def test_the_tokenizer_is_one_file(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("the team won").ids == SentenceTransformer(folder)[0].tokenizer("the team won")["input_ids"]


def test_the_pooling_has_the_fields_of_PoolConfig(folder):
    config = _json(folder / "1_Pooling/config.json")
    assert (config["pooling_mode_cls_token"], config["pooling_mode_mean_tokens"]) == (False, True)


def test_the_length_and_the_prompts_are_those_of_STConfig_and_NewSTConfig(folder):
    assert type(_json(folder / "sentence_bert_config.json")["max_seq_length"]) is int
    assert _json(folder / "config_sentence_transformers.json")["prompts"]["q"] == "query: "


def test_the_modules_and_the_head_have_the_fields_of_ModuleConfig_and_DenseConfig(folder):
    modules = _json(folder / "modules.json")
    assert all(set(module) >= {"idx", "name", "path", "type"} for module in modules)
    assert all(type(module["idx"]) is int for module in modules)
    assert {module["type"] for module in modules} <= _MODULES
    (dense,) = [module["path"] for module in modules if module["type"].endswith(".Dense")]
    config = _json(folder / dense / "config.json")
    assert (config["in_features"], config["out_features"], config["bias"]) == (32, 8, False)
    assert config.get("activation_function") in _ACTIVATIONS
    with safe_open(folder / dense / "model.safetensors", "pt") as file:
        assert file.get_slice("linear.weight").get_shape() == [8, 32]


def test_the_weights_have_the_names_of_the_encoder_alone(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert "embeddings.word_embeddings.weight" in file.keys()  # noqa: SIM118
        assert file.get_slice("embeddings.word_embeddings.weight").get_dtype() == "F32"
