"""The lengths of the sentences in tokens, and how many sentences a model truncates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

# Sentences tokenized at a time, so that the tokens of a large data set are never all in memory.
_CHUNK_SIZE = 4096


@dataclass(frozen=True, kw_only=True)
class TokenLengths:
    """Token counts of the sentences, special tokens included.

    Attributes:
        limit: the maximum of the model; None if it has none.
        truncated: the number of sentences beyond the limit.
        mean: the mean count.
        longest: the largest count.
        percentiles: the counts at the percentiles 50, 95 and 99.
        histogram: the upper bound of each bin, and the number of sentences in it.
    """

    limit: int | None
    truncated: int
    mean: float
    longest: int
    percentiles: dict[int, int]
    histogram: list[tuple[int, int]]


def count_tokens(model: "SentenceTransformer", sentences: Sequence[str]) -> np.ndarray:
    """Count the tokens of each sentence before truncation, `(n,)`."""
    chunks = (list(sentences[start : start + _CHUNK_SIZE]) for start in range(0, len(sentences), _CHUNK_SIZE))
    return np.array([count for chunk in chunks for count in model.token_counts(chunk)], dtype=np.int64)


def summarize_lengths(counts: np.ndarray, limit: int | None) -> TokenLengths:
    """Summarize token counts `(n,)`, n at least 1; each bin of the histogram is twice as wide as the one before."""
    longest = int(counts.max())
    bounds = [8]
    while bounds[-1] < longest:
        bounds.append(2 * bounds[-1])
    up_to_bound = np.searchsorted(np.sort(counts), bounds, side="right")
    return TokenLengths(
        limit=limit,
        truncated=0 if limit is None else int((counts > limit).sum()),
        mean=float(counts.mean()),
        longest=longest,
        percentiles={p: int(np.percentile(counts, p, method="higher")) for p in (50, 95, 99)},
        histogram=list(zip(bounds, np.diff(up_to_bound, prepend=0).tolist(), strict=True)),
    )
