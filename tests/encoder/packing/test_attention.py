"""Attention on a packed row against attention on each sentence alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.encoder.packing.attention import PackedLayout, attend
from tercet.encoder.packing.packing import Packing


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=12).filter(any),
    window=st.none() | st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_attention_equals_that_of_each_sentence_alone(lengths, window, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = np.sort(lengths)
    packing = Packing(lengths=lengths, sort_order=np.arange(len(lengths)))
    q, k, v = (torch.randn(int(lengths.sum()), 2, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    layout = PackedLayout(packing, torch.device("cpu"))
    result = attend(q, k, v, layout, layout.masks(window), scale=0.7)
    for start, length in zip(packing.cu_seqlens, lengths, strict=False):
        part = slice(start, start + length)
        scores = torch.einsum("qhd,khd->hqk", q[part], k[part]) * 0.7
        apart = (torch.arange(length).unsqueeze(1) - torch.arange(length)).abs()
        scores = scores if window is None else scores.masked_fill(apart >= window, -torch.inf)
        torch.testing.assert_close(result[part], torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[part]))
