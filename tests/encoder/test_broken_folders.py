"""A folder with one thing broken is refused, and the message names the file or the field."""

import json
import os
import time

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.errors import ModelError
from tests.encoder.broken import (
    copy,
    edit,
    entry,
    filled,
    remove,
    renamed,
    save_complete,
    weights,
    with_tensor,
    without,
    write,
)

TEXTS = ["the team won the game", "the soup is hot", "the train is late"]
CONFIG, POOLING, DENSE = "config.json", "1_Pooling/config.json", "2_Dense/config.json"
BERT, PEER, OWN = "sentence_bert_config.json", "config_sentence_transformers.json", "tercet.json"
DEEP = "[" * 200_000


@pytest.fixture(scope="module")
def complete(bert, tmp_path_factory):
    return save_complete(bert, tmp_path_factory.mktemp("complete") / "model")


def index_naming(name):
    def damage(folder):
        tensors = json.dumps({"weight_map": {"embeddings.word_embeddings.weight": name}, "metadata": {}})
        (folder / "model.safetensors").rename(folder / "other.bin")
        (folder / "model.safetensors.index.json").write_text(tensors)

    return damage


def fifo(path):
    def damage(folder):
        (folder / path).unlink(missing_ok=True)
        os.mkfifo(folder / path)

    return damage


def folder_at(path):
    def damage(folder):
        (folder / path).unlink(missing_ok=True)
        (folder / path).mkdir()

    return damage


