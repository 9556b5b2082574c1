"""Pack the sentences of a batch into one row of tokens without padding, sorted by length, the shortest first.

Layers that process each token alone (embeddings, linear layers, normalization) receive the row
`(1, num_tokens, hidden_size)`, and need no change. Only attention has to know where each sentence starts and ends; see
`tercet.encoder.packing.attention`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from tercet._transfer import to_device
from tercet.encoder.features import Features
from tercet.encoder.packing.varlen_kernels import Sentences


@dataclass(frozen=True, eq=False, kw_only=True)
class PackingOnDevice:
    """The arrays of a `Packing` as tensors on one device. They are copied once per batch.

    Attributes:
        positions: `(num_tokens,)`, see `Packing`, like `lengths` and `inverse_order`, both `(batch,)`.
        lengths: the number of tokens of each sentence.
        inverse_order: the index in the row of each sentence of the caller's batch.
        sentences: the sentences that have tokens, for attention.
    """

    positions: Tensor
    lengths: Tensor
    inverse_order: Tensor
    sentences: Sentences


@dataclass(frozen=True, eq=False, kw_only=True)
class Packing:
    """The lengths and the order of the sentences in a packed row.

    Attributes:
        lengths: number of tokens of each sentence of the row `(batch,)`, in ascending order.
        sort_order: index in the caller's batch of each sentence of the row `(batch,)`.
    """

    lengths: np.ndarray
    sort_order: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def cu_seqlens(self) -> np.ndarray:
        """Cumulative sentence lengths `(batch + 1,)`, starting with 0. Sentence i starts at token `cu_seqlens[i]`."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @cached_property
    def positions(self) -> np.ndarray:
        """The position of each token in its sentence `(num_tokens,)`, starting at 0."""
        positions: np.ndarray = np.arange(self.cu_seqlens[-1]) - np.repeat(self.cu_seqlens[:-1], self.lengths)
        return positions

    @cached_property
    def inverse_order(self) -> np.ndarray:
        """The index in the row of each sentence of the caller's batch `(batch,)`: the inverse of `sort_order`."""
        return np.argsort(self.sort_order)

    @cached_property
    def _on_devices(self) -> dict[torch.device, PackingOnDevice]:
        return {}

    def on(self, device: torch.device) -> PackingOnDevice:
        """Return the arrays as tensors on a device."""
        if device not in self._on_devices:
            ends = self.cu_seqlens[np.concatenate([[True], self.lengths > 0])]
            arrays = [self.positions, self.lengths, self.inverse_order, ends]
            positions, lengths, order, ends_on_device = to_device(arrays, device)
            self._on_devices[device] = PackingOnDevice(
                positions=positions,
                lengths=lengths,
                inverse_order=order,
                sentences=Sentences(ends_on_device.to(torch.int32), int(self.lengths[-1])),
            )
        return self._on_devices[device]

    def select(self, sentences: slice) -> "Packing":
        """Return the packing of a row of only the given slice of sentences, numbered in this order as a new batch."""
        lengths = self.lengths[sentences]
        return Packing(lengths=lengths, sort_order=np.arange(len(lengths)))

    def similar_lengths(self, max_ratio: float) -> Iterator[slice]:
        """Yield slices of sentences of similar length.

        The longest sentence of a slice has at most `max_ratio` times the tokens of its shortest sentence. Sentences
        without tokens are skipped.
        """
        start = int(np.searchsorted(self.lengths, 0, side="right"))
        while start < len(self):
            stop = int(np.searchsorted(self.lengths, max_ratio * self.lengths[start], side="right"))
            yield slice(start, stop)
            start = stop


def pack(token_ids: Sequence[Sequence[int]]) -> Features:
    """Return the features of a packed batch: `input_ids` `(1, num_tokens)` and `packing`.

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
    """Split a packed batch into chunks of at most `max_tokens` tokens. A longer sentence is the only one of its chunk.

    Yields:
        The features of a chunk, and the indices of its sentences in the caller's batch `(num_sentences,)`.
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
