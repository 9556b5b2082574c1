"""Define the records that training runs and comparisons write as JSON files.

    metrics.json     RunRecord, written by `tercet train`, read by the report
    compare.json     ComparisonRecord, written by `tercet compare`: one TrialRecord per run, summary, recommendation
    tercet.json      contains a TrainingRecord, which the model card shows

`metrics.json` and `compare.json` have a format version; a file without one has version 1. `from_dict` converts files of
older versions. JSON has no NaN and no infinity, so `to_dict` of these two records writes None instead.

evaluation.py   what was measured, and on which rows
gain.py         whether training was worth it
several_labels.py  the same for rows with several labels
classifier.py   the classifier that is saved with a model
runs.py         RunRecord and TrainingRecord
trials.py       the parts of a comparison
comparison.py   ComparisonRecord
reading.py      convert the content to and from JSON, also of older formats
"""

from tercet.records.classifier import ClassifierRecord
from tercet.records.comparison import (
    COMPARISON_FORMAT_VERSION,
    ComparisonRecord,
    baseline_title,
    classifier_rows,
    short_model_names,
)
from tercet.records.evaluation import EvaluationRecord, Metrics, RowCounts
from tercet.records.gain import ClassifierScores, EncoderScores, PairedDifference, SavedClassifierScores, TrainingGain
from tercet.records.reading import public_settings
from tercet.records.runs import RUN_FORMAT_VERSION, RunRecord, TrainingRecord
from tercet.records.several_labels import SeveralLabelsGain, SeveralLabelsScores
from tercet.records.trials import BaselineRecord, Difference, MeanAndStd, Recommendation, TrialRecord, VariantSummary

__all__ = [
    "COMPARISON_FORMAT_VERSION",
    "RUN_FORMAT_VERSION",
    "BaselineRecord",
    "ClassifierRecord",
    "ClassifierScores",
    "ComparisonRecord",
    "Difference",
    "EncoderScores",
    "EvaluationRecord",
    "MeanAndStd",
    "Metrics",
    "PairedDifference",
    "Recommendation",
    "RowCounts",
    "RunRecord",
    "SavedClassifierScores",
    "SeveralLabelsGain",
    "SeveralLabelsScores",
    "TrainingGain",
    "TrainingRecord",
    "TrialRecord",
    "VariantSummary",
    "baseline_title",
    "classifier_rows",
    "public_settings",
    "short_model_names",
]
