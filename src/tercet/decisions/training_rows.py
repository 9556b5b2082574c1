"""The rows that a classifier is fitted to: check labels and rows, embed them, and put them in a fixed order."""

import logging
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tercet._nested_labels import describe_removed_spaces, normalize_nested
from tercet._separators import check_separator
from tercet.decisions.back_off import Ancestors
from tercet.decisions.candidates import Rows
from tercet.decisions.fitting import Fitted, fit_rows
from tercet.decisions.inputs import Embedded
from tercet.decisions.spaces import Spaces
from tercet.errors import DataError, counted

logger = logging.getLogger(__name__)


def number_labels(labels: Sequence[Any], embedded: Embedded) -> tuple[list[Any], Tensor]:
    """Return the labels in an order that depends on the content of their rows alone, and the label id of each row.

    So the ids depend neither on the order of the rows nor on the names of the labels. Only labels that have exactly the
    same rows are in the order of their names.
    """
    rows_of: dict[Any, list[tuple[str, str]]] = {}
    for label, content in zip(labels, _contents(embedded), strict=True):
        rows_of.setdefault(label, []).append(content)
    names = sorted(rows_of, key=lambda name: (sorted(rows_of[name]), name))
    number = {name: at for at, name in enumerate(names)}
    return names, torch.tensor([number[label] for label in labels])


def labels_beside(known: Sequence[Any], labels: Sequence[Any], embedded: Embedded) -> list[Any]:
    """Return the labels that are not among `known`, in the order of `number_labels`."""
    old = set(known)
    rows = [row for row, label in enumerate(labels) if label not in old]
    return number_labels([labels[row] for row in rows], embedded.select(rows))[0] if rows else []


def canonical_order(embedded: Embedded, label_ids: Tensor) -> Tensor:
    """Return the row numbers in an order that depends on the content of the rows and their labels alone `(n,)`."""
    contents, ids = _contents(embedded), label_ids.tolist()
    return torch.tensor(sorted(range(len(ids)), key=lambda row: (contents[row], ids[row])), dtype=torch.long)


def _contents(embedded: Embedded) -> list[tuple[str, str]]:
    """Return the key and the text of each row. Rows with the same ones have the same embedding."""
    return list(zip(embedded.keys, embedded.texts or embedded.keys, strict=True))


def check_length(rows: Sized, labels: Sequence[Any], name: str, labels_name: str) -> None:
    """Raise `DataError` if the numbers of rows and labels differ, or there is nothing to learn."""
    if len(rows) != len(labels):
        raise DataError(
            f"{name} has {counted(len(rows), 'row')}, but {labels_name} has {counted(len(labels), 'label')}; pass one "
            "for each"
        )
    if len(labels) == 0:
        raise DataError(f"{name} has no rows; pass labelled sentences")


def with_levels(labels: list[Any], label_levels: str | None) -> list[Any]:
    """Return labels without white space around their levels. Log a warning if there was any.

    Raises:
        DataError: `label_levels` is not the separator of the levels of these labels.
    """
    check_separator(label_levels, "label_levels")
    if label_levels is None:
        return labels
    if not isinstance(labels[0], str):
        raise DataError("label_levels needs labels that are strings; leave it out for integers")
    normalized = normalize_nested(labels, label_levels, "y")
    warn_of_removed_spaces(labels, label_levels)
    return list(normalized)


def warn_of_removed_spaces(labels: Sequence[str], label_levels: str) -> None:
    """Log a warning if labels have white space around their levels, which is removed."""
    if change := describe_removed_spaces(labels, label_levels):
        logger.warning(f"y: {change}")


def check_label_type(labels: Sequence[Any], expected: Any, name: str) -> None:
    """Raise `DataError` if labels have another type than that of a label of `fit`: "1" and 1 are two labels."""
    if labels and type(labels[0]) is not type(expected):
        raise DataError(
            f"{name} has labels of type {type(labels[0]).__name__}, but y of fit has labels of type "
            f"{type(expected).__name__}; convert them"
        )


def check_first_labels(labels: Sequence[Any]) -> None:
    """Raise `DataError` if the rows of the first `partial_fit`, which fits the classifier, have one label only."""
    if len(set(labels)) == 1:
        raise DataError(
            f"y has {labels[0]!r} only, but the first call of partial_fit fits the classifier; pass rows of two labels "
            "first"
        )


# If the encoder was trained on more than this part of the rows, their embeddings cannot choose a classifier.
_MOST = 0.5


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """Embedded rows to fit a classifier to.

    Attributes:
        rows: the training rows.
        label_ids: their label ids `(n,)`, indices into `names`.
        names: the labels.
        calibration: rows that the encoder was not trained on, without copies of training rows; None for none.
        calibration_ids: their label ids.
        unknown: embeddings of rows that belong to none of the labels; None for none.
        seen: the fraction of the training rows that the encoder was trained on; None if it is unknown.
    """

    rows: Embedded
    label_ids: Tensor
    names: list[Any]
    calibration: Embedded | None = None
    calibration_ids: Tensor | None = None
    unknown: Spaces | None = None
    seen: float | None = None

    @property
    def next_number(self) -> int:
        """The number of a row that is added later."""
        return max(rows.next_number for rows in (self.rows, self.calibration) if rows is not None)

    def fit(
        self, *, method: str, ancestors: Ancestors | None, seed: int
    ) -> tuple[Fitted, Tensor, list[str | None] | None]:
        """Fit a classifier that depends on the content of the rows alone, not on their order.

        Returns:
            The classifier, the number of each row of its gallery in the data that were given, and their texts; None
            for embeddings.
        """
        order = canonical_order(self.rows, self.label_ids)
        keys = [self.rows.keys[row] for row in order.tolist()]
        rows = Rows(spaces=self.rows.spaces[order], label_ids=self.label_ids[order], num_labels=len(self.names))
        numbers = order if self.rows.numbers is None else self.rows.numbers[order]
        texts: list[str | None] | None = [self.rows.texts[row] for row in order.tolist()] if self.rows.texts else None
        held_out, found = None, self.calibration
        if found is not None and self.calibration_ids is not None:
            then = canonical_order(found, self.calibration_ids)
            held_out = Rows(spaces=found.spaces[then], label_ids=self.calibration_ids[then], num_labels=len(self.names))
            numbers = torch.cat([numbers, then if found.numbers is None else found.numbers[then]])
            if texts is not None:
                texts += [found.texts[row] if found.texts else None for row in then.tolist()]
        fitted = fit_rows(
            rows, keys, calibration=held_out, unseen=self.seen == 0, trained_on=(self.seen or 0) > _MOST,
            unknown=self.unknown, method=method, ancestors=ancestors, seed=seed,
        )  # fmt: skip
        return fitted, numbers, texts
