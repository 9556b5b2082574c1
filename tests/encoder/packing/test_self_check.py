"""The self-check: packing is switched off for a model that computes other values packed than padded."""

import copy
import itertools
import logging

import numpy as np
import pytest
import torch

from tercet._events import WarningKind, collect_warnings
from tercet.encoder.packing import self_check
from tercet.encoder.packing.attention import PackedLayout
from tercet.encoder.packing.packing import Packing
from tests.encoder.tiny import run_packed, run_padded, runs_packed, tiny, token_ids


def test_a_model_that_fails_packed_is_padded_with_a_warning(bert, caplog):
    transformer = tiny("bert", bert)

    def one_row_fails(_, inputs):
        if inputs[0].shape[0] == 1:
            raise ValueError("cannot take a single row")

    transformer.auto_model.encoder.layer[0].intermediate.register_forward_pre_hook(one_row_fails)
    with caplog.at_level(logging.WARNING, "tercet"):
        run_packed(transformer, token_ids([4] * 6))
    assert "bert model, because it fails on packed batches (ValueError: cannot take a single row)" in caplog.text
    assert transformer.auto_model.config._attn_implementation == "sdpa"


def test_the_check_runs_once_per_precision(bert):
    transformer = tiny("bert", bert, dtype=torch.float32)
    run_packed(transformer, token_ids())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run_packed(transformer, token_ids())
    assert len(transformer._self_checks[1]) == 2
    copied = copy.deepcopy(transformer)
    run_packed(copied, token_ids())
    assert len(copied._self_checks[1]) == 2


def test_a_model_that_computes_other_values_is_padded_with_a_warning(bert, caplog):
    """A layer that mixes tokens outside of attention is correct only if each sentence has a separate row."""
    transformer = tiny("bert", bert)
    transformer.auto_model.embeddings.register_forward_hook(lambda _, __, output: output + output.roll(1, dims=1))
    with caplog.at_level(logging.WARNING, "tercet"), collect_warnings() as warnings:
        packed = run_packed(transformer, token_ids([4] * 6))
        run_packed(transformer, token_ids([4] * 6))
    assert (
        caplog.text.count("bert model, because it returns different hidden states for packed and for padded batches")
        == 1
    )
    assert [warning.kind for warning in warnings] == [WarningKind.PACKING_DISABLED]
    for ours, theirs in zip(packed, run_padded(transformer, token_ids([4] * 6)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        *itertools.product(["bert", "roberta", "modernbert", "mpnet"], ["positions", "neighbours"]),
        ("modernbert", "window"),
    ],
)
@pytest.mark.parametrize("autocast", [False, True])
def test_the_check_finds_mistakes(kind, mistake, autocast, bert, monkeypatch):
    transformer = tiny(kind, bert, dtype=torch.float32)
    if mistake == "positions":
        monkeypatch.setattr(Packing, "positions", property(lambda self: np.arange(self.cu_seqlens[-1]) % 60))
    elif mistake == "neighbours":
        monkeypatch.setattr(PackedLayout, "masks", lambda self, window=None: [None] * len(self.buckets))
    else:
        masks = PackedLayout.masks
        monkeypatch.setattr(PackedLayout, "masks", lambda self, window=None: masks(self))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert not runs_packed(transformer)


def test_a_model_that_runs_with_autocast_only_is_checked_with_it(bert):
    transformer = tiny("bert", bert, dtype=torch.float32)
    transformer.auto_model.encoder.layer[1].intermediate.dense.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert runs_packed(transformer)


@pytest.mark.parametrize(
    ("dtype", "tokens", "passes"),
    [
        (torch.bfloat16, slice(-100, -99), True),  # one of the last, long sentence
        (torch.bfloat16, slice(0, 2), False),  # the first, short sentence
        (torch.bfloat16, slice(-100, None), False),
        (torch.float32, slice(-100, -99), False),
    ],
)
def test_a_single_token_that_bfloat16_rounds_differently_is_no_mistake(dtype, tokens, passes, bert):
    """In all-mpnet-base-v2, one token of a long sentence differs by 0.6 in bfloat16, with padding too."""
    transformer = tiny("bert", bert, dtype=dtype)
    transformer.max_seq_length = 140
    run_with_padding = transformer._run_padded

    def one_differs(input_ids, packing):
        hidden = run_with_padding(input_ids, packing).clone()
        hidden[tokens] = 0.4 * hidden[tokens]
        return hidden

    transformer._run_padded = one_differs
    assert runs_packed(transformer) == passes


@pytest.mark.parametrize("token", [0, -1])
def test_hidden_states_that_are_nan_in_one_sentence_alone_are_a_mistake(token, bert, monkeypatch):
    transformer = tiny("bert", bert, dtype=torch.float32)
    run = self_check.run_packed

    def one_is_nan(*arguments):
        hidden = run(*arguments).clone()
        hidden[token] = torch.nan
        return hidden

    monkeypatch.setattr(self_check, "run_packed", one_is_nan)
    assert not runs_packed(transformer)
