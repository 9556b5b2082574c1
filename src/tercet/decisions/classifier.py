"""LabelClassifier: a scikit-learn classifier of sentences that says how sure it is, and when to say nothing."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from sklearn.utils.validation import check_is_fitted

from tercet._files import as_path
from tercet._labels import plain_labels, warn_of_forms
from tercet._nested_labels import normalize_label
from tercet._numbers import check_integer
from tercet.data.cleaning.copies import first_occurrences
from tercet.decisions import inputs
from tercet.decisions.answering import AnsweringClassifier
from tercet.decisions.calibration_data import why_uncalibrated
from tercet.decisions.fit_arguments import read_fit_arguments
from tercet.decisions.fitting import add_rows
from tercet.decisions.inputs import Embedded
from tercet.decisions.training_rows import (
    TrainingRows,
    check_first_labels,
    check_label_type,
    check_length,
    labels_beside,
    number_labels,
    warn_of_removed_spaces,
)
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)


class LabelClassifier(AnsweringClassifier):
    """A scikit-learn classifier of sentences, which can answer "none of these".

    The encoder is not trained. The classifier is chosen among nearest neighbours, class means, a shared covariance,
    logistic regression and means of them, by predictions for rows that it was not fitted to. These rows give the
    temperature of the probabilities and the thresholds, too.

    If the encoder was trained on the rows of `fit`, all confidences would be too high. Then pass other labelled rows as
    `calibration_data`. Without them, no precision is promised, unless the encoder is known not to have seen the rows.
    It is known by the texts, so pass them as in the training: only case, white space and Unicode forms do not matter.

    Args:
        model: the encoder: a `SentenceTransformer`, a folder, a name on the hub, or `"bundled"`. None for embeddings.
        method: "auto", or the name of one classifier: "nearest_neighbours", "class_means", "shared_covariance" or
            "logistic_regression". All are fitted in any case: they have `scores_`, and the logistic regression measures
            novelty.
        unseen_rows: say that the encoder was never trained on the rows of `fit`, if that cannot be known.
        keep_texts: keep the training sentences, to show them as evidence, also in the saved files.
        batch_size: number of sentences to encode at a time; None adapts it to their length.
        device: the device of the encoder if `model` is a name; None uses a GPU if there is one.
        random_state: the seed of folds and samples.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund". With
            `min_precision`, the classifier then answers "billing" where it cannot answer "billing/refund". None for
            labels without levels.

    Attributes:
        classes_: the labels, sorted.
        n_features_in_: the dimension of the embeddings.
        model_: the encoder; None for embeddings.
        members_: the names of the chosen classifiers, whose log-probabilities are averaged.
        scores_: the accuracy of each candidate, and of the choice (`chosen`), on rows that it was not fitted to.
        calibrated_: whether the encoder has not seen the rows that gave temperature and thresholds.
        added_labels_: labels that `partial_fit` added; thresholds were measured without them, as promises say.

    Example:
        >>> classifier = LabelClassifier("bundled")
        >>> texts = ["refund please", "money back", "send me back my money", "card lost", "my card is gone", "lost it"]
        >>> classifier = classifier.fit(texts, ["refund"] * 3 + ["card"] * 3)
        >>> classifier.predict(["I want my money back"]).tolist()
        ['refund']
    """

    def __init__(
        self,
        model: "SentenceTransformer | str | Path | None" = None,
        *,
        method: str = "auto",
        unseen_rows: bool = False,
        keep_texts: bool = False,
        batch_size: int | None = None,
        device: str | None = None,
        random_state: int = 0,
        label_levels: str | None = None,
    ) -> None:
        self.model = model
        self.method = method
        self.unseen_rows = unseen_rows
        self.keep_texts = keep_texts
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.label_levels = label_levels

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        calibration_data: tuple[Any, Any] | None = None,
        unknown_sentences: Any = None,
    ) -> Self:
        """Fit the classifier to labelled sentences.

        Args:
            X: n sentences, or their embeddings `(n, dim)`.
            y: n labels, all integers or all strings.
            calibration_data: sentences (or embeddings) and labels that the encoder was not trained on. They give the
                temperature and the thresholds, and join the training rows afterwards.
            unknown_sentences: sentences (or embeddings) that belong to none of the labels, to tune how they are
                recognised.

        Raises:
            DataError: a text, an embedding or a label is invalid or missing, or there are fewer than two labels.
            ModelError: the encoder cannot be loaded.
        """
        check_integer("random_state", self.random_state, minimum=0, error=DataError)
        self.model_, rows = read_fit_arguments(
            X, y, calibration_data, unknown_sentences, model=self.model, device=self.device, method=self.method,
            unseen_rows=self.unseen_rows, batch_size=self.batch_size, label_levels=self.label_levels,
        )  # fmt: skip
        self._fit(rows)
        if not self.calibrated_:
            logger.warning(why_uncalibrated(rows.seen))
        return self

    def fit_embedded(
        self,
        training: Embedded,
        labels: list[Any],
        calibration: Embedded | None,
        calibration_labels: list[Any],
        *,
        seen: float | None,
    ) -> Self:
        """Fit the classifier to rows that were embedded already, by `model`. A training run does this.

        Args:
            training: the training rows.
            labels: their labels.
            calibration: rows that the encoder was not trained on, without copies of training rows; None for none.
            calibration_labels: their labels, which training rows have too.
            seen: the fraction of the training rows that the encoder was trained on; None if it is unknown.
        """
        self.model_ = inputs.load_encoder(self.model, self.device)
        if calibration is not None:  # Copies are not independent, so each is measured once.
            first = first_occurrences(zip(calibration.keys, calibration_labels, strict=True))
            calibration, calibration_labels = calibration.select(first), [calibration_labels[row] for row in first]
        names, label_ids = number_labels(labels, training)
        number = {name: at for at, name in enumerate(names)}
        calibration_ids = torch.tensor([number[label] for label in calibration_labels], dtype=torch.long)
        rows = TrainingRows(
            rows=training, label_ids=label_ids, names=names, calibration=calibration,
            calibration_ids=calibration_ids, seen=seen,
        )  # fmt: skip
        return self._fit(rows)

    def _fit(self, rows: TrainingRows) -> Self:
        fitted, numbers, texts = rows.fit(
            method=self.method, ancestors=self._ancestors(rows.names), seed=self.random_state
        )
        self.added_labels_ = []
        self._set(fitted, rows.names, numbers, texts if self.keep_texts else None, rows.next_number)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Add labelled sentences: of new labels, or more of old ones. The encoder is not trained; it takes seconds.

        Members, temperature and thresholds stay. They were measured without the new labels, which `added_labels_`
        lists; fit again to measure them too. If the classifier is not fitted, the first call fits it, so it needs rows
        of two labels or more.

        Args:
            X: n sentences, or their embeddings `(n, dim)`.
            y: n labels of the same type as those of `fit`.
            classes: all labels, as in scikit-learn; not used.

        Raises:
            DataError: as for `fit`.
        """
        labels = plain_labels(y, "y", error=DataError)
        if not hasattr(self, "_fitted"):
            check_first_labels(labels)
            return self.fit(X, labels)
        check_label_type(labels, self._names[0], "y")
        if self.label_levels is not None:
            forms = {str(label): normalize_label(str(label), self.label_levels) for label in labels}
            warn_of_removed_spaces([label for label in forms if forms[label] not in self._names], self.label_levels)
            labels = [forms[str(label)] for label in labels]
        warn_of_forms([*self._names, *labels], "y")
        given = inputs.read(X, "X")
        check_length(given, labels, "X", "y")
        new = self._embed(given, "X")
        added = labels_beside(self._names, labels, new)
        names = [*self._names, *added]
        number = {name: at for at, name in enumerate(names)}
        fitted = add_rows(
            self._fitted, new.spaces, torch.tensor([number[label] for label in labels]), len(names),
            seed=self.random_state,
        )  # fmt: skip
        following = self._next_number + len(new)
        numbers = torch.cat([self._numbers, torch.arange(self._next_number, following)])
        new_texts: list[str | None] = list(new.texts) if new.texts else [None] * len(new)
        texts = None if self._texts is None else [*self._texts, *new_texts]
        self.added_labels_ = [*self.added_labels_, *added]
        self._set(replace(fitted, ancestors=self._ancestors(names)), names, numbers, texts, following)
        return self

    def save(self, folder: str | Path, *, overwrite: bool = True) -> None:
        """Write the encoder and the classifier into a folder, atomically: safetensors and JSON, no pickle.

        Without an encoder, only the classifier is written. Texts are written only with `keep_texts`.

        Raises:
            DataError: the folder has files although `overwrite` is False, or files that are not those of a model.
            ModelError: the folder cannot be written.
        """
        from tercet.decisions.storage import save

        check_is_fitted(self, "_fitted")
        save(self, as_path(folder), overwrite=overwrite)

    @classmethod
    def load(
        cls, folder: str | Path, model: "SentenceTransformer | str | Path | None" = None, *, device: str | None = None
    ) -> Self:
        """Read a classifier, and the encoder in the same folder.

        Args:
            folder: the folder that `save` or `tercet train` wrote.
            model: an encoder to use instead of that in the folder, or its name.
            device: the device of the encoder; None uses a GPU if there is one.

        Raises:
            ModelError: the folder has no classifier, a file is missing or damaged, or the encoder is not the one that
                the classifier was fitted with.
        """
        from tercet.decisions.storage import load

        return load(cls, as_path(folder), inputs.load_encoder(model, device), device=device)

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted classifier with the same encoder, which scikit-learn would copy."""
        return type(self)(**self.get_params(deep=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        return tags
