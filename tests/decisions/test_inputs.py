import logging
import re

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset

from tercet import LabelClassifier
from tercet.errors import DataError, ModelError
from tests.decisions.data import blobs, names_of

X, IDS = blobs(30)
NAMES = names_of(IDS)


def _fails(message, call, error=DataError):
    with pytest.raises(error, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---- containers


@pytest.mark.slow
@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: np.array(texts)[:, None],
        pd.Series,
        lambda texts: pd.Series(texts, index=range(5, 5 + len(texts))),
        lambda texts: Dataset.from_dict({"text": texts})["text"],
        iter,
    ],
)
def test_sentences_come_in_any_container(encoder, sentences, labels, convert):
    plain = LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels)
    found = LabelClassifier(encoder, unseen_rows=True).fit(convert(sentences), labels)
    assert np.array_equal(found.predict_proba(convert(sentences[:5])), plain.predict_proba(sentences[:5]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.tolist(),
        lambda x: tuple(map(tuple, x.tolist())),
        lambda x: list(x),
        torch.from_numpy,
        lambda x: list(torch.from_numpy(x)),
        lambda x: torch.from_numpy(x).requires_grad_(),
        lambda x: x.astype(np.float64),
        pd.DataFrame,
        lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),  # cannot be written
        lambda x: pd.DataFrame(x, columns=[f"dim {number}" for number in range(x.shape[1])]),
        lambda x: Dataset.from_dict({"embedding": x.tolist()})["embedding"],
    ],
)
def test_embeddings_come_in_any_container(convert):
    plain = LabelClassifier(unseen_rows=True).fit(X, IDS)
    found = LabelClassifier(unseen_rows=True).fit(convert(X), IDS)
    assert np.array_equal(found.predict_proba(convert(X[:5])), plain.predict_proba(X[:5]))


@pytest.mark.parametrize(
    ("convert", "kind"),
    [
        (list, "i"),
        (np.array, "i"),
        (torch.tensor, "i"),
        (pd.Series, "i"),
        (lambda ids: np.array(ids)[:, None], "i"),
        (names_of, "U"),
        (lambda ids: np.array(names_of(ids), dtype=object), "U"),
        (lambda ids: pd.Series(names_of(ids)), "U"),
        (lambda ids: pd.Series(names_of(ids), dtype="category"), "U"),
        (lambda ids: [label_id == 1 for label_id in ids], "b"),
    ],
)
def test_labels_come_in_any_container(convert, kind):
    classifier = LabelClassifier(unseen_rows=True).fit(X, convert(IDS.tolist()))
    assert classifier.classes_.dtype.kind == kind
    assert sorted(classifier.classes_.tolist()) == classifier.classes_.tolist()
    assert classifier.predict(X).dtype.kind == kind
    assert set(map(type, classifier.predict(X, threshold=0.0).tolist())) == {type(classifier.classes_.tolist()[0])}


def test_embeddings_are_given_to_a_classifier_with_an_encoder(encoder, sentences, labels):
    embeddings = encoder.encode(sentences)
    by_text = LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels)
    by_row = LabelClassifier(encoder, unseen_rows=True).fit(embeddings, labels)
    np.testing.assert_allclose(by_text.predict_proba(embeddings), by_text.predict_proba(sentences), atol=1e-4)
    assert by_row.predict(sentences).tolist() == by_row.predict(embeddings).tolist()


@pytest.mark.parametrize("empty", [[], np.empty((0, 8), np.float32), torch.empty(0, 8)])
def test_no_rows_get_no_answers(fitted, empty):
    assert fitted.predict(empty).shape == (0,)
    assert fitted.predict(empty, threshold=0.9).shape == (0,)
    assert fitted.predict_proba(empty).shape == (0, 3)
    found = fitted.decision(empty, explain=True)
    assert len(found) == 0
    assert found.to_dicts() == []
    assert found.neighbours.shape == (0, 3)
    assert not found.unfamiliar


def test_no_sentences_get_no_answers(encoder, sentences, labels):
    classifier = LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels)
    for empty in ([], np.array([], dtype=object), pd.Series([], dtype=object)):
        assert classifier.predict(empty).shape == (0,)
        assert classifier.predict_proba(empty).shape == (0, 4)


# ---- bad sentences and embeddings

BAD_TEXTS = [
    ("a string", "must be a list of sentences, got one string; pass ["),
    (["good", None], "row 1: the text is missing (None)"),
    (["good", float("nan")], "row 1: the text is missing (nan)"),
    (["good", ""], "row 1: the text is empty"),
    (["good", " \n"], "row 1: the text is empty"),
    (["good", 3], "row 1: the text is 3 (int)"),
    (["good", "\ud800"], "row 1: the text contains a lone surrogate"),
    ({"a": "b"}, "must be a list of sentences or an array of embeddings, got dict"),
    (5, "must be a list of sentences or an array of embeddings, got int"),
    (None, "must be a list of sentences or an array of embeddings, got NoneType"),
]


