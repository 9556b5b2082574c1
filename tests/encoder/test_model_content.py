"""The content of a model: equal for a copy in another place, and changed by all that changes an embedding."""

import json
import shutil

import pytest
import torch
from tokenizers.normalizers import BertNormalizer
from transformers import BertTokenizerFast

from tercet import SentenceTransformer
from tercet.encoder import Dense, Normalize, Pooling, Router, StaticEmbedding
from tercet.encoder.model_content import model_content
from tests.conftest import build_bert


def _dense(activation):
    torch.manual_seed(0)
    return Dense(32, 8, activation_function=activation)


def _routes(bert, **options):
    loaded = SentenceTransformer(bert, device="cpu")
    return [
        Router({"query": list(loaded), "document": [StaticEmbedding(loaded.tokenizer, embedding_dim=32)]}, **options)
    ]


def _with_other_words(tokenizer):
    """Return a tokenizer with the ids of two words swapped."""
    ids = tokenizer.get_vocab()
    ids["bank"], ids["game"] = ids["game"], ids["bank"]
    return BertTokenizerFast(vocab=ids, model_max_length=tokenizer.model_max_length)


def test_a_copy_has_the_same_content_and_a_faster_way_is_no_content(bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    copy = SentenceTransformer(shutil.copytree(bert, tmp_path / "copy"), device="cpu", packing=False)
    assert model_content(copy.train()) == model_content(model)
    saved = tmp_path / "saved"
    model.save_pretrained(saved)
    assert model_content(SentenceTransformer(saved, device="cpu")) == model_content(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.transformer, "do_lower_case", True),
        lambda model: setattr(model, "max_seq_length", 8),
        lambda model: setattr(model, "prompts", {"query": "find: "}),
        lambda model: model.append(Normalize()),
        lambda model: model.__setitem__(1, Pooling(32, "cls")),
        lambda model: setattr(model[1], "include_prompt", False),
        lambda model: setattr(model.tokenizer.backend_tokenizer, "normalizer", BertNormalizer(lowercase=False)),
        lambda model: setattr(model, "tokenizer", _with_other_words(model.tokenizer)),
    ],
)
def test_what_changes_an_embedding_changes_the_content(change, bert):
    model = SentenceTransformer(bert, device="cpu")
    before = model_content(model)
    change(model)
    assert model_content(model) != before


@pytest.mark.parametrize("change", [{"num_attention_heads": 2}, {"hidden_act": "relu"}, {"layer_norm_eps": 1e-3}])
def test_the_configuration_of_the_transformer_is_content(change, bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    assert all(getattr(model.transformer.auto_model.config, name) != value for name, value in change.items())
    other = shutil.copytree(bert, tmp_path / "other")
    (config,) = other.rglob("config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    found = model_content(SentenceTransformer(other, device="cpu"))
    assert found != model_content(model)
    assert found["sha256"] == model_content(model)["sha256"]


def test_the_settings_of_an_adapter_are_content(bert, tmp_path):
    peft = pytest.importorskip("peft")
    found = []
    for alpha in (4, 32):
        model = SentenceTransformer(bert, device="cpu")
        torch.manual_seed(0)
        model.add_adapter(peft.LoraConfig(r=2, lora_alpha=alpha, target_modules=["query", "value"]))
        found.append(model_content(model))
        model.save_pretrained(tmp_path / str(alpha))
        assert model_content(SentenceTransformer(tmp_path / str(alpha), device="cpu")) == found[-1]
    assert found[0] != found[1]
    assert found[0]["sha256"] == found[1]["sha256"]


def test_settings_of_modules_are_content(bert, tmp_path):
    modules = list(SentenceTransformer(bert, device="cpu"))
    found = [
        model_content(SentenceTransformer(modules=parts, device="cpu"))
        for parts in (
            [*modules, _dense(torch.nn.Tanh())],
            [*modules, _dense(torch.nn.ReLU())],
            _routes(bert),
            _routes(bert, default_route="document"),
            _routes(bert, route_mappings={("other", "text"): "document"}),
            list(SentenceTransformer(build_bert(tmp_path / "other", seed=1), device="cpu")),
        )
    ]
    for number, content in enumerate(found):
        assert content not in found[:number]
