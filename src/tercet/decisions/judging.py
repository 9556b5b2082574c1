"""Judge the decisions about labelled rows: how many are answered, and how many answers are right.

Reports and `tercet.evaluate` show the result.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet.decisions.calibration import Reliability, reliability
from tercet.decisions.curves import RiskCoverage, rejected_by_reason, risk_coverage
from tercet.decisions.rejection import unfamiliar_message
from tercet.decisions.results import reason_of
from tercet.decisions.thresholds import Promise, interval
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier

DEFAULT_MIN_PRECISION = 0.95
# Answers that are more often wrong than right are of no use, so no lower precision takes the place of the default.
_LEAST_PRECISION = 0.5
# From this cosine similarity on, a sentence is taken for a copy of a training sentence.
_COPY_SIMILARITY = 1 - 1e-5


@dataclass(frozen=True, kw_only=True)
class ChosenLimits:
    """The limits at which decisions are judged.

    Attributes:
        promise: what the limits give on the calibration rows; None if all rows are answered.
        note: why the limits are not those that were asked for; "" if they are.
    """

    promise: Promise | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class JudgedDecisions:
    """The decisions of a classifier about n labelled rows.

    Attributes:
        source: which rows these are, for messages.
        limits: the limits of the answers.
        label_names: the names of the labels: first those of the classifier, then those that it does not know.
        num_known: the number of labels of the classifier.
        label_ids: the given label of each row `(n,)`, an index into `label_names`.
        predicted_ids: the likeliest label of each row `(n,)`.
        runner_up_ids: the second likeliest `(n,)`.
        confidence: the probability of the likeliest label `(n,)`.
        novelty: how unlike the training sentences each row is, see `Decisions` `(n,)`.
        reasons: why a row has no answer; None for answers.
        rows: the number of each row in its data, from 0 `(n,)`.
        sentences: the texts; None if they are not known.
        is_calibration: whether the thresholds were chosen on these rows.
        left_out: the number of rows that were left out, because the classifier has copies of them.
        unfamiliar: whether far more rows than expected are unlike the training sentences.
    """

    source: str
    limits: ChosenLimits
    label_names: list[str]
    num_known: int
    label_ids: np.ndarray
    predicted_ids: np.ndarray
    runner_up_ids: np.ndarray
    confidence: np.ndarray
    novelty: np.ndarray
    reasons: list[str | None]
    rows: np.ndarray
    sentences: list[str] | None = None
    is_calibration: bool = False
    left_out: int = 0
    unfamiliar: bool = False

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def answered(self) -> np.ndarray:
        """Return whether each row has an answer, bool `(n,)`."""
        return np.array([reason is None for reason in self.reasons], dtype=bool)

    @property
    def correct(self) -> np.ndarray:
        """Return whether the likeliest label is the given one, bool `(n,)`."""
        result: np.ndarray = self.predicted_ids == self.label_ids
        return result

    @property
    def known(self) -> np.ndarray:
        """Return whether the classifier knows the given label, bool `(n,)`."""
        result: np.ndarray = self.label_ids < self.num_known
        return result

    @property
    def coverage(self) -> float:
        """Return the fraction of the rows that is answered; NaN without rows."""
        return _mean(self.answered)

    @property
    def precision(self) -> float:
        """Return the fraction of the answers that is right; NaN without an answer.

        An answer to a row whose label the classifier does not know is wrong.
        """
        return _mean(self.correct[self.answered])

    @property
    def accuracy(self) -> float:
        """Return the fraction of the rows with a known label whose likeliest label is right, answered or not."""
        return _mean(self.correct[self.known])

    @property
    def risk_coverage(self) -> RiskCoverage:
        """Return the precision by coverage. Rows above the highest novelty of an answer are never answered."""
        promise = self.limits.promise
        limit = None if promise is None else promise.max_novelty
        return risk_coverage(self.confidence, self.correct, None if limit is None else ~(self.novelty > limit))

    @property
    def reliability(self) -> Reliability:
        """Return how well confidences agree with the fraction of right answers, on the rows with a known label."""
        return reliability(self.confidence[self.known], self.correct[self.known])

    @property
    def shortfall(self) -> str:
        """Return that the precision is below the promised one, in a sentence; "" if it is not."""
        promise, answered = self.limits.promise, self.answered
        if promise is None or promise.min_precision is None or not self.precision < promise.min_precision:
            return ""
        high = interval(int(self.correct[answered].sum()), int(answered.sum()))[1]
        chance = "; with so few answers, this may be chance" if high >= promise.min_precision else ""
        return (
            f"{self.precision:.1%} of the {answered.sum():,} answers to {self.source} are right, less than the "
            f"promised {_exact(promise.min_precision)}{chance}"
        )

    @property
    def warnings(self) -> list[str]:
        """Return the reasons why the promise does not hold for these rows."""
        return [*([unfamiliar_message(self.novelty)] if self.unfamiliar else []), *filter(None, [self.shortfall])]

    def describe(self) -> str:
        """Return coverage and precision in one sentence."""
        if not len(self):
            return f"there is no row to judge in {self.source}"
        promise = self.limits.promise
        limit = "without a limit" if promise is None else _limit(promise)
        right = "" if not self.answered.any() else f"; {self.precision:.1%} of the answers are right"
        return f"{limit}, {self.coverage:.1%} of {len(self):,} rows are answered{right}"

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and fractions as JSON values; a fraction is None where there are no rows."""
        promise, known = self.limits.promise, self.known
        return {
            "rows": len(self),
            "left_out": self.left_out,
            "answered": int(self.answered.sum()),
            "coverage": _value(self.coverage),
            "precision": _value(self.precision),
            "accuracy": _value(self.accuracy),
            "calibration_error": _value(self.reliability.error if known.any() else float("nan")),
            "area": _value(self.risk_coverage.area),
            "reasons": {part.reason: part.rows for part in rejected_by_reason(self.reasons, self.correct)},
            "rows_with_unknown_label": int((~known).sum()),
            "unknown_rejected": _value(_mean(~self.answered[~known])),
            "promise": None if promise is None else {key: _value(value) for key, value in asdict(promise).items()},
            "note": self.limits.note,
            "warnings": self.warnings,
        }