@pytest.mark.parametrize(("texts", "message"), BAD_TEXTS)
def test_bad_sentences(encoder, sentences, labels, texts, message):
    classifier = LabelClassifier(encoder, unseen_rows=True)
    _fails(message, lambda: classifier.fit(texts, ["a", "b"]))
    classifier.fit(sentences, labels)
    _fails(message, lambda: classifier.predict(texts))
    _fails(message, lambda: classifier.partial_fit(texts, ["sport", "sport"]))
    _fails(message, lambda: classifier.fit(sentences, labels, calibration_data=(texts, ["sport", "sport"])))
    if texts is not None:
        _fails(message, lambda: classifier.fit(sentences, labels, unknown_sentences=texts))
    assert len(classifier.predict(sentences)) == 16  # still fitted


BAD_ROWS = [
    ([[1.0, 2.0], [1.0]], "X has embeddings of different dimensions; pass an array of shape (n, dim)"),
    (np.array([[1.0, 0.0], [np.nan, 1.0]]), "X, row 1: the embedding has NaN or infinite values"),
    (np.array([[1.0, 0.0], [np.inf, 1.0]]), "X, row 1: the embedding has NaN or infinite values"),
    (np.array([[1.0, 0.0], [0.0, 0.0]]), "X, row 1: the embedding is zero, so it has no direction"),
    (np.ones(2), "X must be a floating-point tensor (batch, dim)"),
    (np.ones((2, 2, 2)), "X must be a floating-point tensor (batch, dim)"),
    (np.ones((2, 0)), "X must have at least one dimension"),
    (np.array([["a", "b"], ["c", "d"]]), "X, row 0: the text is"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_ROWS)
def test_bad_embeddings(rows, message):
    _fails(message, lambda: LabelClassifier(unseen_rows=True).fit(rows, ["a", "b"]))


def test_huge_and_tiny_embeddings_have_a_direction():
    for factor in (1e-15, 1e15):
        classifier = LabelClassifier(unseen_rows=True).fit(X * np.float32(factor), IDS)
        assert classifier.score(X, IDS) > 0.9


def test_another_dimension(fitted, encoder, sentences, labels):
    _fails("X has embeddings of dimension 3, but dimension 8 is expected", lambda: fitted.predict(np.ones((2, 3))))
    _fails(
        "dimension 3, but dimension 8",
        lambda: LabelClassifier().fit(X, IDS, calibration_data=(np.ones((2, 3)), [0, 1])),
    )
    _fails("dimension 3, but dimension 8", lambda: LabelClassifier().fit(X, IDS, unknown_sentences=np.ones((2, 3))))
    _fails("dimension 8, but dimension 32", lambda: LabelClassifier(encoder).fit(X, IDS))


def test_sentences_without_an_encoder(fitted):
    _fails("X has sentences, but the classifier has no encoder", lambda: fitted.predict(["a sentence"]))
    _fails("X has sentences, but the classifier has no encoder", lambda: LabelClassifier().fit(["a", "b"], [0, 1]))


def test_an_encoder_that_does_not_exist(sentences, labels, tmp_path):
    _fails(str(tmp_path / "no"), lambda: LabelClassifier(tmp_path / "no").fit(sentences, labels), ModelError)


# ---- bad labels

BAD_LABELS = [
    ([0] * 30, "y has 0; a classifier needs two labels or more"),
    ([], "y has no label; a classifier needs two labels or more"),
    (NAMES[:-1], "X has 30 rows, but y has 29 labels; pass one for each"),
    ([*NAMES[:-1], None], "y, row 29: the label is missing (None)"),
    ([*NAMES[:-1], float("nan")], "y, row 29: the label is missing (nan)"),
    ([*NAMES[:-1], ""], "y, row 29: the label is missing ('')"),
    ([*NAMES[:-1], 3], "y, row 29: the label 3 is an integer, but that of the first row is a string"),
    ([0.5, 1.5] * 15, "y, row 0: the label is 0.5 (float)"),
    ("alpha", "y must be a list with one label per row, got str"),
    (np.eye(30), "y must have the shape (n,)"),
]


@pytest.mark.parametrize(("labels", "message"), BAD_LABELS)
def test_bad_labels(labels, message):
    _fails(message, lambda: LabelClassifier(unseen_rows=True).fit(X, labels))


def test_labels_of_another_type_are_refused_later():
    classifier = LabelClassifier(unseen_rows=True).fit(X, IDS)
    for labels in (["0"], [True]):
        kind = type(labels[0]).__name__
        message = f"has labels of type {kind}, but y of fit has labels of type int; convert them"
        _fails(f"y {message}", lambda labels=labels: classifier.partial_fit(X[:1], labels))
        pair = (X[:1], labels)
        _fails(f"calibration_data {message}", lambda pair=pair: classifier.fit(X, IDS, calibration_data=pair))
    assert classifier.score(X, IDS) > 0.9


def test_bad_partial_fits(fitted):
    _fails("X has 2 rows, but y has 1 label;", lambda: fitted.partial_fit(X[:2], ["alpha"]))
    _fails("X has no rows; pass labelled sentences", lambda: fitted.partial_fit([], []))
    assert fitted.classes_.tolist() == ["alpha", "beta", "gamma"]


# ---- bad calibration rows


def test_the_first_partial_fit_needs_two_labels():
    with pytest.raises(DataError, match=r"y has 1 only, but the first call of partial_fit fits .* two labels first"):
        LabelClassifier().partial_fit([[1.0, 0.0]], [1], classes=[1, 2])
    assert LabelClassifier().partial_fit([[1.0, 0.0], [0.0, 1.0]], iter([1, 2])).classes_.tolist() == [1, 2]


def test_bad_calibration_data(caplog):
    new, new_ids = blobs(20, seed=1)

    def fit(data):
        return LabelClassifier().fit(X, IDS, calibration_data=data)

    _fails("calibration_data must be a pair", lambda: fit(new))
    _fails("calibration_data must be a pair", lambda: fit((new, new_ids, new_ids)))
    _fails("calibration_data has 20 rows, but its second part has 19 labels", lambda: fit((new, new_ids[1:])))
    _fails("calibration_data has no rows", lambda: fit(([], [])))
    _fails("no row of calibration_data can be used", lambda: fit((X, IDS)))
    _fails("no row of calibration_data can be used", lambda: fit((new, new_ids + 10)))
    with caplog.at_level(logging.WARNING, "tercet"):
        caplog.clear()
        fit((np.concatenate([new, X[:2]]), np.concatenate([new_ids[:-1], [7], IDS[:2]])))
    assert [record.message for record in caplog.records] == [
        "1 of 22 rows of calibration_data are left out: a label that the training rows do not have",
        "2 of 22 rows of calibration_data are left out: a text that is also in the training rows",
    ]


def test_unknown_sentences_need_a_row():
    _fails("unknown_sentences has no rows", lambda: LabelClassifier().fit(X, IDS, unknown_sentences=[]))


@pytest.mark.slow
def test_unknown_sentences_tune_the_limit():
    unknown = blobs(60, labels=6, seed=2, means_seed=9)[0]
    x, ids = blobs(150, noise=0.15)
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, unknown_sentences=unknown)
    limit = classifier.promise(max_novelty="auto").max_novelty
    assert (classifier.decision(unknown).novelty > limit).mean() > 0.8
    assert (classifier.decision(blobs(150, noise=0.15, seed=3)[0]).novelty > limit).mean() < 0.3
    assert classifier.predict(unknown, threshold=0.0).tolist().count(None) > 40
    copies = np.concatenate([unknown, np.repeat(unknown[:1], 500, axis=0)])
    repeated = LabelClassifier(unseen_rows=True).fit(x, ids, unknown_sentences=copies)
    assert repeated.promise(max_novelty="auto").max_novelty == limit


