"""Counts that need no model: sizes of labels, empty texts, duplicates, and texts under several labels.

Two texts count as the same if they differ only in case, white space, Unicode form and zero-width characters. Rows are
numbered from 0, the first row of data.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# A zero-width space, a byte order mark and a soft hyphen: none of them is visible.
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\ufeff\u00ad"))


@dataclass(frozen=True, kw_only=True)
class LabelSizes:
    """The number of sentences of each label.

    Attributes:
        count: the number of labels.
        smallest: a label with the fewest sentences, and their number; None if there is no label.
        largest: a label with the most sentences, and their number; None if there is no label.
        median: the median number of sentences of a label.
        singletons: the number of labels with one sentence, which can only serve as a negative.
        sizes: each label and its number of sentences, the largest first.
    """

    count: int
    smallest: tuple[str, int] | None
    largest: tuple[str, int] | None
    median: float
    singletons: int
    sizes: list[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A text that appears under several labels."""

    text: str
    labels: list[str]
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class TextSummary:
    """Counts that need no model.

    Attributes:
        rows: the number of rows.
        empty: the rows without a text.
        duplicates: the rows whose text appeared in an earlier row under the same label.
        contradictions: the texts under more than one label, in the order of the data.
        labels: the sizes of the labels; rows without a text are not counted.
    """

    rows: int
    empty: list[int]
    duplicates: list[int]
    contradictions: list[Contradiction]
    labels: LabelSizes


def text_keys(texts: Sequence[str]) -> list[str]:
    """Return a key for each text; the same key means the same text."""
    normalized = (unicodedata.normalize("NFKC", text).translate(_ZERO_WIDTH) for text in texts)
    return [" ".join(text.casefold().split()) for text in normalized]


def summarize_texts(texts: Sequence[str], label_ids: np.ndarray, label_names: Sequence[str]) -> TextSummary:
    """Count empty texts, duplicates, contradictions and sizes of labels.

    Args:
        texts: the texts, some of which may be empty.
        label_ids: the label of each text `(n,)`, an index into `label_names`.
        label_names: the names of the labels.
    """
    empty, duplicates = [], []
    rows_by_key: dict[str, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    for row, (key, label_id) in enumerate(zip(text_keys(texts), label_ids.tolist(), strict=True)):
        if not key:
            empty.append(row)
            continue
        if (key, label_id) in seen:
            duplicates.append(row)
        seen.add((key, label_id))
        rows_by_key.setdefault(key, []).append(row)
    contradictions = [
        Contradiction(text=texts[rows[0]], labels=sorted({label_names[label_ids[row]] for row in rows}), rows=rows)
        for rows in rows_by_key.values()
        if len(rows) > 1 and len(np.unique(label_ids[rows])) > 1
    ]
    return TextSummary(
        rows=len(texts),
        empty=empty,
        duplicates=duplicates,
        contradictions=contradictions,
        labels=label_sizes(np.delete(label_ids, empty), label_names),
    )


def label_sizes(label_ids: np.ndarray, label_names: Sequence[str]) -> LabelSizes:
    """Count the sentences of each label, from the labels of the sentences `(n,)`; labels without any are left out."""
    counts = np.bincount(label_ids, minlength=len(label_names))
    order = [label_id for label_id in np.argsort(-counts, kind="stable").tolist() if counts[label_id]]
    sizes = [(label_names[label_id], int(counts[label_id])) for label_id in order]
    numbers = [size for _, size in sizes]
    return LabelSizes(
        count=len(sizes),
        smallest=sizes[-1] if sizes else None,
        largest=sizes[0] if sizes else None,
        median=float(np.median(numbers)) if sizes else 0.0,
        singletons=numbers.count(1),
        sizes=sizes,
    )
