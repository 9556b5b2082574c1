"""Count what needs no model: label sizes, empty texts, duplicates, and texts with several labels.

Two texts count as equal if they are copies (`tercet._texts.text_key`). A text counts as empty if it has only white
space and invisible characters. Row 0 is the first row of data, after a header.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tercet._multi_labels import number_label_sets
from tercet._texts import text_keys
from tercet.data.cleaning.combined_labels import find_combined
from tercet.data.cleaning.label_forms import find_similar


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
        labels: the label sizes, without the rows whose text is empty or whose label is missing.
        missing_labels: the rows without a label.
        combined_labels: the labels that look like several labels in one cell, such as "billing|refund".
        combined_separator: the character between the labels of such a cell, or "[]" for lists; None without such cells.
        similar_labels: groups of labels that differ only in case, spaces, punctuation, Unicode form or number format,
            each with the most frequent one first.
    """

    rows: int
    empty: list[int]
    duplicates: list[int]
    contradictions: list[Contradiction]
    labels: LabelSizes
    missing_labels: list[int] = field(default_factory=list)
    combined_labels: list[str] = field(default_factory=list)
    combined_separator: str | None = None
    similar_labels: list[list[str]] = field(default_factory=list)


def summarize_texts(
    texts: Sequence[str], label_ids: np.ndarray, label_names: Sequence[str], multi_label: str | None = None
) -> TextSummary:
    """Find empty texts, duplicates and contradictions, and count the sentences of each label.

    Args:
        texts: the n texts. They may be empty.
        label_ids: the label ids `(n,)`, indices into `label_names`.
        label_names: the names of the labels; "" stands for a missing label.
        multi_label: the separator of the labels in a name, if sentences have several; each label is then counted.
    """
    empty, duplicates, missing = [], [], []
    rows_by_key: dict[str, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    for row, (key, label_id) in enumerate(zip(text_keys(texts), label_ids.tolist(), strict=True)):
        if not label_names[label_id]:
            missing.append(row)
        if not key:
            empty.append(row)
        if not key or not label_names[label_id]:
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
    of_rows, combined = np.delete(label_ids, [*empty, *missing]), None
    if multi_label is None:
        labels = label_sizes(of_rows, label_names)
        combined = find_combined(label_names[label_id] for label_id in label_ids.tolist() if label_names[label_id])
    else:
        sets, names = number_label_sets(label_names, multi_label)
        of_rows = np.array([label for label_id in of_rows.tolist() for label in sets[label_id]], dtype=np.int64)
        labels = label_sizes(of_rows, names)
    return TextSummary(
        rows=len(texts),
        empty=empty,
        duplicates=duplicates,
        contradictions=contradictions,
        labels=labels,
        missing_labels=missing,
        combined_labels=[]
        if combined is None
        else [label for label, parts in combined.parts.items() if len(parts) > 1],
        combined_separator=None if combined is None else combined.separator,
        similar_labels=[list(group) for group in find_similar(dict(labels.sizes))],
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