def test_everything_is_checked_before_a_sentence_is_encoded(sentences, labels, monkeypatch):
    def fail(*args, **settings):
        raise AssertionError("encoded")

    fitted = LabelClassifier(unseen_rows=True).fit(X, IDS)
    monkeypatch.setattr("tercet.decisions.inputs.embed_texts", fail)
    monkeypatch.setattr("tercet.decisions.inputs.load_encoder", fail)
    classifier = LabelClassifier("bundled")
    with pytest.raises(DataError):
        classifier.fit(sentences, labels[1:])
    for calibration in ((sentences, labels[1:]), (["", "b"], ["sport", "food"]), (["a"], [1]), "text"):
        with pytest.raises(DataError):
            classifier.fit(sentences, labels, calibration_data=calibration)
    for unknown in ([None], []):
        with pytest.raises(DataError):
            classifier.fit(sentences, labels, unknown_sentences=unknown)
    with pytest.raises(DataError):
        LabelClassifier("bundled", method="best").fit(sentences, labels)
    with pytest.raises(DataError):
        fitted.partial_fit(["a", "b"], [1])
    with pytest.raises(DataError):
        fitted.predict(["a"], threshold=2.0)


# ---- bad limits and settings

BAD_LIMITS = [
    (
        {"min_precision": 1},
        "min_precision must be above 0 and below 1, got 1; no number of rows can show a precision of 1",
    ),
    ({"min_precision": 0}, "min_precision must be above 0 and below 1, got 0"),
    ({"min_precision": 1.5}, "min_precision must be above 0 and below 1, got 1.5"),
    ({"min_precision": "high"}, "min_precision must be above 0 and below 1, got 'high'"),
    ({"min_precision": True}, "min_precision must be above 0 and below 1, got True"),
    ({"min_precision": float("nan")}, "min_precision must be above 0 and below 1, got nan"),
    ({"min_precision": 98}, "min_precision must be above 0 and below 1, got 98; for 98 %, pass 0.98"),
    ({"coverage": 90}, "coverage must be above 0 and at most 1, got 90; for 90 %, pass 0.9"),
    ({"coverage": 0}, "coverage must be above 0 and at most 1, got 0"),
    ({"coverage": 1.1}, "coverage must be above 0 and at most 1, got 1.1"),
    ({"threshold": -0.1}, "threshold must be from 0 to 1, got -0.1"),
    ({"threshold": [0.5]}, "threshold must be from 0 to 1, got [0.5]"),
    ({"max_novelty": 2}, 'max_novelty must be from 0 to 1 or "auto", got 2'),
    ({"max_novelty": "high"}, "max_novelty must be from 0 to 1 or \"auto\", got 'high'"),
    ({"min_precision": 0.9, "coverage": 0.5}, "min_precision and coverage exclude each other; pass one of them"),
    ({"threshold": 0.9, "coverage": 0.5}, "coverage and threshold exclude each other; pass one of them"),
    ({"per_label": True}, "per_label=True needs min_precision"),
]


