"""Label issues: the sentences whose label is probably wrong, with the label that they probably should have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tercet.errors import DataError
from tercet.inspection.label_issues.score import LabelScores, score_texts


@dataclass(frozen=True, kw_only=True)
class LabelIssue:
    """A sentence whose label is probably wrong.

    Attributes:
        row: its row, counted from 0.
        text: the sentence.
        label: the label that the data give it.
        suggested_label: the likeliest other label.
        log_odds: the natural logarithm of how much likelier that label is; above 0.
    """

    row: int
    text: str
    label: str
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

    Each label is checked by sentences of other folds: a logistic regression on the embeddings, and a vote of the
    nearest neighbours. Copies of a text share a fold. Source: see `tercet.inspection.label_issues.score`.

    Args:
        texts: the sentences.
        labels: their labels.
        embeddings: their embeddings, `(n, dim)`.
        seed: of the folds; the same seed gives the same result.
        show_progress_bar: whether to show the progress over the folds.

    Raises:
        DataError: the numbers of texts and labels differ.
        EmbeddingError: the numbers of embeddings and labels differ, or there is no row.

    Example:
        >>> texts = [f"sentence {number}" for number in range(40)]
        >>> labels = ["money", "food"] * 20
        >>> embeddings = torch.eye(2)[[0, 1] * 20] + 0.1 * torch.randn(40, 2)
        >>> labels[0] = "food"
        >>> [issue.suggested_label for issue in find_label_issues(texts, labels, embeddings)]
        ['money']
    """
    if len(texts) != len(labels):
        raise DataError(f"each text needs one label; got {len(texts)} texts and {len(labels)} labels")
    values, label_ids = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    scores = score_texts(texts, label_ids, embeddings, seed=seed, show_progress_bar=show_progress_bar)
    return list_label_issues(scores, texts, label_ids, [str(value) for value in values])


def list_label_issues(
    scores: LabelScores,
    texts: Sequence[str],
    label_ids: np.ndarray,
    label_names: Sequence[str],
    rows: np.ndarray | None = None,
) -> list[LabelIssue]:
    """Return the label issues among scored texts, the largest log-odds first.

    Args:
        scores: the scores of the labels.
        texts: the n texts.
        label_ids: their labels `(n,)`, indices into `label_names`.
        label_names: the names of the labels.
        rows: the row of each text in the data, `(n,)`; by default 0 to n − 1.
    """
    return [
        LabelIssue(
            row=place if rows is None else int(rows[place]),
            text=texts[place],
            label=label_names[label_ids[place]],
            suggested_label=label_names[int(scores.suggested[place])],
            log_odds=float(scores.log_odds[place]),
        )
        for place in scores.ranked().tolist()
    ]
