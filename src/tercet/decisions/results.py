"""The decisions about sentences: labels or "none of these", with their confidence, novelty and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BETWEEN_LABELS, UNLIKE_ANYTHING = "between labels", "unlike anything seen"
# From this cosine similarity on, a sentence is taken for a copy of a training sentence.
_COPY_SIMILARITY = 1 - 1e-5


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The decisions about n sentences.

    Attributes:
        labels: the label of each sentence, None for "none of these" `(n,)`.
        predicted: the likeliest label, also where it is not given as the answer `(n,)`.
        confidence: its probability `(n,)`. It is low if the sentence is between labels.
        novelty: the fraction of sentences with known labels that are more familiar than this one `(n,)`. Above 0.99,
            the sentence is unlike almost anything seen. 1 − novelty is a p-value.
        reasons: why the answer is None: "between labels", "unlike anything seen", or both; None for answers.
        top_labels: the k likeliest labels, the likeliest first `(n, k)`.
        top_probabilities: their probabilities `(n, k)`.
        neighbours: the row numbers of the three nearest training sentences in the data of `fit` `(n, 3)`, with fewer
            columns if there are fewer sentences; None unless they were asked for.
        neighbour_labels: their labels `(n, 3)`.
        neighbour_similarities: their cosine similarities `(n, 3)`.
        neighbour_texts: their texts `(n, 3)`, if the classifier kept them.
        unfamiliar: whether far more sentences than expected are unlike the training sentences. Then the measured
            precision and coverage do not hold for them.
        levels_left_out: with nested labels and `min_precision`, the number of levels that each answer leaves out
            `(n,)`: 0 for a label, 1 for its parent; 0 for no answer. Else None.
        parent_confidence: the probability of the answers that are parents; NaN for others `(n,)`. Else None.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    novelty: np.ndarray
    reasons: list[str | None]
    top_labels: np.ndarray
    top_probabilities: np.ndarray
    neighbours: np.ndarray | None = None
    neighbour_labels: np.ndarray | None = None
    neighbour_similarities: np.ndarray | None = None
    neighbour_texts: np.ndarray | None = None
    unfamiliar: bool = False
    levels_left_out: np.ndarray | None = None
    parent_confidence: np.ndarray | None = None

    @property
    def accepted(self) -> np.ndarray:
        """Return whether each sentence has an answer, bool `(n,)`."""
        return np.array([reason is None for reason in self.reasons], dtype=bool)

    @property
    def answer_confidence(self) -> np.ndarray:
        """Return the probability of the answer; where it is no parent, that of the likeliest label `(n,)`."""
        if self.parent_confidence is None:
            return self.confidence
        return np.where(np.isnan(self.parent_confidence), self.confidence, self.parent_confidence)

    @property
    def runner_up(self) -> np.ndarray:
        """Return the second likeliest label of each sentence `(n,)`; None if there is only one label."""
        return self.top_labels[:, 1] if self.top_labels.shape[1] > 1 else as_objects([None] * len(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary per sentence, with plain values.

        Keys: `label`, `predicted`, `confidence`, `novelty`, `reason`, `runner_up`, and the lists `top_labels` and
        `top_probabilities`. If answers may be parents, `levels_left_out` and `parent_confidence`, which is None for
        other answers. With the evidence, `neighbours`, a list of dictionaries with the keys `row`, `label`,
        `similarity`, and `text` if the classifier kept the texts.
        """
        columns: dict[str, Sequence[Any] | np.ndarray] = {
            "label": self.labels, "predicted": self.predicted, "confidence": self.confidence, "novelty": self.novelty,
            "reason": self.reasons, "runner_up": self.runner_up, "top_labels": self.top_labels,
            "top_probabilities": self.top_probabilities,
        }  # fmt: skip
        if self.levels_left_out is not None and self.parent_confidence is not None:
            columns["levels_left_out"] = self.levels_left_out
            columns["parent_confidence"] = [None if np.isnan(value) else value for value in self.parent_confidence]
        if self.neighbours is not None:
            columns["neighbours"] = [self._neighbours_of(row) for row in range(len(self))]
        return [
            {name: _plain(value) for name, value in zip(columns, row, strict=True)}
            for row in zip(*columns.values(), strict=True)
        ]

    def _neighbours_of(self, row: int) -> list[dict[str, Any]]:
        """Return the nearest training sentences of a sentence, one dictionary each."""
        columns = {
            "row": self.neighbours, "label": self.neighbour_labels, "similarity": self.neighbour_similarities,
            "text": self.neighbour_texts,
        }  # fmt: skip
        known = {name: values[row] for name, values in columns.items() if values is not None}
        return [
            {name: _plain(value) for name, value in zip(known, neighbour, strict=True)}
            for neighbour in zip(*known.values(), strict=True)
        ]


def copies_of_training(decisions: Decisions) -> np.ndarray:
    """Return whether each sentence has the embedding of a training sentence, bool `(n,)`. They need the evidence."""
    assert decisions.neighbour_similarities is not None
    found: np.ndarray = decisions.neighbour_similarities[:, 0] >= _COPY_SIMILARITY
    return found


def _plain(value: Any) -> Any:
    """Return a value without the types of NumPy, and arrays as lists."""
    if isinstance(value, np.ndarray):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def as_objects(values: Sequence[Any]) -> np.ndarray:
    """Return an array of objects `(n,)`. NumPy alone would make one array of lists of equal length."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def reason_of(confident: bool, familiar: bool) -> str | None:
    """Return why a sentence has no answer; None if it has one."""
    found = [*([] if confident else [BETWEEN_LABELS]), *([] if familiar else [UNLIKE_ANYTHING])]
    return " and ".join(found) or None