def more_words(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["lion"] = len(tokenizer["model"]["vocab"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def few_words(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocab = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])[:20]
    tokenizer["model"]["vocab"] = dict(vocab)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


WEIGHTS = {
    "a layer is missing": (without("layer.1."), "incomplete: 16 are missing, such as 'encoder.layer.1"),
    "a tensor is missing": (without("layer.0.output.dense.bias"), "1 are missing, such as 'encoder.layer.0.output"),
    "the words are missing": (without("word_embeddings"), "such as 'embeddings.word_embeddings.weight'"),
    "prefix of torch.compile": (renamed("_orig_mod."), "have the prefix '_orig_mod.', which a wrapper"),
    "prefix of DataParallel": (renamed("module."), "have the prefix 'module.'"),
    "prefix model": (renamed("model."), "have the prefix 'model.'"),
    "prefix of the peer": (renamed("0.auto_model."), "have the prefix '0.auto_model.'"),
    "all renamed": (renamed("x"), "the prefix 'x'"),
    "no weights": (weights(lambda tensors: {}), "num_hidden_layers|largest dimension|are missing"),
    "other shape": (weights(lambda t: {n: v.repeat(*[2] * v.dim()) for n, v in t.items()}), "shape|size"),
    "NaN": (filled("encoder.layer.0.output.dense.bias", float("nan")), "damaged: 'encoder.layer.0.output.dense.bias' "),
    "infinite": (filled("embeddings.word_embeddings.weight", float("inf")), "has 1 NaN or infinite values of"),
    "NaN in Dense": (filled("linear.weight", float("nan"), "2_Dense/model.safetensors"), "2_Dense are damaged"),
    "another layer": (with_tensor("encoder.layer.2.output.dense.bias", 32), "num_hidden_layers 2, but the file has 3"),
    "another weight of a layer": (with_tensor("encoder.layer.0.output.dense.scale", 32), "that config.json leaves out"),
    "a pickle in the index": (index_naming("other.bin"), "names 'other.bin'; only safetensors files in the same"),
    "an index that leads outside": (index_naming("../x.safetensors"), "only safetensors files in the same folder"),
    "an index of missing files": (index_naming("no.safetensors"), "names files that are missing: 'no.safetensors'"),
    "cut": (lambda f: os.truncate(f / "model.safetensors", 4000), "not a valid safetensors file|(?i:incomplete)"),
    "a FIFO": (fifo("model.safetensors"), "model.safetensors is not a regular file"),
}  # fmt: skip
CONFIGS = {
    "more layers than weights": (edit(CONFIG, num_hidden_layers=3), "num_hidden_layers 3, but the file has 2 layers"),
    "fewer layers than weights": (edit(CONFIG, num_hidden_layers=1), "num_hidden_layers 1, but the file has 2 layers"),
    "no layer": (edit(CONFIG, num_hidden_layers=0), "num_hidden_layers must be a positive integer, got 0"),
    "a million layers": (edit(CONFIG, num_hidden_layers=1_000_000), "num_hidden_layers is 1,000,000, but the file"),
    "hidden size as text": (edit(CONFIG, hidden_size="32"), "hidden_size"),
    "hidden size 0": (edit(CONFIG, hidden_size=0), "hidden_size must be a positive integer, got 0"),
    "huge hidden size": (edit(CONFIG, hidden_size=10**12), "hidden_size is 1,000,000,000,000, but the largest"),
    "huge vocabulary": (edit(CONFIG, vocab_size=10**10), "vocab_size is 10,000,000,000, but the largest dimension"),
    "huge feed-forward": (edit(CONFIG, intermediate_size=10**10), "intermediate_size is 10,000,000,000"),
    "huge number of positions": (edit(CONFIG, max_position_embeddings=10**12), "max_position_embeddings is 1,000"),
    "dropout of NaN": (edit(CONFIG, hidden_dropout_prob=float("nan")), "hidden_dropout_prob must be from 0 to 1"),
    "heads that do not divide": (edit(CONFIG, num_attention_heads=5), "hidden size|heads"),
    "no heads": (edit(CONFIG, num_attention_heads=0), "cannot"),
    "another architecture": (edit(CONFIG, model_type="gpt2"), "probably not a gpt2 model; correct model_type"),
    "unknown architecture": (edit(CONFIG, model_type="\x1b[31mnone\x07"), "cannot load the configuration"),
    "a constant model": (edit(CONFIG, layer_norm_eps=1e308), "two different sentences have the same embedding"),
    "null": (write(CONFIG, "null"), "config.json must contain a JSON object, but it contains a NoneType"),
    "deep": (write(CONFIG, DEEP), "config.json is nested too deeply"),
    "flash attention": (edit(CONFIG, attn_implementation="flash_attention_2"), "cannot load"),
    "attention from the hub": (edit(CONFIG, attn_implementation="kernels-community/x"), "is code from the hub"),
    "quantized": (edit(CONFIG, quantization_config={"quant_method": "gptq", "bits": 4}), "cannot load"),
    "pickled weights": (edit(CONFIG, transformers_weights="x.bin"), "transformers_weights is 'x.bin'; only saf"),
    "missing": (remove(CONFIG), "config.json is missing"),
    "a folder": (folder_at(CONFIG), "config.json is a folder"),
}  # fmt: skip
TOKENIZERS = {
    "no file": (remove("tokenizer.json"), "has no file of a tokenizer, such as tokenizer.json"),
    "no file and no settings": (remove("tokenizer.json", "tokenizer_config.json"), "has no file of a tokenizer"),
    "more tokens than rows": (more_words, "has 105 tokens, but the encoder has 104 embedding rows"),
    "few tokens": (few_words, "probably the tokenizer of another model"),
    "class of GPT-2": (edit("tokenizer_config.json", tokenizer_class="GPT2Tokenizer"), "tokenizer"),
    "class of Llama": (edit("tokenizer_config.json", tokenizer_class="LlamaTokenizer"), "tokenizer"),
    "class of T5": (edit("tokenizer_config.json", tokenizer_class="T5Tokenizer"), "cannot load the tokenizer of"),
    "deep": (write("tokenizer.json", DEEP), "cannot load the tokenizer of"),
    "empty": (write("tokenizer.json", ""), "cannot load the tokenizer of"),
    "length as text": (edit("tokenizer_config.json", model_max_length="x"), "cannot|max_seq_length"),
}  # fmt: skip
SETTINGS = {
    "length as text": (edit(BERT, max_seq_length="32"), "max_seq_length must be a positive integer, .*; got '32'"),
    "length 0": (edit(BERT, max_seq_length=0), "max_seq_length must be a positive integer"),
    "length -1": (edit(BERT, max_seq_length=-1), "max_seq_length must be a positive integer"),
    "length 1.5": (edit(BERT, max_seq_length=1.5), "max_seq_length must be a positive integer"),
    "length true": (edit(BERT, max_seq_length=True), "max_seq_length must be a positive integer"),
    "no room for a word": (edit(BERT, max_seq_length=2), "max_seq_length is 2, but each sentence has 2 special tokens"),
    "lower case as text": (edit(BERT, do_lower_case="no"), "do_lower_case must be true or false, got 'no'"),
    "a list of prompts": (edit(PEER, prompts=["a"]), "prompts must be a JSON object"),
    "a number as prompt": (edit(PEER, prompts={"a": 5}), "the prompt 'a' must be a string, got 5"),
    "half a character": (edit(PEER, prompts={"a": "\ud800"}), "lone surrogate"),
    "default that is no prompt": (edit(PEER, default_prompt_name="b"), "default_prompt_name is 'b', but the prompts"),
    "default of another type": (edit(PEER, default_prompt_name=["a"]), "default_prompt_name is .'a'., but"),
    "long default prompt": (
        edit(PEER, prompts={"a": "the game " * 40}, default_prompt_name="a"), "has 82 tokens .* no word would be left"
    ),
    "similarity misspelt": (edit(PEER, similarity_fn_name="cosin"), "unknown similarity 'cosin'"),
    "similarity a list": (edit(PEER, similarity_fn_name=["cosine"]), "unknown similarity"),
    "truncate_dim as text": (edit(PEER, truncate_dim="8"), "truncate_dim must be a positive integer or None, got '8'"),
    "truncate_dim 0": (edit(PEER, truncate_dim=0), "truncate_dim must be a positive integer or None, got 0"),
    "label names as text": (edit(OWN, label_names="abc"), "label_names must be a list of strings, got 'abc'"),
    "label names as numbers": (edit(OWN, label_names=[1, 2]), "label_names must be a list of strings"),
    "training as text": (edit(OWN, training="x"), "'training' must be a JSON object with the field 'loss'"),
    "training without loss": (edit(OWN, training={"data": {}}), "must be a JSON object with the field 'loss'"),
    "training with a list": (edit(OWN, training={"loss": "x", "data": [1]}), "'data' of 'training' must be a JSON obj"),
    "own settings no object": (write(OWN, "[]"), "tercet.json must contain a JSON object"),
    "own settings of a newer version": (write(OWN, '{"format_version": 3}'), "which a newer Tercet wrote; update"),
    "own settings without a version": (write(OWN, '{"format_version": "x"}'), "not the file of a model: format_v"),
    "own settings unreadable": (folder_at(OWN), "tercet.json is a folder"),
}  # fmt: skip
MODULES = {
    "deep": (write("modules.json", DEEP), "modules.json is nested too deeply"),
    "null": (write("modules.json", "null"), "must contain a non-empty list of modules"),
    "a FIFO": (fifo("modules.json"), "modules.json is not a regular file"),
    "a folder": (folder_at("modules.json"), "modules.json is a folder"),
    "not UTF-8": (lambda f: (f / "modules.json").write_bytes(b"\xff"), "modules.json is not valid JSON"),
    "a type with control characters": (entry(2, type="\x1b[31mred\x07"), "module of type �.31mred�; supported are"),
    "a Transformer too many": (entry(1, type="sentence_transformers.models.Transformer"), "several modules of type"),
    "no Pooling": (entry(1, type="sentence_transformers.models.Normalize"), "has no module of type Pooling"),
    "a path outside": (entry(1, path="../1_Pooling"), "which is outside of the folder"),
    "an absolute path": (entry(1, path="/tmp"), "which is outside of the folder"),
    "a number as path": (entry(1, path=1), "must contain a non-empty list of modules"),
    "idx as text": (entry(1, idx="1"), "must contain a non-empty list of modules"),
    "a name with a dot": (entry(1, name="1.5"), "the name of module 1 is '1.5'; names must be texts without dots"),
    "a name that is no text": (entry(1, name=1.5), "the name of module 1 is 1.5; names must be texts without dots"),
    "a name twice": (entry(1, name="0"), "the name of module 1 is '0'"),
    "other order": (entry(1, idx=2.5), "module 2 .Pooling. has word_embedding_dimension 32, but"),
    "pooling dimension": (edit(POOLING, word_embedding_dimension=999), "word_embedding_dimension 999, but the"),
    "huge pooling": (edit(POOLING, word_embedding_dimension=10**12), "has word_embedding_dimension 1000000000000"),
    "pooling dimension as text": (edit(POOLING, word_embedding_dimension="32"), "must be an integer"),
    "pooling mode a number": (edit(POOLING, pooling_mode=5), "cannot create the Pooling module"),
    "prompt setting as text": (edit(POOLING, include_prompt="no"), "include_prompt must be true or false"),
    "a FIFO as settings": (fifo(POOLING), "1_Pooling/config.json is not a regular file"),
    "Dense of other input": (edit(DENSE, in_features=16), "out_features and in_features are .8, 16."),
    "huge Dense": (edit(DENSE, out_features=10**12), "linear.weight has the size .8, 32., but out_features"),
    "Dense size as text": (edit(DENSE, out_features="8"), "out_features and in_features are"),
    "activation a number": (edit(DENSE, activation_function=5), "has the activation 5; only activations in torch"),
    "no folder": (entry(1, path="nowhere"), "nowhere/config.json is missing"),
}  # fmt: skip
CASES = {
    f"{area}: {name}": case
    for area, cases in {
        "weights": WEIGHTS,
        "config": CONFIGS,
        "tokenizer": TOKENIZERS,
        "settings": SETTINGS,
        "modules": MODULES,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_folder_is_refused(name, complete, tmp_path):
    damage, message = CASES[name]
    folder = copy(complete, tmp_path / "model")
    damage(folder)
    start = time.monotonic()
    with pytest.raises(ModelError, match=message) as refused:
        SentenceTransformer(folder, device="cpu")
    assert time.monotonic() - start < 5
    assert all(char.isprintable() for char in str(refused.value).replace("\n", ""))


@pytest.mark.parametrize("damage", [without("pooler"), with_tensor("cls.predictions.bias", 32), edit(CONFIG, extra=1)])
def test_what_is_not_used_may_be_missing_or_more(damage, complete, tmp_path):
    folder = copy(complete, tmp_path / "model")
    damage(folder)
    loaded = SentenceTransformer(folder, device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), SentenceTransformer(complete, device="cpu").encode(TEXTS))


def test_finite_weights_whose_sum_overflows_are_accepted(complete, tmp_path):
    folder = copy(complete, tmp_path / "model")
    weights(lambda t: {**t, "pooler.dense.bias": torch.full((32,), 3e38)})(folder)
    SentenceTransformer(folder, device="cpu")
