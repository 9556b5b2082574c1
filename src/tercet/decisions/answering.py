"""Answer about sentences: labels, probabilities, decisions with evidence, and what a limit promises."""

from dataclasses import replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tercet.decisions.deciding import decide, with_evidence
from tercet.decisions.fitted_classifier import FittedClassifier
from tercet.decisions.rejection import Limits, limits_for
from tercet.decisions.results import Decisions
from tercet.decisions.thresholds import Promise
from tercet.errors import DataError


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
        return self._decide(X, limits, top=1, explain=False).labels

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

        Args:
            X: n sentences, or their embeddings `(n, dim)`.
            min_precision: as for `predict`, and so are the next four.
            top: the number of likeliest labels to return.
            explain: whether to find the three nearest training sentences.
        """
        limits = self._limits(min_precision, coverage, threshold, max_novelty, per_label)
        if isinstance(top, bool) or not isinstance(top, Integral) or top < 1:
            raise DataError(f"top must be an integer of at least 1, got {top!r}")
        return self._decide(X, limits, top=int(top), explain=explain)

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
        return replace(limits.promise, added_labels=len(self.added_labels_))

    def _limits(
        self,
        min_precision: float | None,
        coverage: float | None,
        threshold: float | None,
        max_novelty: float | Literal["auto"] | None,
        per_label: bool,
    ) -> Limits:
        check_is_fitted(self, "_fitted")
        return limits_for(
            self._fitted,
            min_precision=min_precision,
            coverage=coverage,
            threshold=threshold,
            max_novelty=max_novelty,
            per_label=per_label,
        )

    def _decide(self, X: Any, limits: Limits, *, top: int, explain: bool) -> Decisions:
        embedded, log_p = self._scores(X)
        found = decide(self._fitted, self._names, embedded.spaces, log_p, limits, top=top)
        if not explain:
            return found
        embeddings = embedded.spaces.embeddings
        return with_evidence(found, self._fitted, self._names, embeddings, numbers=self._numbers, texts=self._texts)
