"""Judge a classifier: compare its decisions about labelled rows with the labels.

Reports and `tercet.evaluate` show the result, `JudgedDecisions`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tercet._nested_labels import is_below, normalize_label
from tercet.decisions.answering import decide_without_warnings
from tercet.decisions.back_off import right_at_level, steps_up
from tercet.decisions.judged_decisions import ChosenLimits, JudgedDecisions
from tercet.decisions.rejection import limits_for, reasons_against
from tercet.decisions.results import Decisions, copies_of_training
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier
    from tercet.decisions.inputs import Embedded

DEFAULT_MIN_PRECISION = 0.95
# Answers that are more often wrong than right are of no use, so no lower precision takes the place of the default.
_MIN_PRECISION = 0.5


class NoNewSentencesError(DataError):
    """All sentences to judge a classifier with are training sentences of it."""


def choose_limits(
    classifier: "LabelClassifier",
    min_precision: float | None = None,
    max_novelty: float | Literal["auto"] | None = None,
) -> ChosenLimits:
    """Return the limits at which to judge a classifier.

    Args:
        classifier: the fitted classifier.
        min_precision: the precision to promise; None takes `DEFAULT_MIN_PRECISION`, or the highest that can be promised
            if it is lower. If that is below 0.5, or none can be promised, all rows are answered.
        max_novelty: the highest novelty of an answer; None takes the one that was tuned to unknown sentences, if any.

    Raises:
        DataError: a limit is invalid, or `min_precision` cannot be promised.
    """
    if min_precision is not None:
        promise = classifier.promise(min_precision=min_precision, max_novelty=max_novelty)
        if promise.is_empty:
            raise DataError(f"{promise.describe()}; pass a lower min_precision, or fit with more calibration rows")
        return ChosenLimits(promise=promise)
    everything = None if max_novelty is None else classifier.promise(threshold=0.0, max_novelty=max_novelty)
    if not classifier.calibrated_:
        note = (
            "no precision can be promised, because the encoder was trained on the rows that gave the confidences, or "
        )
        return ChosenLimits(promise=everything, note=f"{note}may have been")
    promise = classifier.promise(min_precision=DEFAULT_MIN_PRECISION, max_novelty=max_novelty)
    if not promise.is_empty:
        return ChosenLimits(promise=promise)
    note = promise.describe()
    if not promise.best >= _MIN_PRECISION:
        return ChosenLimits(promise=everything, note=note)
    fallback = classifier.promise(min_precision=promise.best, max_novelty=max_novelty)
    return ChosenLimits(promise=everything if fallback.is_empty else fallback, note=note)


def judge(
    classifier: "LabelClassifier",
    sentences: Sequence[str],
    labels: Sequence[Any],
    *,
    limits: ChosenLimits,
    embedded: "Embedded | None" = None,
    rows: Sequence[int] | None = None,
    source: str = "the evaluation rows",
    leave_out_copies: bool = True,
) -> JudgedDecisions:
    """Classify labelled sentences and compare the answers with the labels.

    Args:
        classifier: the fitted classifier.
        sentences: the n texts.
        labels: their labels. They are compared as text, because files have no integers.
        limits: the limits of the answers, see `choose_limits`.
        embedded: the embeddings of the sentences, if they exist; None encodes them.
        rows: the number of each sentence in its data, for reports; None counts them.
        source: how messages name the rows.
        leave_out_copies: leave out sentences with the embedding of a training sentence, because the classifier knows
            their labels. False if it is known that no text is a training text.

    Raises:
        NoNewSentencesError: all sentences are copies of training sentences.
    """
    promise = limits.promise
    asked: dict[str, Any] = {}
    if promise is not None:
        # With nested labels, the precision gives the thresholds of the parents, too.
        by_precision = promise.parents is not None
        limit = {"min_precision": promise.min_precision} if by_precision else {"threshold": promise.threshold}
        asked = {**limit, "max_novelty": promise.max_novelty}
    given = sentences if embedded is None else embedded
    found = decide_without_warnings(classifier, given, **asked, explain=True)
    kept = np.arange(len(sentences))
    if leave_out_copies:
        kept = np.flatnonzero(~copies_of_training(found))
    if not len(kept):
        raise NoNewSentencesError(
            f"all {len(sentences):,} sentences of {source} are training sentences of the classifier, so they cannot "
            "show how right its answers are; pass sentences that it was not fitted to"
        )
    labels = [normalize_label(str(label), classifier.label_levels) for label in labels]
    names = [str(name) for name in classifier.classes_.tolist()]
    num_known = len(names)
    number = {name: at for at, name in enumerate(names)}
    for label in labels:
        number.setdefault(label, len(number))
    numbers = np.arange(len(sentences)) if rows is None else np.asarray(rows)
    return JudgedDecisions(
        source=source,
        limits=limits,
        label_names=list(number),
        num_known=num_known,
        label_ids=np.array([number[labels[row]] for row in kept.tolist()], dtype=np.int64),
        predicted_ids=np.array([number[str(label)] for label in found.predicted[kept]], dtype=np.int64),
        runner_up_ids=np.array([number[str(label)] for label in found.runner_up[kept]], dtype=np.int64),
        confidence=found.confidence[kept],
        novelty=found.novelty[kept],
        reasons=[found.reasons[row] for row in kept.tolist()],
        rows=numbers[kept],
        sentences=[sentences[row] for row in kept.tolist()],
        left_out=len(sentences) - len(kept),
        unfamiliar=found.unfamiliar,
        levels_left_out=None if found.levels_left_out is None else found.levels_left_out[kept],
        parent_right=_parents_are_right(found, labels, classifier.label_levels, kept),
    )


def _parents_are_right(
    found: Decisions, labels: Sequence[str], separator: str | None, kept: np.ndarray
) -> np.ndarray | None:
    """Return whether the given label of each kept row is below an answer that is a parent; None without parents."""
    if found.levels_left_out is None or separator is None:
        return None
    return np.array([is_below(labels[row], str(found.labels[row]), separator) for row in kept.tolist()], bool)


def held_out_predictions(
    classifier: "LabelClassifier", held_out_rows: Sequence[int], num_rows: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the given and the predicted label ids of held-out rows, from before these rows joined the classifier.

    Args:
        classifier: the fitted classifier.
        held_out_rows: the number of each held-out row in the data of the training rows.
        num_rows: the number of held-out rows with a label that the classifier knows.

    Returns:
        The label ids, each `(num_rows,)`; None if the classifier has not judged all of these rows.
    """
    found = classifier._fitted.calibration
    numbers = classifier._numbers.numpy()[found.rows]
    if not found.held_out or len(numbers) != num_rows or not set(numbers.tolist()) <= set(held_out_rows):
        return None
    return classifier._fitted.rows.label_ids.numpy()[found.rows], found.predicted_ids


