"""Labels that are probably wrong, found by cross-validation.

issues.py       find_label_issues, the list of probably wrong labels
score.py        the log-odds of each label
folds.py        folds in which copies of a text stay together
logistic.py     logistic regression on embeddings
neighbours.py   nearest neighbours, and the vote of their labels
"""

from tercet.inspection.label_issues.issues import LabelIssue, find_label_issues, list_label_issues
from tercet.inspection.label_issues.score import LabelScores, score_labels, score_texts

__all__ = [
    "LabelIssue",
    "LabelScores",
    "find_label_issues",
    "list_label_issues",
    "score_labels",
    "score_texts",
]
