"""Write the sections of a report on classified evaluation rows: the gain of the training, and the confused labels.

The sections show labels, but no sentences.
"""

from collections.abc import Sequence

import numpy as np

from tercet._tree_errors import ParentErrors, describe_accuracy, most_errors
from tercet.catalogue import CLASSIFIERS, gain_rows
from tercet.evaluation.gain import Predictions
from tercet.evaluation.label_scores import LabelScores, label_scores
from tercet.records import RunRecord, SeveralLabelsGain, TrainingGain
from tercet.report.classifier_plots import accuracy_bars, confusion_matrix
from tercet.report.page import Part, Wide
from tercet.report.page_table import Table

_MAX_LABELS_SHOWN = 20
_MAX_LABELS_LISTED = 500
_MAX_LABELS_IN_MATRIX = 200
_MAX_CONFUSIONS = 15


def gain_parts(gain: TrainingGain | SeveralLabelsGain | None, missing_reason: str) -> list[Part]:
    """Return the parts of the section on whether the training was worth it.

    Args:
        gain: the comparison of the encoders; None if it is unknown.
        missing_reason: why it is unknown.
    """
    if gain is None:
        return [f"Unknown, because {missing_reason}."]
    rows = [
        [
            key,
            *(
                ["–", f"{after:.3f}", "–"]
                if before is None
                else [f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}"]
            ),
        ]
        for key, (before, after) in gain_rows(gain).items()
    ]
    caption = f"{gain.rows:,} evaluation sentences, classified by the training sentences"
    columns = ["metric", "untouched", "trained", "change"]
    if isinstance(gain, SeveralLabelsGain):
        return [gain.sentence, Table(caption, columns, rows, frozenset({1, 2, 3})), gain.note]
    return [
        gain.sentence,
        accuracy_bars(gain),
        "Bars: the fraction of the evaluation sentences whose label is predicted correctly, the best in bold. Dotted "
        "line: the same if the answer is always the most frequent label. Below: the change from best to best in "
        "percentage points, and the range in which it lies with 95% confidence. If the range contains 0, the change "
        f"may be noise. {gain.note}",
        Table(caption, columns, rows, frozenset({1, 2, 3})),
    ]


def parent_parts(parents: Sequence[ParentErrors] | None) -> list[Part]:
    """Return a tree of the errors within and across parents of nested labels; nothing for other labels."""
    if parents is None:
        return []
    coarsest, shown = [one for one in parents if one.level == 1], most_errors(parents, _MAX_LABELS_LISTED)
    within, across = (sum(getattr(one, name) for one in coarsest) for name in ("within", "across"))
    rows = [
        [one.parent, *(f"{n:,}" for n in (one.labels, one.sentences, one.within, one.across)), one.most_often or "–"]
        for one in shown
    ]
    columns = ["parent", "labels", "sentences", "within", "across", "most often"]
    caption = f"Errors within and across parents: {within:,} within, {across:,} across"
    if len(coarsest) < len(parents):
        caption = f"{caption} at level 1"
    if len(shown) < len(parents):
        caption = f"{caption} (the {len(shown)} of {len(parents):,} parents with the most errors)"
    return [
        "A parent is a coarser level of a label. Within: another label of the same parent is predicted. Across: a "
        "label of another parent at this level, most often of the one in the last column. "
        f"{describe_accuracy(parents)}.",
        Table(caption, columns, rows, frozenset({1, 2, 3, 4}), levels=[one.level for one in shown]),
    ]


def prediction_parts(record: RunRecord, predictions: Predictions) -> list[Part]:
    """Return the parts of the section on precision, recall and confusions of each label."""
    assert isinstance(record.gain, TrainingGain)
    best = record.gain.trained.best
    given, predicted, names = predictions.label_ids, predictions.predicted[best], list(predictions.label_names)
    wrong = int((given != predicted).sum())
    introduction = (
        f"Predictions by {CLASSIFIERS[best]} on the trained model: {wrong:,} of {len(given):,} are wrong. Precision "
        "is the fraction of the sentences with the predicted label that have it. Recall is the fraction of the "
        "sentences of the label for which it is predicted. F1 is their harmonic mean. The worst labels are first."
    )
    return [introduction, *parent_parts(record.parents), *label_parts(given, predicted, names)]


