"""Count what needs no model: label sizes, empty texts, duplicates, and texts with several labels.

Two texts count as equal if they are copies: if they differ at most in case, white space, Unicode form (NFKC) or
invisible characters (`tercet._texts.text_key`). A text counts as empty if it has only white space and invisible
characters. Row 0 is the first row of data, after a header.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tercet._texts import text_keys


@dataclass(frozen=True, kw_only=True)
class Example:
    """A sentence of the data with its label.

    Attributes:
        row: the row number; the first row of data, after a header, is 0.
        text: the sentence.
        label: the name of the label.
    """

    row: int
    text: str
    label: str


@dataclass(frozen=True, kw_only=True)
class LabelSizes:
    """The number of sentences of each label.

    Attributes:
        count: the number of labels.
        smallest: the label with the fewest sentences, and its number of sentences; None if there is no label.
        largest: the label with the most sentences, and its number of sentences; None if there is no label.
        median: the median number of sentences of a label; 0 if there is no label.
        singletons: the number of labels with one sentence. These sentences have no positive, only negatives.
        sizes: each label and its number of sentences, the largest label first.
    """

    count: int
    smallest: tuple[str, int] | None
    largest: tuple[str, int] | None
    median: float
    singletons: int
    sizes: list[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A text that appears with several labels.

    Attributes:
        text: the text as it is in the first of the rows.
        labels: the names of its labels.
        rows: the rows that contain the text.
    """

    text: str
    labels: list[str]
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class TextSummary:
    """The counts that need no model.

    Attributes:
        rows: the number of rows.
        empty: the rows whose text is empty.
        duplicates: the rows that repeat the text and the label of an earlier row.
        contradictions: the texts that appear with more than one label, in the order of the data.
        labels: the label sizes, without the rows whose text is empty.
    """

    rows: int
    empty: list[int]
    duplicates: list[int]
    contradictions: list[Contradiction]
    labels: LabelSizes


def summarize_texts(texts: Sequence[str], label_ids: np.ndarray, label_names: Sequence[str]) -> TextSummary:
    """Find empty texts, duplicates and contradictions, and count the sentences of each label.

    Args:
        texts: the n texts. They may be empty.
        label_ids: the label ids `(n,)`, indices into `label_names`.
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
    """Count the sentences of each label. Labels without a sentence are left out.

    Args:
        label_ids: the label ids `(n,)` of the sentences, indices into `label_names`.
        label_names: the names of the labels.
    """
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
