"""How long the sentences are in tokens, and how many a model cuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_WINDOW = 4096


@dataclass(frozen=True)
class Lengths:
    """Tokens of the sentences, special ones included.

    Attributes:
        limit: of the model, None where it has none.
        cut: sentences beyond it.
        percentiles: at 50, 95 and 99 %.
        histogram: pairs of a length and how many sentences are longer than the length before and not than this one.
    """

    limit: int | None
    cut: int
    mean: float
    longest: int
    percentiles: dict[int, int]
    histogram: list[tuple[int, int]]


def count_tokens(model: Any, sentences: Sequence[str]) -> np.ndarray:
    """Tokens of each sentence before it is cut, `(sentences,)`, by a `SentenceTransformer`."""
    windows = (list(sentences[start : start + _WINDOW]) for start in range(0, len(sentences), _WINDOW))
    return np.array([count for window in windows for count in model.token_counts(window)], dtype=np.int64)


def length_facts(counts: np.ndarray, limit: int | None) -> Lengths:
    """Sum up token counts `(sentences,)`, of which there is at least one; the bins of the histogram double."""
    longest = int(counts.max())
    bounds = [8]
    while bounds[-1] < longest:
        bounds.append(2 * bounds[-1])
    within = np.searchsorted(np.sort(counts), bounds, side="right")
    return Lengths(
        limit,
        0 if limit is None else int((counts > limit).sum()),
        float(counts.mean()),
        longest,
        {p: int(np.percentile(counts, p, method="higher")) for p in (50, 95, 99)},
        list(zip(bounds, np.diff(within, prepend=0).tolist(), strict=True)),
    )
