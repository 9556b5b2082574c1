"""Write the sections of a report on the decisions of a classifier: how many rows it answers, and how right it is."""

from collections.abc import Sequence

import numpy as np

from tercet._nested_labels import describe_levels_left_out
from tercet.decisions.judged_decisions import JudgedDecisions
from tercet.decisions.promise import decimals
from tercet.decisions.thresholds import interval
from tercet.errors import counted, is_or_are
from tercet.report.classification import label_parts
from tercet.report.decision_plots import precision_by_coverage, reliability_diagram
from tercet.report.page import Part, Section
from tercet.report.page_table import Table
from tercet.report.rejections import rejected_parts
from tercet.report.text import with_label

_MAX_EXAMPLES = 15
_HOW = {
    "new": "The classifier was not fitted to these rows.",
    "held out": (
        "The temperature and the thresholds of the classifier come from these rows, which the encoder was not trained "
        "on. The answers are those before the rows joined the training rows of the classifier."
    ),
    "folds": (
        "These are the training rows of the classifier. Each was classified by a classifier that was fitted to other "
        "folds of them. Its temperature and thresholds come from these answers."
    ),
}


def decision_sections(judged: JudgedDecisions, *, texts: bool = True, promises: Sequence[str] = ()) -> list[Section]:
    """Return the sections of a page on the decisions of a classifier.

    Args:
        judged: the decisions about labelled rows.
        texts: whether the page may contain sentences from the data. If False, it shows their numbers instead.
        promises: sentences on what the classifier promises at several precisions.
    """
    if not len(judged):
        return [Section("Decisions", ["The classifier has too few rows to measure how right its decisions are."])]
    shown = [f"row {row:,}" for row in judged.rows.tolist()]
    if texts and judged.sentences is not None:
        shown = [number if text is None else text for number, text in zip(shown, judged.sentences, strict=True)]
    labels = [judged.label_names[label_id] for label_id in judged.label_ids]
    sentences = [with_label(text, label) for text, label in zip(shown, labels, strict=True)]
    return [
        Section("Decisions", _overview(judged, promises)),
        Section("Answers per label", _answers(judged, sentences)),
        Section("Rejected sentences", rejected_parts(judged, sentences)),
    ]


def decision_headline(judged: JudgedDecisions) -> str:
    """Return the most important result: coverage and precision."""
    text = judged.describe()
    return text[0].upper() + text[1:]


def _overview(judged: JudgedDecisions, promises: Sequence[str]) -> list[Part]:
    promise, answered = judged.limits.promise, judged.answered
    curve, reliable = judged.risk_coverage, judged.reliability
    chosen = (judged.coverage, judged.precision) if answered.any() and promise is not None else None
    return [
        _which_rows(judged),
        _promised(judged),
        *(
            [f"By precision: {'; '.join(promises)}. For another one, use tercet evaluate --min-precision."]
            if promises
            else []
        ),
        _measured(judged),
        *_unknown_labels(judged),
        precision_by_coverage(curve, chosen, None if promise is None else promise.min_precision),
        "The curve shows what other thresholds would give on these rows: the rows are answered from the surest one "
        f"down. The mean precision over all coverages (the area under the curve) is {curve.area:.3f}. "
        + ("The diamond is the chosen threshold, and the dotted line the promised precision." if chosen else ""),
        reliability_diagram(reliable),
        "A confidence is honest if, of the rows with a confidence of 80%, about 80% are right: then the bars and the "
        "diamonds follow the dotted line. The mean difference, weighted by the rows, is the expected calibration "
        f"error: ECE {reliable.error:.3f}, in {len(reliable.rows)} bins. With this number of rows, perfectly honest "
        f"confidences would have about {judged.calibration_error_by_chance:.3f}. "
        + ("" if judged.known.all() else "Rows with a label that the classifier does not know are left out."),
    ]


def _which_rows(judged: JudgedDecisions) -> str:
    source = judged.source[0].upper() + judged.source[1:]
    left_out = (
        f" {counted(judged.left_out, 'row')} that {is_or_are(judged.left_out)} among the training rows of the "
        f"classifier {is_or_are(judged.left_out)} left out."
        if judged.left_out
        else ""
    )
    return f"{source} ({len(judged):,}). {_HOW[judged.basis]}{left_out}"


