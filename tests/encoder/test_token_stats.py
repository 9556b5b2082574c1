"""Texts that are cut and tokens that are unknown: counted while they are tokenized, warned about once."""

import copy

import pytest

from tercet import SentenceTransformer
from tercet._events import WarningKind, collect_warnings
from tercet.encoder.token_stats import TokenStats, collect_token_stats

LONG = "the team won the game " * 20


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


def _kinds(warnings):
    return [warning.kind for warning in warnings]


def test_only_texts_beyond_the_limit_are_truncated(model):
    limit = model.max_seq_length
    texts = ["the " * (limit - 2), "the " * (limit - 1), LONG, "the team", ""]
    stats = TokenStats()
    ids = model.transformer.token_ids(texts, stats)
    assert ids == model.token_ids(texts)
    assert (stats.texts, stats.truncated, stats.limit) == (5, 2, limit)
    assert stats.tokens == sum(len(sentence) - 2 for sentence in ids)


def test_unknown_tokens_are_counted(model):
    stats = TokenStats()
    model.transformer.token_ids(["the 订单 在 哪里", "the game"], stats)
    assert (stats.unknown, stats.tokens) == (5, 8)
    assert stats.to_dict()["unknown_tokens"] == 0.625


def test_the_end_of_a_text_is_no_unknown_token(model):
    """GPT-2 and others give one token both meanings, and use it only at the end."""
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.unk_token = tokenizer.sep_token
    model.transformer.tokenizer = tokenizer
    stats = TokenStats()
    model.transformer.token_ids(["the game"], stats)
    assert stats.unknown == 0


def test_encode_warns_once_for_each_kind(model):
    with collect_warnings() as warnings:
        model.encode(["the team won the game"] * 200 + [LONG])  # less than 1 %
        assert warnings == []
        model.encode([LONG, "the team"])
        model.encode([LONG, "订单 在 哪里"])
        model.encode([LONG, "订单 在 哪里"])
    assert _kinds(warnings) == [WarningKind.TRUNCATED_TEXTS, WarningKind.UNKNOWN_TOKENS]
    assert "1 of 2 texts is longer than 32 tokens, the limit of this model, and is cut" in warnings[0].message
    assert "of the tokens of the texts are unknown to this model" in warnings[1].message
    assert "multilingual" in warnings[1].message


def test_collected_counts_are_not_warned_about(model):
    with collect_warnings() as warnings, collect_token_stats() as stats:
        model.encode([LONG, "the team"])
        model.encode("the game")
    assert (stats.texts, stats.truncated, warnings) == (3, 1, [])
