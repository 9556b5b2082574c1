"""Summarise a fitted classifier for the command line and for records."""

from typing import TYPE_CHECKING

from tercet.records import ClassifierRecord

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier

# The precisions whose coverage is reported.
_PRECISIONS = (0.9, 0.95, 0.98)


def record_of(classifier: "LabelClassifier") -> ClassifierRecord:
    """Return how a fitted classifier was chosen, and what it promises at precisions of 0.90, 0.95 and 0.98."""
    fitted = classifier._fitted
    promises = []
    if fitted.calibration.unseen:
        for precision in _PRECISIONS:
            promise = classifier.promise(min_precision=precision)
            promises.append({**promise.to_dict(), "sentence": promise.describe()})
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
