"""Unusual folders of valid models load, with the embeddings that sentence-transformers computes."""

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer as Peer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from tercet import SentenceTransformer

TEXTS = ["the team won the game", "the soup is hot", "a room in the hotel and the bus left early with the bread"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
OLD_NAMES = ["roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"]


def check_same_as_peer(folder):
    ours = SentenceTransformer(folder, device="cpu").encode(TEXTS)
    np.testing.assert_allclose(ours, Peer(str(folder), device="cpu").encode(TEXTS), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", OLD_NAMES)
def test_settings_under_an_old_name_are_read(name, bert, tmp_path):
    Peer(str(bert), device="cpu").save_pretrained(str(tmp_path / "model"))
    (tmp_path / "model/sentence_bert_config.json").unlink()
    (tmp_path / f"model/sentence_{name}_config.json").write_text('{"max_seq_length": 5, "do_lower_case": false}')
    assert SentenceTransformer(tmp_path / "model", device="cpu").max_seq_length == 5
    check_same_as_peer(tmp_path / "model")


def test_embeddings_may_be_padded_to_a_round_number_of_rows(bert, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(bert)
    model = BertModel(BertConfig.from_pretrained(bert))
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=512)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    check_same_as_peer(tmp_path / "model")


def test_a_unigram_tokenizer_of_another_language_loads(tmp_path):
    """Its vocabulary has no Latin letter, so that each word of the test sentence is unknown."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in "абвгдежзиклмнопрстуфхцчшыьэюя"]
    backend = Tokenizer(models.Unigram(pieces, unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=1, **SIZES)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    model = SentenceTransformer(tmp_path / "model", device="cpu")
    texts = ["москва", "пора домой"]
    np.testing.assert_allclose(
        model.encode(texts), Peer(str(tmp_path / "model"), device="cpu").encode(texts), atol=1e-5
    )


@pytest.mark.slow
def test_half_precision_weights_of_a_masked_language_model(bert, tmp_path):
    from transformers import BertForMaskedLM

    torch.manual_seed(0)
    BertForMaskedLM(BertConfig.from_pretrained(bert)).half().save_pretrained(tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert / name, tmp_path / "model" / name)
    assert json.loads((tmp_path / "model/config.json").read_text())["architectures"] == ["BertForMaskedLM"]
    ours = SentenceTransformer(tmp_path / "model", device="cpu")
    theirs = Peer(str(tmp_path / "model"), device="cpu", model_kwargs={"dtype": torch.float32})
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5)
