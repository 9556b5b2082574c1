"""Answer about sentences: labels, probabilities, decisions with evidence, and what a limit promises."""

import logging
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tercet.decisions.deciding import decide, with_evidence
from tercet.decisions.drift import unfamiliar_message
from tercet.decisions.fitted_classifier import FittedClassifier
from tercet.decisions.limit_values import check_limits
from tercet.decisions.promise import Promise
from tercet.decisions.rejection import Limits, limits_for
from tercet.decisions.results import Decisions
from tercet.errors import DataError

logger = logging.getLogger(__name__)

# The limits that a fitted classifier remembers.
_MAX_REMEMBERED = 64


class AnsweringClassifier(FittedClassifier):
    """The part of `LabelClassifier` that answers."""

    def predict(
        self,
        X: Any,
        *,
        min_precision: float | None = None,
        coverage: float | None = None,
        threshold: float | None = None,
        max_novelty: float | Literal["auto"] | None = None,
        per_label: bool = False,
    ) -> np.ndarray:
        """Return the label of each sentence `(n,)`. With one of the limits, None stands for "none of these".

        With a limit, a warning is logged if far more sentences than expected are unlike the training sentences, so that
        the promise does not hold, and, once, if no threshold reaches `min_precision`, so that nothing is answered.

        Args:
            X: n sentences, or their embeddings `(n, dim)`.
            min_precision: answer as many sentences as possible such that, with 95 % confidence, at least this fraction
                of the answers is right, for sentences like those of the training data. With `label_levels`, a sentence
                between labels may get the parent of the likeliest one as its answer, which is right if the label is
                below it; the precision then holds for labels and for parents together and on their own.
            coverage: answer this fraction of sentences like those of the training data.
            threshold: answer with a confidence of at least this.
            max_novelty: answer only sentences with at most this novelty, see `Decisions`; "auto" is the limit that was
                tuned to `unknown_sentences`, or 0.9 without such sentences. None is the tuned limit if there is one and
                another limit is given, else no limit.
            per_label: with `min_precision`, labels that reach it on their own get their own threshold; the others share
                one. The precision then holds for each of these labels, and for the others together, with 95 %
                confidence each: of 20 labels, expect that it does not hold for one. No answer is then a parent.

        Raises:
            DataError: a limit is invalid, two of the first three are given, or no precision can be promised.
        """
        limits = self._limits(min_precision, coverage, threshold, max_novelty, per_label)
        if limits.promise is None:
            return self._arrays(self._scores(X)[1].argmax(dim=1))
        found = self._decide(X, limits, top=1, explain=False)
        self._warn(limits, found)
        return found.labels

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each label of `classes_`: `n sentences → (n, num_labels)`."""
        return self._scores(X)[1].exp()[:, self._sorted].numpy()

    def decision(
        self,
        X: Any,
        *,
        min_precision: float | None = None,
        coverage: float | None = None,
        threshold: float | None = None,
        max_novelty: float | Literal["auto"] | None = None,
        per_label: bool = False,
        top: int = 2,
        explain: bool = False,
    ) -> Decisions:
        """Return labels with confidence, novelty and the runner-up, and with the evidence if `explain`.

        Warnings are logged as by `predict`; that about unlike sentences also without a limit.

        Args:
            X: n sentences, or their embeddings `(n, dim)`.
            min_precision: as for `predict`, and so are the next four.
            top: the number of likeliest labels to return.
            explain: whether to find the three nearest training sentences.
        """
        limits = self._limits(min_precision, coverage, threshold, max_novelty, per_label)
        found = self._decide(X, limits, top=top, explain=explain)
        self._warn(limits, found)
        return found

    def promise(
        self,
        *,
        min_precision: float | None = None,
        coverage: float | None = None,
        threshold: float | None = None,
        max_novelty: float | Literal["auto"] | None = None,
        per_label: bool = False,
    ) -> Promise:
        """Return what a limit gives on rows that neither classifier nor encoder has seen.

        Args and errors: as for `predict`.
        """
        limits = self._limits(min_precision, coverage, threshold, max_novelty, per_label)
        if limits.promise is None:
            raise DataError("pass min_precision, coverage, threshold or max_novelty")
        return limits.promise

    def _limits(
        self,
        min_precision: float | None = None,
        coverage: float | None = None,
        threshold: float | None = None,
        max_novelty: float | Literal["auto"] | None = None,
        per_label: bool = False,
    ) -> Limits:
        """Return the limits for what was asked for. They are computed once, since a call may have one sentence only."""
        check_is_fitted(self, "_fitted")
        asked: dict[str, Any] = {
            "min_precision": min_precision, "coverage": coverage, "threshold": threshold, "max_novelty": max_novelty,
            "per_label": per_label,
        }  # fmt: skip
        check_limits(**asked)  # before the search among the remembered ones, for which True is 1.0
        key = tuple(asked.values())
        # Another thread may clear the dictionary, or `partial_fit` replace it, while the limits are computed.
        remembered = self._remembered
        limits = remembered.get(key)
        if limits is None:
            limits = limits_for(self._fitted, **asked)
            if limits.promise is not None:
                limits = replace(limits, promise=replace(limits.promise, added_labels=len(self.added_labels_)))
            if len(remembered) >= _MAX_REMEMBERED:
                remembered.clear()
                self._warned.clear()
            remembered[key] = limits
        return limits

    def _warn(self, limits: Limits, found: Decisions) -> None:
        promise = limits.promise
        if promise is not None and promise.is_empty:
            message = (
                f"{promise.describe()}; no sentence gets an answer: pass a lower min_precision, or fit with more "
                "calibration rows"
            )
            if message not in self._warned:  # A call may have one sentence only.
                self._warned.add(message)
                logger.warning(message)
        if found.unfamiliar:
            logger.warning(unfamiliar_message(found.novelty, is_limited=limits.max_novelty is not None))

    def _decide(self, X: Any, limits: Limits, *, top: int, explain: bool) -> Decisions:
        if isinstance(top, bool) or not isinstance(top, Integral) or top < 1:
            raise DataError(f"top must be an integer of at least 1, got {top!r}")
        embedded, log_p = self._scores(X)
        found = decide(self._fitted, self._names, embedded.spaces, log_p, limits, top=int(top))
        if not explain:
            return found
        embeddings = embedded.spaces.embeddings
        return with_evidence(found, self._fitted, self._names, embeddings, numbers=self._numbers, texts=self._texts)


def decide_without_warnings(
    classifier: AnsweringClassifier, X: Any, *, top: int = 2, explain: bool = False, **limits: Any
) -> Decisions:
    """Return what `classifier.decision` returns, for callers that warn themselves. The limits are those of it."""
    return classifier._decide(X, classifier._limits(**limits), top=top, explain=explain)
