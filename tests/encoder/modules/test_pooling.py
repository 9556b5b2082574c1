"""Pooling of a packed row against pooling of a padded batch."""

import pytest
import torch

from tercet.encoder.modules import pooling_functions
from tercet.encoder.modules.pooling import Pooling
from tercet.encoder.modules.pooling_functions import _reduce_segments
from tercet.encoder.packing.packing import pack
from tests.encoder.tiny import tiny, token_ids


@pytest.mark.parametrize("mode", [*Pooling.MODES, ["cls", "mean"]])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_packed_row_pools_to_the_same_values_as_a_padded_batch(mode, include_prompt, bert):
    transformer, ids = tiny("bert", bert), token_ids([7, 5, 33, 4])
    module = Pooling(32, mode, include_prompt)
    row = module({**transformer(pack(ids)), "prompt_length": 3})["sentence_embedding"]
    longest = max(map(len, ids))
    rows = torch.tensor([sentence + [0] * (longest - len(sentence)) for sentence in ids])
    mask = (torch.arange(longest) < torch.tensor([[len(sentence)] for sentence in ids])).long()
    batch = transformer({"input_ids": rows, "attention_mask": mask, "prompt_length": 3})
    torch.testing.assert_close(row, module(batch)["sentence_embedding"])


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("mode", Pooling.MODES)
@pytest.mark.parametrize("prompt_length", [0, 2])
def test_sentences_without_tokens(kind, mode, prompt_length, bert):
    """Some tokenizers add no special tokens, so an empty text has no token at all, or none but those of a prompt."""
    transformer, module = tiny(kind, bert), Pooling(32, mode, include_prompt=not prompt_length)

    def embed(ids):
        return module({**transformer(pack(ids)), "prompt_length": prompt_length})["sentence_embedding"]

    prompt = [8, 9][:prompt_length]
    some = embed([prompt, [*prompt, 5, 6], prompt])
    assert some[0].abs().sum() == some[2].abs().sum() == 0
    torch.testing.assert_close(some[1], embed([[*prompt, 5, 6]])[0])
    assert embed([prompt, prompt]).abs().sum() == 0


@pytest.mark.parametrize("reduction", ["sum", "max"])
def test_segments_are_reduced_to_the_same_values_on_every_device(reduction, monkeypatch):
    x = torch.randn(9, 4)
    lengths = torch.tensor([2, 3, 4])
    expected = _reduce_segments(x, lengths, reduction)
    monkeypatch.setattr(pooling_functions, "_SEGMENT_REDUCE_DEVICES", ())
    torch.testing.assert_close(_reduce_segments(x, lengths, reduction), expected)
