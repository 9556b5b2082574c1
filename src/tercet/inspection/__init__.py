"""Inspect labelled data before training.

inspection.py   `inspect`, which runs all checks on a data set
model_findings.py  what it finds with a model
results.py      `Inspection` and its parts, the dataclasses that `inspect` returns
texts.py        label sizes, empty texts, duplicates, texts with several labels
lengths.py      token counts and truncated sentences
label_issues/   sentences whose label is probably wrong
labels_to_add.py  labels that sentences with several labels probably lack
confusion.py    confused labels, near-duplicates with different labels
active.py       the number of active triplets of a batch at several margins
batches.py      statistics of P×K batches, and suggested settings
tables.py       the tables that the command line and the report show, built in text_tables.py, model_tables.py and
                batch_tables.py
table.py        one such table: columns, cells and rows
"""

from tercet.inspection.batches import ActiveFraction, BatchSummary, Suggestion, suggest_settings, summarize_batches
from tercet.inspection.inspection import inspect
from tercet.inspection.label_issues import LabelIssue, find_label_issues
from tercet.inspection.labels_to_add import LabelToAdd, find_labels_to_add
from tercet.inspection.lengths import TokenLengths
from tercet.inspection.results import Confusion, Inspection, ModelFindings, NearDuplicate
from tercet.inspection.texts import Contradiction, Example, LabelSizes, TextSummary

__all__ = [
    "ActiveFraction",
    "BatchSummary",
    "Confusion",
    "Contradiction",
    "Example",
    "Inspection",
    "LabelIssue",
    "LabelSizes",
    "LabelToAdd",
    "ModelFindings",
    "NearDuplicate",
    "Suggestion",
    "TextSummary",
    "TokenLengths",
    "find_label_issues",
    "find_labels_to_add",
    "inspect",
    "suggest_settings",
    "summarize_batches",
]
