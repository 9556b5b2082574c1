"""Find label issues (sentences whose label is probably wrong) by cross-validation.

issues.py       `find_label_issues`, which returns the list of label issues
score.py        the log-odds of each label
neighbours.py   nearest neighbours and the vote of their labels
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