@pytest.mark.parametrize(("limits", "message"), BAD_LIMITS)
def test_bad_limits(fitted, limits, message):
    for call in (fitted.predict, fitted.decision):
        _fails(message, lambda call=call: call(X, **limits))
    _fails(message, lambda: fitted.promise(**limits))


def test_a_promise_needs_a_limit(fitted):
    _fails("pass min_precision, coverage, threshold or max_novelty", fitted.promise)


@pytest.mark.parametrize("top", [0, -1, 1.5, True, "two", None])
def test_a_bad_number_of_labels(fitted, top):
    _fails(f"top must be an integer of at least 1, got {top!r}", lambda: fitted.decision(X, top=top))


def test_a_method_that_does_not_exist():
    _fails("method must be one of", lambda: LabelClassifier(method="best").fit(X, IDS))
    _fails(
        "method='logistic_regression_before_head' needs sentences and an encoder that ends in a linear head",
        lambda: LabelClassifier(method="logistic_regression_before_head").fit(X, IDS),
    )


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e200, 1e-200])
def test_the_length_of_embeddings_does_not_count(factor):
    """Squares of such values leave the range of float32, so that every row had the length 0 or infinity."""
    classifier = LabelClassifier(unseen_rows=True).fit(X, NAMES)
    scaled = LabelClassifier(unseen_rows=True).fit(X.astype(np.float64) * factor, NAMES)
    assert scaled.predict(X.astype(np.float64) * factor).tolist() == classifier.predict(X).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"random_state": None}, "random_state must be an integer of at least 0, got None"),
        ({"random_state": 1.5}, "random_state must be an integer of at least 0, got 1.5"),
        ({"label_levels": 3}, "label_levels must be the separator of the levels, such as '/', got 3"),
        ({"model": 3}, "model must be a SentenceTransformer, a folder, a name on the hub or None, got int"),
    ],
)
def test_wrong_arguments_of_a_classifier(arguments, message):
    _fails(message, lambda: LabelClassifier(**arguments).fit(X, NAMES))


def test_labels_that_look_the_same_are_a_warning(caplog):
    names = [f"{name} " if row == 0 else name for row, name in enumerate(NAMES)]
    classifier = LabelClassifier(unseen_rows=True).fit(X, names)
    assert "'alpha ' and 'alpha' differ only in white space or Unicode form" in caplog.text
    assert f"{names[0]!r} and {NAMES[0]!r}" in caplog.text
    caplog.clear()
    classifier = LabelClassifier(unseen_rows=True).fit(X, NAMES)
    assert not caplog.records
    classifier.partial_fit(X[:1], [f" {NAMES[0]}"])
    assert f"{NAMES[0]!r} and {' ' + NAMES[0]!r}" in caplog.text


def test_a_column_of_arrays_has_embeddings():
    classifier = LabelClassifier(unseen_rows=True).fit(pd.Series(list(X)), NAMES)
    assert classifier.predict(X).tolist() == LabelClassifier(unseen_rows=True).fit(X, NAMES).predict(X).tolist()
