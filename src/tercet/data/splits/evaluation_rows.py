"""Choose the rows of evaluation data that are measured: no copy of a training text, no repeated row.

A row is left out if its text is also in the training (or reference) data, or if an earlier row has a copy of its text
and the same label. A row whose label is not in the training data stays, but is marked: only the metric `unknown_auroc`
uses it.
"""

import logging
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet.data.labels.doubts import equal_texts
from tercet.data.labels.numbering import label_values
from tercet.data.labels.set_counts import num_sharing
from tercet.data.tables.dataset_columns import texts_of
from tercet.data.tables.text_hashes import hashes_of
from tercet.records import RowCounts

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Hashable)

# From this fraction of overlapping rows on, a warning is emitted; below it, a note is logged.
_OVERLAP_TO_WARN = 0.01

# The number of neighbours that vote in kNN accuracy. With fewer than 3 relevant rows, the right label has no majority.
_MAJORITY_OF_VOTES = 3


@dataclass(frozen=True, kw_only=True)
class EvaluationRows:
    """The rows of evaluation data to measure.

    Attributes:
        total: the number of rows.
        kept: the numbers of the rows that are not left out, int64 `(num_kept,)`, ascending.
        labels: the label of each kept row.
        known: bool `(num_kept,)`, whether a reference row has the label; all True without reference rows.
        overlapping: the number of rows that are left out because the reference has a copy of the text.
        copies: the number of rows that are left out because they repeat an earlier row.
        equal_texts: the number of triplets that are left out because two of their texts are copies.
        reference_sizes: the number of reference rows by label; None without reference rows.
        multi_label: the separator of the labels, if rows have several; a row then has the label of another row if both
            have one in common. None for one label per row.
    """

    total: int
    kept: np.ndarray
    labels: list[Hashable]
    known: np.ndarray
    overlapping: int = 0
    copies: int = 0
    equal_texts: int = 0
    reference_sizes: Counter[Any] | None = None
    multi_label: str | None = None

    @property
    def with_known_label(self) -> np.ndarray:
        """The positions in `kept` of the rows that are ranked among themselves: those with a known label.

        If no label is known, all rows are ranked, because the labels may be meant to differ from those of the training.
        """
        return np.flatnonzero(self.known) if self.known.any() else np.arange(len(self.kept))

    def counts(self, protocol: str) -> RowCounts:
        """Return the number of rows that the protocol measures, and of those that it leaves out, by reason."""
        left_out = {"rows": self.total, "overlapping": self.overlapping, "copies": self.copies}
        if protocol == "triplets":
            return RowCounts(**left_out, equal_texts=self.equal_texts, measured=len(self.kept))
        if protocol == "against_reference":
            assert self.reference_sizes is not None
            sizes = self._relevant_in_reference
            measured = [size for size in sizes if size]
            left_out |= {"unknown_labels": len(sizes) - len(measured)}
            reference = self.reference_sizes.total()
        else:
            sizes = self._relevant_among_themselves
            measured = [size for size in sizes if size]
            left_out |= {"unknown_labels": len(self.kept) - len(sizes), "unpaired": len(sizes) - len(measured)}
            reference = None
        few = sum(size < _MAJORITY_OF_VOTES for size in measured)
        return RowCounts(**left_out, measured=len(measured), few_relevant=few, reference=reference)

    def can_rank(self, protocol: str) -> bool:
        """Return whether a ranking of the protocol can be wrong: a row has a relevant row and one that is not."""
        if protocol == "against_reference":
            assert self.reference_sizes is not None
            return _is_any_partial(self._relevant_in_reference, self.reference_sizes.total())
        return _is_any_partial(self._relevant_among_themselves, len(self.with_known_label) - 1)

    @cached_property
    def _relevant_in_reference(self) -> list[int]:
        """The number of reference rows that are relevant for each kept row."""
        assert self.reference_sizes is not None
        return _num_relevant(self.labels, self.reference_sizes, self.multi_label)

    @cached_property
    def _relevant_among_themselves(self) -> list[int]:
        """The number of other rows that are relevant for each row that is ranked among themselves."""
        labels = [self.labels[position] for position in self.with_known_label]
        return [size - 1 for size in _num_relevant(labels, Counter(labels), self.multi_label)]


def can_rank(labels: Sequence[Hashable], multi_label: str | None = None) -> bool:
    """Return whether a ranking of rows among themselves can be wrong: a row has a relevant row and one that is not.

    Args:
        labels: the label of each row.
        multi_label: the separator of the labels, if rows have several.

    Example:
        >>> can_rank(["bug;ui", "bug", "bug;api"], ";"), can_rank(["bug;ui", "bug", "api"], ";")
        (False, True)
    """
    others = [size - 1 for size in _num_relevant(labels, Counter(labels), multi_label)]
    return _is_any_partial(others, len(labels) - 1)


