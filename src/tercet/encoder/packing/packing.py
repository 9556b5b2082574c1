"""Packing: the sentences of a batch, end to end in one row of tokens without padding, the shortest first.

Layers that work on single tokens (embeddings, linear layers, normalization) receive a row `(1, tokens, hidden)` and
compute nothing for padding. Only attention needs to know where a sentence ends: see `tercet.encoder.packing.attention`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from tercet.encoder.features import Features


@dataclass(frozen=True, eq=False, kw_only=True)
class Packing:
    """The positions of the sentences of a batch in its row of tokens.

    Attributes:
        lengths: number of tokens of each sentence, ascending `(batch,)`.
        sort_order: the index in the caller's batch of each packed sentence `(batch,)`.
    """

    lengths: np.ndarray
    sort_order: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def cu_seqlens(self) -> np.ndarray:
        """The index of the first token of each sentence, then the number of all tokens `(batch + 1,)`."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @cached_property
    def positions(self) -> np.ndarray:
        """The position of each token in its sentence, from 0 `(tokens,)`."""
        positions: np.ndarray = np.arange(self.cu_seqlens[-1]) - np.repeat(self.cu_seqlens[:-1], self.lengths)
        return positions

    @cached_property
    def inverse_order(self) -> np.ndarray:
        """The index in the row of each sentence of the caller's batch `(batch,)`."""
        return np.argsort(self.sort_order)

    def select(self, sentences: slice) -> "Packing":
        """Return the packing of a row that has only some of the sentences, in their packed order."""
        lengths = self.lengths[sentences]
        return Packing(lengths=lengths, sort_order=np.arange(len(lengths)))

    def similar_lengths(self, max_ratio: float) -> Iterator[slice]:
        """Yield slices of the sentences whose longest has at most `max_ratio` times the tokens of the shortest.

        Sentences without tokens are in no slice.
        """
        start = int(np.searchsorted(self.lengths, 0, side="right"))
        while start < len(self):
            stop = int(np.searchsorted(self.lengths, max_ratio * self.lengths[start], side="right"))
            yield slice(start, stop)
            start = stop


def pack(token_ids: Sequence[Sequence[int]]) -> Features:
    """Return the features of a packed batch: `input_ids` `(1, tokens)` and `packing`.

    Args:
        token_ids: the token ids of each sentence, see `SentenceTransformer.token_ids`.

    Example:
        >>> features = pack([[5, 6, 7], [8]])
        >>> features["input_ids"].tolist(), features["packing"].sort_order.tolist()
        ([[8, 5, 6, 7]], [1, 0])
    """
    lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
    sort_order = np.argsort(lengths, kind="stable")
    row = np.fromiter(chain.from_iterable(token_ids[index] for index in sort_order), np.int64, int(lengths.sum()))
    packing = Packing(lengths=lengths[sort_order], sort_order=sort_order)
    return {"input_ids": torch.from_numpy(row).unsqueeze(0), "packing": packing}


def split(features: Features, max_tokens: int) -> Iterator[tuple[Features, Tensor]]:
    """Yield a packed batch in chunks of at most `max_tokens` tokens; a longer sentence is a chunk by itself.

    Returns:
        For each chunk, its features and the indices of its sentences in the caller's batch `(sentences,)`.
    """
    packing: Packing = features["packing"]
    start = 0
    while start < len(packing):
        stop = int(np.searchsorted(packing.cu_seqlens, packing.cu_seqlens[start] + max_tokens, side="right")) - 1
        chunk = slice(start, max(stop, start + 1))
        row = features["input_ids"][:, packing.cu_seqlens[chunk.start] : packing.cu_seqlens[chunk.stop]]
        indices = torch.from_numpy(packing.sort_order[chunk])
        yield {**features, "input_ids": row, "packing": packing.select(chunk)}, indices
        start = chunk.stop
