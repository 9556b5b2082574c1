"""Summarise a fitted classifier for the command line and for records."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tercet.records import ClassifierRecord

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier
    from tercet.decisions.thresholds import Promise

# The precisions whose coverage is reported.
_PRECISIONS = (0.9, 0.95, 0.98)


def record_of(classifier: "LabelClassifier") -> ClassifierRecord:
    """Return how a fitted classifier was chosen, and what it promises at precisions of 0.90, 0.95 and 0.98."""
    fitted = classifier._fitted
    promises = []
    if fitted.calibration.unseen:
        for precision in _PRECISIONS:
            promise = classifier.promise(min_precision=precision)
            promises.append({**promise_values(promise), "sentence": promise.describe()})
    return ClassifierRecord(
        members=classifier.members_,
        accuracy=classifier.scores_,
        basis=fitted.calibration.basis,
        calibration_rows=classifier.num_calibration_rows_,
        calibrated=fitted.calibration.unseen,
        rows=len(fitted.rows.label_ids),
        labels=fitted.rows.num_labels,
        has_texts=classifier._texts is not None,
        promises=promises,
    )


def promise_values(promise: "Promise") -> dict[str, Any]:
    """Return a promise as JSON values; None instead of NaN."""
    return {name: None if value != value else value for name, value in asdict(promise).items()}
