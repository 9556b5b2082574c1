"""What labelled texts tell without a model: sizes of labels, empty texts, copies, and copies under two labels.

Two texts are the same if they differ in capitals and white space only. Rows are counted from 0, which is the first
row of data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelSizes:
    """How many sentences the labels have.

    Attributes:
        count: labels.
        smallest: the fewest sentences of a label, and a label that has so many.
        largest: the most, likewise.
        median: of the sentences of a label.
        singletons: labels with one sentence, which are negatives only.
        sizes: sentences of each label, largest first.
    """

    count: int
    smallest: tuple[str, int]
    largest: tuple[str, int]
    median: float
    singletons: int
    sizes: list[tuple[str, int]]


@dataclass(frozen=True)
class Contradiction:
    """One text under several labels."""

    text: str
    labels: list[str]
    rows: list[int]


@dataclass(frozen=True)
class TextFacts:
    """What is known of the texts.

    Attributes:
        empty: rows without a text.
        duplicates: rows whose text came before under the same label.
        contradictions: texts that come under more than one label, in the order of the data.
    """

    rows: int
    empty: list[int]
    duplicates: list[int]
    contradictions: list[Contradiction]
    labels: LabelSizes


def text_keys(texts: Sequence[str]) -> list[str]:
    """What texts are compared by: small letters, single spaces."""
    return [" ".join(text.casefold().split()) for text in texts]


def text_facts(texts: Sequence[str], codes: np.ndarray, names: Sequence[str]) -> TextFacts:
    """Count what can be counted without a model.

    Args:
        codes: the label of each text, `(texts,)`, by its place in `names`.
    """
    empty, duplicates = [], []
    rows_of: dict[str, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    for row, (key, code) in enumerate(zip(text_keys(texts), codes.tolist(), strict=True)):
        if not key:
            empty.append(row)
            continue
        if (key, code) in seen:
            duplicates.append(row)
        seen.add((key, code))
        rows_of.setdefault(key, []).append(row)
    contradictions = [
        Contradiction(texts[rows[0]], sorted({names[codes[row]] for row in rows}), rows)
        for rows in rows_of.values()
        if len(rows) > 1 and len(np.unique(codes[rows])) > 1
    ]
    return TextFacts(len(texts), empty, duplicates, contradictions, label_sizes(codes, names))


def label_sizes(codes: np.ndarray, names: Sequence[str]) -> LabelSizes:
    """Sentences of each label `(texts,)`; labels that no sentence has are left out."""
    counts = np.bincount(codes, minlength=len(names))
    order = [code for code in np.argsort(-counts, kind="stable").tolist() if counts[code]]
    sizes = [(names[code], int(counts[code])) for code in order]
    numbers = [size for _, size in sizes]
    return LabelSizes(
        len(sizes), sizes[-1], sizes[0], float(np.median(numbers)), sum(size == 1 for size in numbers), sizes
    )
