"""What takes long or much memory is left out, or announced before it starts."""

import numpy as np
import torch

from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.inspection import model_findings
from tercet.inspection.inspection import inspect
from tercet.inspection.label_issues import score
from tests.inspection.helpers import Blobs, labelled


def _data():
    texts = [f"{place} {letter}" for place in ("one", "two", "three") for letter in "abcdefghijkl"]
    labels = [text.split()[0] for text in texts]
    labels[3] = "three"
    return labelled(texts, labels)


def test_with_too_many_rows_and_labels_the_neighbours_vote_alone(monkeypatch, caplog):
    monkeypatch.setattr(score, "MAX_FIT_VALUES", 36 * 3 - 1)
    monkeypatch.setattr(score, "fit_logistic", None)  # it would fail if it were called
    found = inspect(_data(), Blobs(), batch_size=8, samples_per_label=2)
    findings = found.with_model
    assert not findings.fitted
    assert [issue.row for issue in findings.label_issues] == [3]
    assert findings.label_issues[0].suggested_label == "one"
    assert "nearest neighbours alone" in findings.warning
    assert "36 rows with 3 labels are too many for the logistic regression" in caplog.text


def test_below_the_limit_the_regression_is_fitted():
    findings = inspect(_data(), Blobs(), batch_size=8, samples_per_label=2).with_model
    assert findings.fitted
    assert findings.warning is None


def test_a_vote_alone_never_suggests_a_label_without_a_sentence_elsewhere(monkeypatch):
    monkeypatch.setattr(score, "MAX_FIT_VALUES", 0)
    embeddings = torch.randn(20, 4)
    label_ids = torch.tensor([0, 1] * 9 + [2, 2])
    folds = torch.tensor([0, 0, 1, 1] * 4 + [0, 1] + [0, 0])  # both sentences of label 2 are in one fold
    scores = score.compute_log_odds(embeddings, label_ids, folds)
    assert scores.log_odds[-2:].isnan().all()
    assert not (scores.suggested[folds == 0] == 2).any()


def test_a_very_long_text_and_very_many_pairs_are_announced(monkeypatch, caplog):
    monkeypatch.setattr(model_findings, "_LONG_TEXT", 20)
    monkeypatch.setattr(model_findings, "_MANY_PAIRS", 8)
    model_findings._log_cost(
        LabelledSentences(["a", "b" * 30, "c"], np.zeros(3, dtype=int), ["x"], np.array([0, 4, 5]))
    )
    assert "the text in row 4 has 30 characters" in caplog.text
    assert "all 9 pairs of the 3 sentences are compared" in caplog.text
