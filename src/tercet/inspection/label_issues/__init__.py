"""Find label issues (sentences whose label is probably wrong) by cross-validation.

issues.py       `find_label_issues`, which returns the list of label issues
score.py        the log-odds of each label
chance.py       whether the labels are no better than at random
neighbours.py   nearest neighbours and the vote of their labels
"""

from tercet.inspection.label_issues.issues import LabelIssue, find_label_issues, list_label_issues
from tercet.inspection.label_issues.score import LabelLogOdds, compute_log_odds, score_texts

__all__ = [
    "LabelIssue",
    "LabelLogOdds",
    "compute_log_odds",
    "find_label_issues",
    "list_label_issues",
    "score_texts",
]
