"""Label issues as the public function returns them."""

import numpy as np
import pytest
import torch

from tercet.errors import DataError, EmbeddingError
from tercet.inspection import find_label_issues
from tercet.inspection.label_issues.score import score_texts


def _data(dtype):
    label_ids = np.repeat(np.arange(3), 20)
    embeddings = torch.eye(3)[torch.from_numpy(label_ids)] + 0.1 * torch.randn(60, 3)
    names = np.array(["b", "a", "c"] if dtype is str else [30, 10, 20])
    return [f"text {row}" for row in range(60)], names[label_ids].tolist(), embeddings


@pytest.mark.parametrize("dtype", [str, int])
def test_planted_wrong_labels_come_back_with_the_label_that_they_had(dtype):
    texts, labels, embeddings = _data(dtype)
    given = list(labels)
    given[7], given[33] = labels[33], labels[7]
    issues = find_label_issues(texts, given, embeddings)
    assert {issue.row for issue in issues} == {7, 33}
    for issue in issues:
        assert issue.text == texts[issue.row]
        assert (issue.label, issue.suggested_label) == (str(given[issue.row]), str(labels[issue.row]))
    assert issues[0].log_odds >= issues[1].log_odds > 0


@pytest.mark.slow
def test_the_log_odds_are_those_of_the_scores():
    texts, labels, embeddings = _data(str)
    labels[5] = "c"
    scores = score_texts(texts, np.unique(labels, return_inverse=True)[1], embeddings, seed=4)
    (issue,) = find_label_issues(texts, labels, embeddings, seed=4)
    assert issue.log_odds == float(scores.log_odds[5])


def test_numbers_that_differ_are_an_error():
    texts, labels, embeddings = _data(str)
    with pytest.raises(DataError, match="pass one label for each text; got 60 texts and 59 labels"):
        find_label_issues(texts, labels[:-1], embeddings)
    with pytest.raises(EmbeddingError, match="pass one label and one fold for each embedding"):
        find_label_issues(texts, labels, embeddings[:-1])
