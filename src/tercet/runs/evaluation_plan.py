"""Choose the evaluation rows and the protocols that can be measured, and say what is left out."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet.data.splits.evaluation_rows import EvaluationRows, select_labelled, select_triplets, warn_of_overlap
from tercet.errors import DataError, listed, rows_have
from tercet.records import RowCounts
from tercet.runs.evaluation import Evaluation
from tercet.runs.source_names import DEFAULT_NAMES, Names

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def plan_evaluation(
    data: "Dataset",
    reference: "Dataset | None",
    *,
    among_themselves: bool = True,
    names: Names = DEFAULT_NAMES,
    label_levels: str | None = None,
    multi_label: str | None = None,
    **options: Any,
) -> Evaluation:
    """Choose the rows and the protocols that can be measured, and emit warnings about rows that are left out.

    Args:
        data: evaluation data with the columns `sentence` and `label`, or `anchor`, `positive` and `negative`.
        reference: the training or reference data with the same columns; None ranks the evaluation rows only.
        among_themselves: whether to measure `among_themselves` as well, if there is a reference.
        names: the names of the data in messages.
        label_levels: the separator of the levels of nested labels; None for labels without levels.
        multi_label: the separator of the labels of a row, if rows have several; None for one label per row.
        options: arguments of the evaluators.

    Raises:
        DataError: nothing can be measured. The message says why.
    """
    if "anchor" in data.column_names:
        assert reference is not None
        rows = select_triplets(data, reference)
        _check_kept(rows, names)
        _warn_of_overlap(rows, names)
        kept = data.select(rows.kept)
        counts = {"triplets": rows.counts("triplets")}
        everything = np.arange(len(rows.kept))
        return Evaluation(
            counts=counts, data=kept, queries=kept, query_rows=rows.kept, ranked=everything, options=options
        )
    rows = select_labelled(data, reference, multi_label)
    _check_kept(rows, names)
    counts = {}
    if rows.reference_sizes is not None and len(rows.reference_sizes) == 1 and multi_label is None:
        raise DataError(
            f"{names.reference} has one label only ({str(next(iter(rows.reference_sizes)))!r}), so no ranking can be "
            "wrong; add rows with other labels"
        )
    if reference is not None and rows.known.any():
        if not rows.can_rank("against_reference"):
            raise DataError(
                f"each row of {names.evaluation} that shares a label with a row of {names.reference} shares one with "
                f"every row of {names.reference}, so no ranking can be wrong; add rows with other labels"
            )
        counts["against_reference"] = rows.counts("against_reference")
    among = rows.counts("among_themselves")
    if rows.can_rank("among_themselves") and (among_themselves or reference is None):
        counts["among_themselves"] = among
    if not counts:
        raise DataError(_nothing_to_measure(rows, names, among))
    _warn_of_overlap(rows, names)
    _warn_of_unknown_labels(rows, names)
    queries, ranked = data.select(rows.kept), rows.with_known_label
    return Evaluation(
        counts=counts,
        data=queries.select(ranked),
        queries=queries,
        query_rows=rows.kept,
        ranked=ranked,
        reference=reference if "against_reference" in counts else None,
        options=options,
        label_levels=label_levels,
        multi_label=multi_label,
    )


def _check_kept(rows: EvaluationRows, names: Names) -> None:
    if rows.total == 0:
        raise DataError(f"{names.evaluation} has no rows to evaluate on; check how it was loaded or split")
    if len(rows.kept) == 0 and rows.equal_texts:
        raise DataError(
            f"nothing to measure: each of the {rows.total:,} triplets of {names.evaluation} has a text twice, or is "
            f"also in {names.reference}; correct the triplets"
        )
    if len(rows.kept) == 0:
        raise DataError(
            f"all {rows.total:,} texts of {names.evaluation} are also in {names.reference}, so nothing is left to "
            "evaluate on; pass texts that the model has not seen"
        )


def _nothing_to_measure(rows: EvaluationRows, names: Names, among: RowCounts) -> str:
    if rows.reference_sizes is not None:
        return (
            f"none of the labels of {names.evaluation} ({listed(sorted(map(str, set(rows.labels))), 3)}) is in "
            f"{names.reference} ({listed(sorted(map(str, rows.reference_sizes)), 3)}), so nothing can be measured; "
            "check that both have the same kind of labels"
        )
    if among.measured and rows.multi_label is not None:
        return (
            f"each row of {names.evaluation} that shares a label with another row shares one with all rows, so nothing "
            "can be measured: every other sentence has a right label; add rows with other labels, or pass reference "
            "data"
        )
    if among.measured:
        return (
            f"{names.evaluation} has one label only ({str(rows.labels[0])!r}), so nothing can be measured: every other "
            "sentence has the right label; add rows with other labels, or pass reference data"
        )
    return (
        f"nothing to measure: no two rows of {names.evaluation} have the same label and different texts; check the "
        "labels, add rows, or pass reference data"
    )


def _warn_of_overlap(rows: EvaluationRows, names: Names) -> None:
    if rows.copies:
        logger.info(
            f"{rows.copies:,} of {rows.total:,} rows of {names.evaluation} repeat{'s' if rows.copies == 1 else ''} an "
            "earlier text with the same label; each text counts once in the metrics below"
        )
    warn_of_overlap(rows, names.evaluation, names.reference, "they are left out of the metrics below")


def _warn_of_unknown_labels(rows: EvaluationRows, names: Names) -> None:
    unknown = [label for label, known in zip(rows.labels, rows.known, strict=True) if not known]
    if not unknown or rows.reference_sizes is None:
        return
    if len(unknown) == len(rows.kept):
        message = (
            f"none of the labels of {names.evaluation} is in {names.reference}, so its sentences are ranked among "
            "themselves only"
        )
    else:
        message = (
            f"{rows_have(len(unknown), rows.total)} labels that are not in {names.reference} "
            f"({listed(dict.fromkeys(map(str, unknown)), 3)}); they are left out of the metrics below, except for the "
            "AUROC of telling them from the other rows"
        )
    emit_warning(WarningKind.UNKNOWN_LABELS, message)