def choose_limits(
    classifier: "LabelClassifier", min_precision: float | None = None, max_novelty: float | None = None
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
        if promise.threshold is None:
            raise DataError(promise.describe())
        return ChosenLimits(promise=promise)
    everything = None if max_novelty is None else classifier.promise(threshold=0.0, max_novelty=max_novelty)
    if not classifier.calibrated_:
        note = (
            "no precision can be promised, because the encoder was trained on the rows that gave the confidences, or "
        )
        return ChosenLimits(promise=everything, note=f"{note}may have been")
    promise = classifier.promise(min_precision=DEFAULT_MIN_PRECISION, max_novelty=max_novelty)
    if promise.threshold is not None:
        return ChosenLimits(promise=promise)
    note = promise.describe()
    if not promise.best >= _LEAST_PRECISION:
        return ChosenLimits(promise=everything, note=note)
    return ChosenLimits(promise=classifier.promise(min_precision=promise.best, max_novelty=max_novelty), note=note)


def judge(
    classifier: "LabelClassifier",
    sentences: Sequence[str],
    labels: Sequence[Any],
    *,
    limits: ChosenLimits,
    rows: Sequence[int] | None = None,
    source: str = "the evaluation rows",
) -> JudgedDecisions:
    """Classify labelled sentences and compare the answers with the labels.

    Sentences with the embedding of a training sentence are left out: the classifier knows their labels.

    Args:
        classifier: the fitted classifier.
        sentences: the n texts.
        labels: their labels. They are compared as text, because files have no integers.
        limits: the limits of the answers, see `choose_limits`.
        rows: the number of each sentence in its data, for reports; None counts them.
        source: how messages name the rows.

    Raises:
        DataError: all sentences are copies of training sentences.
    """
    promise = limits.promise
    threshold, max_novelty = (None, None) if promise is None else (promise.threshold, promise.max_novelty)
    found = classifier.decision(sentences, threshold=threshold, max_novelty=max_novelty, explain=True)
    assert found.neighbour_similarities is not None
    kept = np.flatnonzero(~(found.neighbour_similarities[:, 0] >= _COPY_SIMILARITY))
    if not len(kept):
        raise DataError(
            f"all {len(sentences):,} sentences of {source} are training sentences of the classifier, so they cannot "
            "show how right its answers are; pass sentences that it was not fitted to"
        )
    names = [str(name) for name in classifier.classes_.tolist()]
    num_known = len(names)
    number = {name: at for at, name in enumerate(names)}
    for label in labels:
        number.setdefault(str(label), len(number))
    numbers = np.arange(len(sentences)) if rows is None else np.asarray(rows)
    return JudgedDecisions(
        source=source,
        limits=limits,
        label_names=list(number),
        num_known=num_known,
        label_ids=np.array([number[str(labels[row])] for row in kept.tolist()], dtype=np.int64),
        predicted_ids=np.array([number[str(label)] for label in found.predicted[kept]], dtype=np.int64),
        runner_up_ids=np.array([number[str(label)] for label in found.runner_up[kept]], dtype=np.int64),
        confidence=found.confidence[kept],
        novelty=found.novelty[kept],
        reasons=[found.reasons[row] for row in kept.tolist()],
        rows=numbers[kept],
        sentences=[sentences[row] for row in kept.tolist()],
        left_out=len(sentences) - len(kept),
        unfamiliar=found.unfamiliar,
    )


def judge_calibration(
    classifier: "LabelClassifier",
    *,
    limits: ChosenLimits,
    sentences: Sequence[str] | None = None,
    rows: Sequence[int] | None = None,
    source: str = "the calibration rows",
) -> JudgedDecisions:
    """Compare with their labels the answers for the rows that gave temperature and thresholds.

    These answers are of the time before the rows joined the gallery.

    Args:
        classifier: the fitted classifier.
        limits: the limits of the answers, see `choose_limits`.
        sentences: the texts of `calibration_data`, or of `X` without it, all of them; None takes those that the
            classifier kept, if any.
        rows: the number of each of them in its file, for reports; None counts them.
        source: how messages name the rows.
    """
    fitted = classifier._fitted
    found = fitted.calibration
    # Calibration data follow the rows of X in the gallery, and their numbers follow those of X.
    first = int(found.rows.min()) if found.held_out else 0
    positions = classifier._numbers.numpy()[found.rows] - first
    texts = None
    if sentences is not None:
        texts = [sentences[position] for position in positions.tolist()]
    elif classifier._texts is not None:
        texts = [classifier._texts[row] for row in found.rows.tolist()]
    promise = limits.promise
    threshold = None if promise is None else promise.threshold
    max_novelty = None if promise is None else promise.max_novelty
    confident = np.full(len(found.rows), True) if threshold is None else found.confidence >= threshold
    familiar = np.full(len(found.rows), True) if max_novelty is None else ~(found.novelty > max_novelty)
    place = np.argsort(classifier._sorted)  # of each label id among the sorted labels
    return JudgedDecisions(
        source=source,
        limits=limits,
        label_names=[str(name) for name in classifier.classes_.tolist()],
        num_known=len(classifier.classes_),
        label_ids=place[fitted.rows.label_ids.numpy()[found.rows]],
        predicted_ids=place[found.predicted_ids],
        runner_up_ids=place[found.runner_up_ids],
        confidence=found.confidence,
        novelty=found.novelty,
        reasons=[reason_of(*pair) for pair in zip(confident.tolist(), familiar.tolist(), strict=True)],
        rows=positions if rows is None else np.asarray(rows)[positions],
        sentences=texts,
        is_calibration=True,
    )


def _limit(promise: Promise) -> str:
    if promise.min_precision is not None:
        return f"at {_exact(promise.min_precision)} promised precision"
    return f"with a confidence of at least {promise.threshold:.3f}"


def _exact(fraction: float) -> str:
    return f"{round(100 * fraction, 6):g}%"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