def _promised(judged: JudgedDecisions) -> str:
    promise, note = judged.limits.promise, judged.limits.note
    if promise is None:
        return f"All rows are answered: {note or 'no limit was chosen'}."
    why = f"{note[0].upper()}{note[1:]}. Instead, the highest one is taken. " if note else ""
    if promise.min_precision is None and note:
        why = f"{note[0].upper()}{note[1:]}. "
    novelty = "" if promise.max_novelty is None else (
        f" Sentences with a novelty above {decimals(promise.max_novelty)} are not answered."
    )  # fmt: skip
    if not promise.calibrated:
        return f"{why}The limits: {promise.describe()}.{novelty}"
    return f"{why}The promise: {promise.describe()}. It holds for sentences like these calibration rows.{novelty}"


def _measured(judged: JudgedDecisions) -> str:
    answered, known = judged.answered, judged.known
    number, right = int(answered.sum()), int(judged.right[answered].sum())
    text = f"Measured on the rows of this page: {number:,} of {len(judged):,} ({judged.coverage:.1%}) are answered"
    if number:
        low, high = interval(right, number)
        text += (
            f", and {right:,} of the answers ({judged.precision:.1%}) are right (95% interval {low:.1%} to {high:.1%})"
        )
    if judged.is_parent.any():
        parents = judged.is_parent
        levels = describe_levels_left_out(judged.parents_by_levels_left_out)
        text += (
            f". {parents.sum():,} answers are parents of the likeliest label{levels}, of which "
            f"{judged.right[parents].sum():,} are right: the given label is below them"
        )
    if known.any():
        text += f". Answered or not, the likeliest label is right for {judged.accuracy:.1%} of {known.sum():,} rows"
    below = judged.shortfall if judged.shortfall not in judged.warnings else ""
    return f"{text}." + (f" {below[0].upper()}{below[1:]}." if below else "")


def _unknown_labels(judged: JudgedDecisions) -> list[Part]:
    unknown = ~judged.known
    if not unknown.any():
        return []
    rejected, parents = int((unknown & ~judged.answered).sum()), int(judged.answered_with_parent_of_unknown.sum())
    or_parent, with_parent = "", ""
    if judged.levels_left_out is not None:
        or_parent, with_parent = " or a parent of the label", f", {parents:,} are answered with a parent of their label"
    return [
        f"{unknown.sum():,} rows have a label that the classifier does not know, so the right decision is no answer"
        f"{or_parent}: {rejected:,} of them ({rejected / unknown.sum():.1%}) are rejected{with_parent}. The answers to "
        "the others are counted as wrong."
    ]


def _answers(judged: JudgedDecisions, sentences: Sequence[str]) -> list[Part]:
    answered = judged.answered & ~judged.is_parent
    if not answered.any():
        return ["No row is answered with a complete label." if judged.is_parent.any() else "No row is answered."]
    return [
        "What remains after rejection. Precision is the fraction of the answers with the label that are right. Recall "
        "is the fraction of the sentences of the label that are answered with it, so a rejected sentence lowers it. F1 "
        "is their harmonic mean. The worst labels are first. Errors and matrix count answers only.",
        *label_parts(
            judged.label_ids, judged.predicted_ids, judged.label_names, answered=answered, num_labels=judged.num_known
        ),
        *_surest_errors(judged, sentences),
    ]


def _surest_errors(judged: JudgedDecisions, sentences: Sequence[str]) -> list[Part]:
    """Return the table of wrong answers. To sentences with an unknown label, every answer is wrong: no label issue."""
    wrong = np.flatnonzero(judged.answered & ~judged.right & judged.known)
    order = wrong[np.argsort(-judged.confidence[wrong], kind="stable")][:_MAX_EXAMPLES]
    if not len(order):
        return []
    rows = [
        [sentences[row], judged.label_names[judged.predicted_ids[row]], f"{judged.confidence[row]:.3f}"]
        for row in order.tolist()
    ]
    return [
        "Answers that are sure and wrong often have a wrong given label. Check these labels first."
        + ("" if judged.known.all() else " Rows with a label that the classifier does not know are left out."),
        Table(
            f"The {len(rows)} surest of {len(wrong):,} wrong answers",
            ["sentence [given label]", "answer", "confidence"],
            rows,
            frozenset({2}),
        ),
    ]
