"""The counts of `tercet classify`, and how right the answers are if the input has labels."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tercet._nested_labels import describe_levels_left_out, is_below, normalize_label
from tercet.cli.known_labels import KnownLabels
from tercet.errors import counted, is_or_are, listed, short_repr

if TYPE_CHECKING:
    from tercet.decisions import Decisions

logger = logging.getLogger(__name__)

# Number of rows after which unfamiliar sentences are checked again.
_ROWS_TO_CHECK = 1000
# Number of labels that the classifier does not know to print. If all are such, often the column is the wrong one.
_MAX_NAMES = 3


@dataclass(kw_only=True)
class Summary:
    """Counts of rows.

    Attributes:
        known: the labels of the classifier, as text.
        calibration_rows: the number of rows by which it measures the novelty.
        is_limited: whether rows above a limit of the novelty get no answer.
        rows: all rows.
        answered: the rows that have an answer.
        reasons: the rows without an answer, by reason.
        labelled: the rows with a given label that the classifier knows.
        right: of `labelled`, those whose likeliest label is the given one.
        answered_labelled: the answered rows with a given label, known or not.
        right_answers: of `answered_labelled`, those whose answer is the given label.
        unknown: the rows with a given label that the classifier does not know.
        unknown_answered: of `unknown`, those that have an answer, which is wrong unless it is a parent of the label.
        unknown_with_parent: of `unknown_answered`, those whose answer is a parent of the label.
        other_form: the rows with a given label that differs only in form from one of the classifier, or from a parent
            of one. Accuracy and precision leave them out, because it is unknown whether the answers are right.
        coarser: the rows with a given label that is a parent of labels of the classifier. Accuracy and precision leave
            them out.
        coarser_right: of `coarser`, those whose likeliest label is below the given one.
        copies: the rows with a given label whose sentence the classifier was fitted to.
        separator: the separator of the levels of nested labels; None for labels without levels.
        parents: the answered rows whose answer is a parent of the likeliest label, by the number of levels that it
            leaves out.
    """

    known: frozenset[str]
    calibration_rows: int
    is_limited: bool = False
    rows: int = 0
    answered: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    right: int = 0
    answered_labelled: int = 0
    right_answers: int = 0
    unknown: int = 0
    unknown_answered: int = 0
    unknown_with_parent: int = 0
    other_form: int = 0
    coarser: int = 0
    coarser_right: int = 0
    copies: int = 0
    separator: str | None = None
    parents: Counter[int] = field(default_factory=Counter)
    _novelty: list[float] = field(default_factory=list)
    _unknown_names: dict[str, None] = field(default_factory=dict)
    _other_forms: dict[str, None] = field(default_factory=dict)
    _has_warned: bool = False

    def add(self, decisions: "Decisions", labels: Sequence[Any] | None, copies: Sequence[bool] = ()) -> None:
        """Count rows.

        Args:
            decisions: the answers.
            labels: the given label of each row, None for a missing one; None if there are none.
            copies: whether each row is a training sentence, if there are labels.
        """
        accepted = decisions.accepted.tolist()
        self.rows += len(accepted)
        self.answered += sum(accepted)
        self.reasons.update(reason for reason in decisions.reasons if reason is not None)
        self._novelty += decisions.novelty.tolist()
        if len(self._novelty) >= _ROWS_TO_CHECK:
            self.warn_of_unfamiliar()
        is_parent = [False] * len(accepted)
        if decisions.levels_left_out is not None:
            is_parent = (decisions.levels_left_out > 0).tolist()
            self.parents.update(step for step in decisions.levels_left_out.tolist() if step)
        self.copies += sum(copy and label is not None for copy, label in zip(copies, labels or (), strict=False))
        for row, label in enumerate(labels or ()):
            if label is not None:
                answer = str(decisions.labels[row]) if accepted[row] else None
                given = normalize_label(str(label), self.separator)
                self._compare(given, str(decisions.predicted[row]), answer, is_parent=is_parent[row])

    def _compare(self, given: str, predicted: str, answer: str | None, *, is_parent: bool) -> None:
        """Count a row with a given label.

        Args:
            given: the given label.
            predicted: the likeliest label.
            answer: the answer; None for none.
            is_parent: whether the answer is a parent of the likeliest label.
        """
        form = self._known_labels.form_of(given)
        if form is not None and form != given:
            self.other_form += 1
            if len(self._other_forms) < _MAX_NAMES:
                self._other_forms.setdefault(f"{short_repr(given)} for {short_repr(form)}")
            return
        if given in self._known_labels.parents:
            self.coarser += 1
            self.coarser_right += is_below(predicted, given, str(self.separator))
            return
        answered, right, parent_is_right = answer is not None, given == predicted, False
        if is_parent:
            parent_is_right = self._known_labels.is_below(given, str(answer))
        self.answered_labelled += answered
        self.right_answers += parent_is_right if is_parent else answered and right
        if given in self.known:
            self.labelled += 1
            self.right += right
        else:
            self.unknown += 1
            self.unknown_answered += answered
            self.unknown_with_parent += parent_is_right
            if len(self._unknown_names) < _MAX_NAMES:
                self._unknown_names.setdefault(given)

    def forget_unknown_labels(self) -> str | None:
        """Forget the given labels if the classifier knows none, and return one of them; else return None."""
        if self.labelled or self.coarser or self.other_form or not self.unknown:
            return None
        self.unknown = self.unknown_answered = self.unknown_with_parent = 0
        self.answered_labelled = self.right_answers = self.copies = 0
        return next(iter(self._unknown_names))

    @cached_property
    def _known_labels(self) -> KnownLabels:
        return KnownLabels(self.known, self.separator)

    def warn_of_other_forms(self) -> None:
        """Warn if given labels are written in another way than those of the classifier."""
        if self.other_form:
            have = "has" if self.other_form == 1 else "have"
            logger.warning(
                f"{counted(self.other_form, 'row')} {have} a label that is written in another way than in the "
                f"classifier, such as {', '.join(self._other_forms)}; precision and accuracy leave them out: correct "
                "the labels"
            )

    def warn_of_copies(self) -> None:
        """Warn if the answers are compared for sentences that the classifier was fitted to."""
        if self.copies:
            logger.warning(
                f"{counted(self.copies, 'row')} with a label {is_or_are(self.copies)} training sentences of the "
                "classifier, so precision and accuracy are too high; pass sentences that it was not fitted to, or use "
                "tercet evaluate, which leaves them out"
            )

    def warn_of_unfamiliar(self) -> None:
        """Warn, once, if far more of the last rows than expected are unlike the training sentences."""
        import numpy as np

        from tercet.decisions.drift import too_many_unfamiliar, unfamiliar_message

        novelty, self._novelty = np.array(self._novelty), []
        if not self._has_warned and too_many_unfamiliar(novelty, self.calibration_rows):
            self._has_warned = True
            logger.warning(unfamiliar_message(novelty, is_limited=self.is_limited))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and fractions as JSON values; a fraction is None where there are no rows."""
        by_parent: dict[str, Any] = {}
        if self.separator is not None:
            by_levels = {str(up): rows for up, rows in sorted(self.parents.items())}
            by_parent = {"answered_with_parent": self.parents.total(), "answered_by_levels_left_out": by_levels}
        return {
            "rows": self.rows,
            "answered": self.answered,
            "coverage": _fraction(self.answered, self.rows),
            **by_parent,
            "reasons": dict(self.reasons),
            "labelled_rows": self.labelled,
            "accuracy": _fraction(self.right, self.labelled),
            "precision": _fraction(self.right_answers, self.answered_labelled),
            "rows_with_training_sentence": self.copies,
            "rows_with_unknown_label": self.unknown,
            "rows_with_label_in_another_form": self.other_form,
            **(
                {} if self.separator is None else {"rows_with_parent": self.coarser, "below_parent": self.coarser_right}
            ),
            "unknown_rejected": _fraction(self.unknown - self.unknown_answered, self.unknown),
            **({} if self.separator is None else {"unknown_answered_with_parent": self.unknown_with_parent}),
        }

    def describe(self) -> list[str]:
        """Return the counts as lines of text."""
        rejected = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
        others = f"; 'none of these': {self.rows - self.answered:,} ({rejected})" if rejected else ""
        lines = [
            f"coverage {_percent(self.answered, self.rows)}: {self.answered:,} of {counted(self.rows, 'row')} answered"
            + others
        ]
        if self.parents:
            lines.append(
                "answers with a parent of the likeliest label, which was too unsure: "
                f"{self.parents.total():,}{describe_levels_left_out(self.parents)}"
            )
        if self.answered_labelled:
            lines.append(
                f"precision {_percent(self.right_answers, self.answered_labelled)}: {self.right_answers:,} of "
                f"{self.answered_labelled:,} answers are the given label"
                + (" or a parent of it" if self.parents else "")
            )
        if self.labelled:
            lines.append(
                f"accuracy {_percent(self.right, self.labelled)}: the likeliest label is the given one in "
                f"{self.right:,} of {counted(self.labelled, 'row')}, answered or not"
            )
        if self.coarser:
            lines.append(
                f"{counted(self.coarser, 'row')} with a label that is a parent of labels of the classifier: the "
                f"likeliest label is below it in {self.coarser_right:,}; precision and accuracy leave them out"
            )
        if self.unknown:
            lines.append(
                f"{counted(self.unknown, 'row')} with a label that the classifier does not know, such as "
                f"{listed(self._unknown_names)}: {self.unknown - self.unknown_answered:,} answered 'none of these'"
                + (f", {self.unknown_with_parent:,} with a parent of it" if self.unknown_with_parent else "")
            )
        return lines


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