def judge_calibration(
    classifier: "LabelClassifier",
    *,
    limits: ChosenLimits,
    sentences: Mapping[int, str] | None = None,
) -> JudgedDecisions:
    """Compare with their labels the answers for the rows that gave temperature and thresholds.

    These answers were computed before the rows joined the gallery.

    Args:
        classifier: the fitted classifier.
        limits: the limits of the answers, see `choose_limits`.
        sentences: the text of each row by its number, which is that of `Decisions.neighbours`; None takes the texts
            that the classifier kept, if any.
    """
    fitted = classifier._fitted
    found = fitted.calibration
    numbers = classifier._numbers.numpy()[found.rows]
    texts: list[str | None] | None = None
    if sentences is not None:
        texts = [sentences.get(number) for number in numbers.tolist()]
    elif classifier._texts is not None:
        texts = [classifier._texts[row] for row in found.rows.tolist()]
    promise = limits.promise
    threshold, max_novelty = (None, None) if promise is None else (promise.threshold, promise.max_novelty)
    reasons = reasons_against(found.confidence, found.novelty, threshold or 0.0, max_novelty)
    levels: dict[str, Any] = {}
    if promise is not None and promise.min_precision is not None and promise.parents is not None:
        given_limits = limits_for(fitted, min_precision=promise.min_precision, max_novelty=promise.max_novelty)
        reasons = reasons_against(
            found.confidence, found.novelty, given_limits.lowest(found.predicted_ids), promise.max_novelty
        )
        assert fitted.ancestors is not None
        steps = steps_up(found.ancestor_confidence, given_limits.of_ancestors, reasons)
        label_ids = fitted.rows.label_ids.numpy()[found.rows]
        right = fitted.ancestors.are_right(label_ids, found.predicted_ids)
        levels = {"levels_left_out": steps, "parent_right": right_at_level(steps, found.correct, right)}
        reasons = [None if up else reason for up, reason in zip(steps.tolist(), reasons, strict=True)]
    place = np.argsort(classifier._sorted)  # of each label id among the sorted labels
    return JudgedDecisions(
        source="the calibration rows",
        limits=limits,
        label_names=[str(name) for name in classifier.classes_.tolist()],
        num_known=len(classifier.classes_),
        label_ids=place[fitted.rows.label_ids.numpy()[found.rows]],
        predicted_ids=place[found.predicted_ids],
        runner_up_ids=place[found.runner_up_ids],
        confidence=found.confidence,
        novelty=found.novelty,
        reasons=reasons,
        **levels,
        rows=numbers,
        sentences=texts,
        basis="held out" if found.held_out else "folds",
    )
