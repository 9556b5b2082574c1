"""List the label issues: sentences whose label is probably wrong, each with a suggested label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tercet.errors import DataError
from tercet.inspection.label_issues.score import LabelLogOdds, score_texts
from tercet.inspection.texts import Example


@dataclass(frozen=True, kw_only=True)
class LabelIssue(Example):
    """A sentence whose label is probably wrong.

    Attributes:
        row: the row number, counted from 0.
        text: the sentence.
        label: the label in the data.
        suggested_label: the likeliest other label.
        log_odds: the natural logarithm of how many times likelier `suggested_label` is than `label`; above 0.
    """

    suggested_label: str
    log_odds: float


def find_label_issues(
    texts: Sequence[str],
    labels: Sequence[str] | Sequence[int],
    embeddings: Tensor,
    *,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> list[LabelIssue]:
    """Return the sentences whose label is probably wrong, the largest log-odds first.

    The labels are checked by cross-validation. For each fold, a logistic regression on the embeddings and a vote of the
    nearest neighbours use the sentences of the other folds only. Copies of a text are in the same fold. Source: see
    `tercet.inspection.label_issues.score`.

    Args:
        texts: the n sentences.
        labels: the n labels, all strings or all integers.
        embeddings: the embeddings `(n, dim)`.
        seed: the seed of the folds; the same seed gives the same result.
        show_progress_bar: whether to show a progress bar over the folds.

    Raises:
        DataError: the numbers of texts and labels differ.
        EmbeddingError: the numbers of embeddings and labels differ, or there are no embeddings.

    Example:
        >>> import torch
        >>> texts = [f"sentence {number}" for number in range(40)]
        >>> labels = ["money", "food"] * 20
        >>> embeddings = torch.eye(2)[[0, 1] * 20] + 0.1 * torch.randn(40, 2)
        >>> labels[0] = "food"
        >>> [issue.suggested_label for issue in find_label_issues(texts, labels, embeddings)]
        ['money']
    """
    if len(texts) != len(labels):
        raise DataError(f"pass one label for each text; got {len(texts)} texts and {len(labels)} labels")
    values, label_ids = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    scores = score_texts(texts, label_ids, embeddings, seed=seed, show_progress_bar=show_progress_bar)
    names = [str(value) for value in values]
    examples = [
        Example(row=row, text=text, label=names[label_id])
        for row, (text, label_id) in enumerate(zip(texts, label_ids, strict=True))
    ]
    return list_label_issues(scores, examples, names)


def list_label_issues(
    scores: LabelLogOdds, examples: Sequence[Example], label_names: Sequence[str]
) -> list[LabelIssue]:
    """Return the label issues among n scored sentences, the largest log-odds first.

    Args:
        scores: the scores of the labels.
        examples: the n sentences.
        label_names: the name of each label id.
    """
    return [
        LabelIssue(
            **vars(examples[place]),
            suggested_label=label_names[int(scores.suggested[place])],
            log_odds=float(scores.log_odds[place]),
        )
        for place in scores.ranked().tolist()
    ]
