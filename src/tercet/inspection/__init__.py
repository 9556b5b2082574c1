"""Inspection of labelled data before training.

inspection.py   inspect, the whole inspection of a data set
results.py      Inspection and its parts, as dataclasses
texts.py        sizes of labels, empty texts, duplicates, texts under several labels
lengths.py      token counts, truncated sentences
label_issues/   labels that are probably wrong
confusion.py    confused labels, near-duplicates under two labels
active.py       active triplets of a batch at several margins
batches.py      what P×K batches contain, and suggested settings
tables.py       the tables of an inspection, for the screen and the report
"""

from tercet.inspection.batches import ActiveFraction, BatchSummary, Suggestion, suggest_settings, summarize_batches
from tercet.inspection.inspection import inspect
from tercet.inspection.label_issues import LabelIssue, find_label_issues
from tercet.inspection.lengths import TokenLengths
from tercet.inspection.results import Confusion, Example, Inspection, ModelFindings, NearDuplicate
from tercet.inspection.texts import Contradiction, LabelSizes, TextSummary

__all__ = [
    "ActiveFraction",
    "BatchSummary",
    "Confusion",
    "Contradiction",
    "Example",
    "Inspection",
    "LabelIssue",
    "LabelSizes",
    "ModelFindings",
    "NearDuplicate",
    "Suggestion",
    "TextSummary",
    "TokenLengths",
    "find_label_issues",
    "inspect",
    "suggest_settings",
    "summarize_batches",
]
