"""Batches without padding: sentences laid end to end in one row of tokens, the shortest first.

Whatever works on single tokens (embeddings, linear layers, normalization) sees a row `(1, tokens, hidden)`
and computes nothing for padding. `tercet.encoder.packing.attention` alone must know where a sentence ends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch

Features = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the sentences of a batch lie in its row of tokens.

    Attributes:
        lengths: tokens of each sentence, ascending `(batch,)`.
        order: which sentence of the caller's batch each of them is `(batch,)`.
    """

    lengths: np.ndarray
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def cu_seqlens(self) -> np.ndarray:
        """The first token of each sentence, and after the last the number of all tokens `(batch + 1,)`."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @cached_property
    def positions(self) -> np.ndarray:
        """Each token's place in its sentence, from 0 `(tokens,)`."""
        return np.arange(self.cu_seqlens[-1]) - np.repeat(self.cu_seqlens[:-1], self.lengths)

    @cached_property
    def inverse_order(self) -> np.ndarray:
        """Where among the packed each sentence of the caller's batch is `(batch,)`."""
        return np.argsort(self.order)

    def part(self, sentences: slice) -> "Packing":
        """Some of the sentences as a row of their own, in the order in which they stand here."""
        lengths = self.lengths[sentences]
        return Packing(lengths, np.arange(len(lengths)))

    def parts(self, ratio: float) -> Iterator[slice]:
        """Runs of sentences with tokens, the longest of each at most `ratio` times as long as the shortest."""
        start = int(np.searchsorted(self.lengths, 0, side="right"))
        while start < len(self):
            stop = int(np.searchsorted(self.lengths, ratio * self.lengths[start], side="right"))
            yield slice(start, stop)
            start = stop


def pack(token_ids: Sequence[Sequence[int]]) -> Features:
    """Token ids of sentences → features: `input_ids` `(1, tokens)` and the `packing`."""
    lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
    order = np.argsort(lengths, kind="stable")
    row = np.fromiter(chain.from_iterable(token_ids[place] for place in order), np.int64, int(lengths.sum()))
    return {"input_ids": torch.from_numpy(row).unsqueeze(0), "packing": Packing(lengths[order], order)}


def cut(features: Features, tokens: int) -> Iterator[tuple[Features, torch.Tensor]]:
    """A packed batch in packed parts of at most `tokens`, each with the places of its sentences in the batch.

    A longer sentence is a part of its own.
    """
    packing: Packing = features["packing"]
    start = 0
    while start < len(packing):
        stop = int(np.searchsorted(packing.cu_seqlens, packing.cu_seqlens[start] + tokens, side="right")) - 1
        part = slice(start, max(stop, start + 1))
        row = features["input_ids"][:, packing.cu_seqlens[part.start] : packing.cu_seqlens[part.stop]]
        places = torch.from_numpy(packing.order[part])
        yield {**features, "input_ids": row, "packing": packing.part(part)}, places
        start = part.stop
