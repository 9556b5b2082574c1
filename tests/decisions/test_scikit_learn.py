"""The classifier as an estimator of scikit-learn: cloned, pickled, cross-validated, in a pipeline."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from tercet import LabelClassifier
from tests.decisions.data import blobs, names_of


def test_parameters_are_read_set_and_cloned(encoder):
    classifier = LabelClassifier(encoder, method="class_means", keep_texts=True)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy.model is encoder  # a copy would take its memory once more
    assert copy.set_params(method="auto", random_state=3).random_state == 3
    assert classifier.random_state == 0
    assert set(LabelClassifier().get_params()) == {
        "model", "method", "unseen_rows", "keep_texts", "batch_size", "device", "random_state",
        "label_levels",
    }  # fmt: skip


def test_an_unfitted_classifier_is_pickled():
    copy = pickle.loads(pickle.dumps(LabelClassifier("bundled", random_state=4)))
    assert copy.get_params() == LabelClassifier("bundled", random_state=4).get_params()


def test_a_fitted_classifier_of_embeddings_is_pickled(fitted):
    x, _ = blobs(20, seed=9)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(x), fitted.predict_proba(x))


@pytest.mark.slow
def test_cross_validation(encoder, sentences, labels):
    x, ids = blobs(90)
    scores = cross_val_score(LabelClassifier(unseen_rows=True), x, names_of(ids), cv=3)
    assert scores.mean() > 0.8
    found = cross_val_predict(LabelClassifier(unseen_rows=True), x, ids, cv=3, method="predict_proba")
    assert log_loss(ids, found) < 1
    assert len(cross_val_score(LabelClassifier(encoder, unseen_rows=True), sentences, labels, cv=2)) == 2


@pytest.mark.slow
def test_a_pipeline_and_a_grid(encoder, sentences, labels):
    pipeline = Pipeline(
        [("lower", FunctionTransformer(lambda texts: [text.lower() for text in texts])),
         ("classify", LabelClassifier(encoder, unseen_rows=True))]
    )  # fmt: skip
    pipeline.fit(sentences, labels)
    assert pipeline.predict_proba(sentences[:3]).shape == (3, 4)
    assert pipeline.predict(sentences).tolist() == pipeline.predict([text.upper() for text in sentences]).tolist()
    grid = GridSearchCV(pipeline, {"classify__method": ["class_means", "shared_covariance"]}, cv=2)
    grid.fit(sentences, labels)
    assert grid.best_params_["classify__method"] in ("class_means", "shared_covariance")
    assert grid.best_estimator_["classify"].members_ == [grid.best_params_["classify__method"]]
    assert grid.classes_.tolist() == sorted(set(labels))


def test_an_unfitted_classifier_answers_nothing(tmp_path):
    for call in (
        lambda: LabelClassifier().predict([[1.0, 0.0]]),
        lambda: LabelClassifier().predict_proba([[1.0, 0.0]]),
        lambda: LabelClassifier().decision([[1.0, 0.0]]),
        lambda: LabelClassifier().promise(min_precision=0.9),
        lambda: LabelClassifier().save(tmp_path / "new"),
    ):
        with pytest.raises(NotFittedError, match="not fitted"):
            call()
