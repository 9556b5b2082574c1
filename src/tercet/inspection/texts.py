"""What labelled texts tell without a model: sizes of labels, empty texts, copies, and copies under two labels.

Two texts are the same if they differ in capitals, white space, Unicode form and characters without width only. Rows
are counted from 0, which is the first row of data.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# A space without width, a byte order mark and a soft hyphen: they show nothing and say nothing.
_WITHOUT_WIDTH = dict.fromkeys(map(ord, "\u200b\ufeff\u00ad"))


@dataclass(frozen=True)
class LabelSizes:
    """How many sentences the labels have.

    Attributes:
        count: labels.
        smallest: a label with the fewest sentences, and how many it has; None where there is no label.
        largest: … with the most.
        median: of the sentences of a label.
        singletons: labels with one sentence, which are negatives only.
        sizes: sentences of each label, largest first.
    """

    count: int
    smallest: tuple[str, int] | None
    largest: tuple[str, int] | None
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
        labels: of the rows with a text.
    """

    rows: int
    empty: list[int]
    duplicates: list[int]
    contradictions: list[Contradiction]
    labels: LabelSizes


def text_keys(texts: Sequence[str]) -> list[str]:
    """What texts are compared by: characters of one form, small letters, single spaces."""
    plain = (unicodedata.normalize("NFKC", text).translate(_WITHOUT_WIDTH) for text in texts)
    return [" ".join(text.casefold().split()) for text in plain]


def text_facts(texts: Sequence[str], label_ids: np.ndarray, names: Sequence[str]) -> TextFacts:
    """Count what can be counted without a model.

    Args:
        label_ids: the label of each text, `(texts,)`, by its place in `names`.
    """
    empty, duplicates = [], []
    rows_of: dict[str, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    for row, (key, code) in enumerate(zip(text_keys(texts), label_ids.tolist(), strict=True)):
        if not key:
            empty.append(row)
            continue
        if (key, code) in seen:
            duplicates.append(row)
        seen.add((key, code))
        rows_of.setdefault(key, []).append(row)
    contradictions = [
        Contradiction(texts[rows[0]], sorted({names[label_ids[row]] for row in rows}), rows)
        for rows in rows_of.values()
        if len(rows) > 1 and len(np.unique(label_ids[rows])) > 1
    ]
    return TextFacts(len(texts), empty, duplicates, contradictions, label_sizes(np.delete(label_ids, empty), names))


def label_sizes(label_ids: np.ndarray, names: Sequence[str]) -> LabelSizes:
    """Sentences of each label, from the labels of sentences `(sentences,)`; labels that none has are left out."""
    counts = np.bincount(label_ids, minlength=len(names))
    order = [code for code in np.argsort(-counts, kind="stable").tolist() if counts[code]]
    sizes = [(names[code], int(counts[code])) for code in order]
    numbers = [size for _, size in sizes]
    if not sizes:
        return LabelSizes(0, None, None, 0.0, 0, [])
    return LabelSizes(
        len(sizes), sizes[-1], sizes[0], float(np.median(numbers)), sum(size == 1 for size in numbers), sizes
    )
