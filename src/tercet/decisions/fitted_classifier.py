"""The state of a fitted classifier: its attributes, and the scores of sentences."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from tercet.decisions import inputs
from tercet.decisions.back_off import Ancestors
from tercet.decisions.fitting import Fitted
from tercet.decisions.inputs import Embedded
from tercet.decisions.rejection import Limits

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer


class FittedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The part of `LabelClassifier` that holds what was fitted."""

    model: "SentenceTransformer | str | Path | None"
    model_: "SentenceTransformer | None"
    batch_size: int | None
    label_levels: str | None
    classes_: np.ndarray
    added_labels_: list[Any]
    _fitted: Fitted
    _names: list[Any]
    _numbers: Tensor
    _next_number: int
    _texts: list[str | None] | None
    _remembered: dict[tuple[Any, ...], Limits]
    _warned: set[str]

    @property
    def members_(self) -> list[str]:
        """The names of the chosen classifiers."""
        return list(self._fitted.choice.temperatures)

    @property
    def scores_(self) -> dict[str, float]:
        """The accuracy of each candidate, and of the choice, on rows that it was not fitted to."""
        return dict(self._fitted.choice.accuracy)

    @property
    def calibrated_(self) -> bool:
        """True if the encoder has not seen the rows that gave temperature and thresholds."""
        return self._fitted.calibration.unseen

    @property
    def num_calibration_rows_(self) -> int:
        """The number of rows that gave temperature, thresholds and novelty."""
        return len(self._fitted.calibration.confidence)

    def _set(
        self, fitted: Fitted, names: list[Any], numbers: Tensor, texts: list[str | None] | None, next_number: int
    ) -> None:
        """Store a fitted state.

        Args:
            fitted: what was fitted.
            names: the labels, by label id.
            numbers: the number of each training row in the data of `fit`.
            texts: their texts; None if they are not kept.
            next_number: the number of the next row that `partial_fit` adds.
        """
        self._fitted, self._names, self._numbers, self._texts = fitted, names, numbers, texts
        self._next_number = next_number
        self._remembered = {}  # the limits for what was asked for
        self._warned = set()  # the warnings about these limits
        self._sorted = sorted(range(len(names)), key=lambda label_id: names[label_id])
        self.classes_ = np.array([names[label_id] for label_id in self._sorted])
        self.n_features_in_ = fitted.rows.spaces.embeddings.shape[1]

    def _ancestors(self, names: list[Any]) -> Ancestors | None:
        return None if self.label_levels is None else Ancestors.of(names, self.label_levels)

    def _embed(self, X: Any, name: str) -> Embedded:
        check_is_fitted(self, "_fitted")
        found = inputs.embed(X, name, self.model_, batch_size=self.batch_size, dimension=self.n_features_in_)
        return inputs.like(found, self._fitted.rows.spaces, name)

    def _scores(self, X: Any) -> tuple[Embedded, Tensor]:
        embedded = self._embed(X, "X")
        return embedded, self._fitted.log_probabilities(embedded.spaces)

    def _arrays(self, label_ids: Tensor) -> np.ndarray:
        """Return the labels with the given ids, in an array like `classes_`."""
        return np.array([self._names[label_id] for label_id in label_ids.tolist()], dtype=self.classes_.dtype)