def label_parts(
    given: np.ndarray,
    predicted: np.ndarray,
    names: list[str],
    *,
    answered: np.ndarray | None = None,
    num_labels: int | None = None,
) -> list[Part]:
    """Return tables and a confusion matrix of classified sentences: the worst labels and the most frequent errors.

    Args:
        given: the given label ids `(n,)`, indices into `names`.
        predicted: the predicted label ids `(n,)`.
        names: the names of the labels.
        answered: whether the prediction is given as an answer `(n,)`; None for all. Confusions are those of answers.
        num_labels: the number of labels, from the first, that tables and matrix list; None for all. Errors in
            sentences of other labels are among the most frequent errors.
    """
    scores = label_scores(given, predicted, answered)
    order = scores.worst_first()
    order = order[scores.label_ids[order] < (len(names) if num_labels is None else num_labels)]
    shown = slice(None) if answered is None else answered
    tables = _label_tables(scores, order, names, given[shown], predicted[shown], with_rejected=answered is not None)
    return [
        *tables,
        *_confusions(given[shown], predicted[shown], names),
        *_matrix(scores.label_ids[order], given[shown], predicted[shown], names),
    ]


def _label_tables(
    scores: LabelScores,
    order: np.ndarray,
    names: list[str],
    given: np.ndarray,
    predicted: np.ndarray,
    *,
    with_rejected: bool,
) -> list[Part]:
    answers_of = np.bincount(given, minlength=len(names))
    columns = ["label", "sentences", "precision", "recall", "F1", "most frequent wrong prediction"]
    columns[2:2] = ["no answer"] if with_rejected else []
    rows = []
    for at in order[:_MAX_LABELS_LISTED]:
        label_id = scores.label_ids[at]
        answers = np.bincount(predicted[(given == label_id) & (predicted != label_id)], minlength=1)
        other = f"{names[answers.argmax()]} ({answers.max():,})" if answers.any() else ""
        # A label without a sentence has no recall, and a label that is never predicted has no precision.
        precision = f"{scores.precision[at]:.1%}" if scores.predicted[at] else "–"
        recall = f"{scores.recall[at]:.1%}" if scores.rows[at] else "–"
        rejected = [f"{scores.rows[at] - answers_of[label_id]:,}"] if with_rejected else []
        row = [names[label_id], f"{scores.rows[at]:,}", *rejected, precision, recall, f"{scores.f1[at]:.3f}", other]
        rows.append(row)
    numbers, total = frozenset(range(1, len(columns) - 1)), len(order)
    if total <= _MAX_LABELS_SHOWN:
        return [Table(f"All {total} labels", columns, rows, numbers)]
    listed = f"All {total} labels" if len(rows) == total else f"The {len(rows)} worst of {total:,} labels"
    return [
        Table(f"The {_MAX_LABELS_SHOWN} worst of {total:,} labels", columns, rows[:_MAX_LABELS_SHOWN], numbers),
        Table(listed, columns, rows, numbers, folded=True),
    ]


def _confusions(given: np.ndarray, predicted: np.ndarray, names: list[str]) -> list[Part]:
    wrong = given != predicted
    if not wrong.any():
        return ["No prediction is wrong."]
    pairs, counts = np.unique(np.stack([given[wrong], predicted[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_CONFUSIONS]
    sizes = np.bincount(given)
    rows = [
        [names[a], names[b], f"{count:,}", f"{count / sizes[a]:.1%}"]
        for (a, b), count in zip(pairs[:, order].T.tolist(), counts[order].tolist(), strict=True)
    ]
    caption = f"The {len(rows)} most frequent of {len(counts):,} kinds of error"
    columns = ["given label", "predicted label", "sentences", "of the given label"]
    return [Table(caption, columns, rows, frozenset({2, 3}))]


def _matrix(order: np.ndarray, given: np.ndarray, predicted: np.ndarray, names: list[str]) -> list[Part]:
    shown = order[:_MAX_LABELS_IN_MATRIX]
    which = "all labels" if len(shown) == len(order) else f"the {len(shown)} worst of {len(order):,} labels"
    return [
        f"Confusion matrix of {which}, the worst first. A row is a given label, a column a predicted label, and a "
        "number the sentences. Blue: right. Orange: wrong. Scroll to see all labels, point at a cell to read it, drag "
        "to enlarge a part, and double-click to see all again.",
        Wide(confusion_matrix(given, predicted, shown, names), "Confusion matrix"),
    ]
