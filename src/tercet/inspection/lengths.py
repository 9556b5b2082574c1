"""Count the tokens of the sentences, and the sentences that a model truncates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

# The number of sentences to tokenize at once, so that the tokens of a large data set are never all in memory.
_CHUNK_SIZE = 4096


@dataclass(frozen=True, kw_only=True)
class TokenLengths:
    """Statistics of the number of tokens per sentence. Special tokens and the default prompt are counted too.

    Attributes:
        limit: the maximum number of tokens that the model accepts; None if it has no maximum.
        truncated: the number of sentences with more tokens than the limit.
        unknown_fraction: the fraction of the tokens that are not in the vocabulary of the model.
        mean: the mean number of tokens.
        longest: the number of tokens of the longest sentence.
        percentiles: the number of tokens at the percentiles 50, 95 and 99.
        histogram: for each bin, its largest number of tokens and the number of sentences in it.
    """

    limit: int | None
    truncated: int
    mean: float
    longest: int
    percentiles: dict[int, int]
    histogram: list[tuple[int, int]]
    unknown_fraction: float = 0.0


def count_tokens(model: "SentenceTransformer", sentences: Sequence[str]) -> np.ndarray:
    """Return the number of tokens `(n,)` of each of the n sentences before truncation."""
    chunks = (list(sentences[start : start + _CHUNK_SIZE]) for start in range(0, len(sentences), _CHUNK_SIZE))
    return np.array([count for chunk in chunks for count in model.token_counts(chunk)], dtype=np.int64)


def summarize_lengths(counts: np.ndarray, limit: int | None, unknown_fraction: float = 0.0) -> TokenLengths:
    """Compute statistics of token counts `(n,)`.

    The first bin of the histogram is up to 8 tokens, and the upper bound doubles with each bin.

    Args:
        counts: the number of tokens of each sentence; at least one.
        limit: the maximum number of tokens that the model accepts, or None.
        unknown_fraction: the fraction of the tokens that are not in the vocabulary.
    """
    longest = int(counts.max())
    bounds = [8]
    while bounds[-1] < longest:
        bounds.append(2 * bounds[-1])
    up_to_bound = np.searchsorted(np.sort(counts), bounds, side="right")
    return TokenLengths(
        limit=limit,
        unknown_fraction=unknown_fraction,
        truncated=0 if limit is None else int((counts > limit).sum()),
        mean=float(counts.mean()),
        longest=longest,
        percentiles={p: int(np.percentile(counts, p, method="higher")) for p in (50, 95, 99)},
        histogram=list(zip(bounds, np.diff(up_to_bound, prepend=0).tolist(), strict=True)),
    )