def measured_rows(
    sentences: Sequence[str],
    labels: Sequence[Hashable],
    reference_sentences: Sequence[str] | None = None,
    reference_labels: Sequence[Hashable] | None = None,
    multi_label: str | None = None,
) -> EvaluationRows:
    """Return the rows of labelled evaluation data that are measured.

    Args:
        sentences: the n texts.
        labels: the label of each text, of the same kind as the reference labels.
        reference_sentences: the texts that the model was trained on, or among which an application searches.
        reference_labels: their labels.
        multi_label: the separator of the labels, if rows have several.

    Example:
        >>> rows = measured_rows(["Lost card", "a late goal", "Hello"], ["bank", "sport", "other"],
        ...                      ["lost  card", "the team won"], ["bank", "sport"])
        >>> rows.kept.tolist(), rows.known.tolist(), rows.overlapping
        ([1, 2], [True, False], 1)
    """
    sizes = None if reference_labels is None else Counter(reference_labels)
    hashes = hashes_of(sentences)
    keys = list(zip(hashes.tolist(), labels, strict=True))
    overlaps = np.isin(hashes, hashes_of(() if reference_sentences is None else reference_sentences))
    kept, overlapping = _first_rows(keys, range(len(keys)), overlaps)
    found = [labels[row] for row in kept]
    relevant = [1] * len(kept) if sizes is None else _num_relevant(found, sizes, multi_label)
    return EvaluationRows(
        total=len(keys),
        kept=np.array(kept, dtype=np.int64),
        labels=found,
        known=np.array(relevant, dtype=np.int64) > 0,
        overlapping=overlapping,
        copies=len(keys) - overlapping - len(kept),
        reference_sizes=sizes,
        multi_label=multi_label,
    )


def _is_any_partial(sizes: Iterable[int], total: int) -> bool:
    return any(0 < size < total for size in sizes)


def _num_relevant(labels: Sequence[Any], sizes: Counter[Any], multi_label: str | None) -> list[int]:
    """Return the number of rows that are relevant for each label, of those that `sizes` counts by label."""
    if multi_label is None:
        return [sizes[label] for label in labels]
    found: list[int] = num_sharing(labels, sizes, multi_label).tolist()
    return found


def select_labelled(
    data: "Dataset", reference: "Dataset | None" = None, multi_label: str | None = None
) -> EvaluationRows:
    """Return the rows that are measured of evaluation data with the columns `sentence` and `label`."""
    texts, labels = (None, None) if reference is None else (texts_of(reference, "sentence"), label_values(reference))
    return measured_rows(texts_of(data, "sentence"), label_values(data), texts, labels, multi_label)


def select_triplets(data: "Dataset", train: "Dataset") -> EvaluationRows:
    """Return the triplets that are measured: no trained pair, no repeated triplet, no equal texts.

    A trained pair is an anchor and a positive of one triplet of the training data.
    """
    columns = [hashes_of(texts_of(data, name)) for name in ("anchor", "positive", "negative")]
    trained = set(zip(*(hashes_of(texts_of(train, name)).tolist() for name in ("anchor", "positive")), strict=True))
    triplets = list(zip(*(column.tolist() for column in columns), strict=True))
    overlaps = np.array([triplet[:2] in trained for triplet in triplets], dtype=bool)
    equal = set(equal_texts(columns).tolist())
    unequal = [row for row in range(len(triplets)) if row not in equal]
    kept, overlapping = _first_rows(triplets, unequal, overlaps)
    return EvaluationRows(
        total=len(triplets),
        kept=np.array(kept, dtype=np.int64),
        labels=[],
        known=np.ones(len(kept), dtype=bool),
        overlapping=overlapping,
        copies=len(triplets) - overlapping - len(kept) - len(equal),
        equal_texts=len(equal),
    )


def warn_of_overlap(rows: EvaluationRows, evaluation: str, reference: str, consequence: str) -> None:
    """Emit a warning if rows of the evaluation data have texts of the training data; log a note if they are few.

    Args:
        rows: the rows that `measured_rows`, `select_labelled` or `select_triplets` has chosen.
        evaluation: the evaluation data, for messages.
        reference: the training data, for messages.
        consequence: what happens to these rows, or what to do about them.
    """
    if not rows.overlapping:
        return
    message = (
        f"{rows.overlapping:,} of {rows.total:,} rows of {evaluation} ({rows.overlapping / rows.total:.1%}) have texts "
        f"that are also in {reference}; {consequence}"
    )
    if rows.overlapping >= _OVERLAP_TO_WARN * rows.total:
        emit_warning(WarningKind.OVERLAP, message)
    else:
        logger.info(message)


def _first_rows(keys: Sequence[T], rows: Iterable[int], overlaps: np.ndarray) -> tuple[list[int], int]:
    """Return the rows that do not overlap and do not repeat the key of an earlier one, and the number that overlap."""
    kept, seen, overlapping = [], set[T](), 0
    for row in rows:
        if overlaps[row]:
            overlapping += 1
        elif keys[row] not in seen:
            seen.add(keys[row])
            kept.append(row)
    return kept, overlapping
