"""Measure a model before and after training by named protocols, which `tercet.evaluate` uses too.

    against_reference   each evaluation sentence ranks the training (or reference) sentences, as an application does
    among_themselves    each evaluation sentence ranks the other evaluation sentences
    triplets            evaluation triplets: is the positive nearer than the negative?

All protocols measure the rows that `tercet.data.evaluation_rows` chooses. What cannot be measured is an error before
the model runs.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tercet._events import WarningKind, emit_warning
from tercet._multi_labels import split_set
from tercet._nested_labels import ParentErrors, parent_errors
from tercet.data.evaluation_rows import EvaluationRows, select_labelled, select_triplets, warn_of_overlap
from tercet.data.labels import label_values
from tercet.encoder.token_stats import TokenStats, collect_token_stats, warned_kinds
from tercet.errors import DataError, listed
from tercet.evaluation import LabelEvaluator, TripletEvaluator, label_metrics, triplet_accuracy
from tercet.evaluation.gain import Predictions, classify_queries, training_gain
from tercet.evaluation.nested import nested_metrics
from tercet.evaluation.retrieval import RankedQueries, rank_queries
from tercet.records import EvaluationRecord, Metrics, RowCounts, TrainingGain

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Names:
    """How messages name the evaluation data and the data that are ranked."""

    evaluation: str = "the evaluation data"
    reference: str = "the training data"

    @classmethod
    def of(cls, data: Any, eval_data: Any, held_out_rows: Sequence[int] | None) -> "Names":
        """Return the names of training and evaluation data: those of their files, if each has a file."""
        if held_out_rows is not None:
            return cls("the held-out rows", "the training rows")
        return cls(file_name(eval_data, "the evaluation data"), file_name(data, "the training data"))


DEFAULT_NAMES = Names()


def file_name(data: Any, otherwise: str) -> str:
    """Return the name of a file without its folder, or the name on the hub; `otherwise` for data without a name."""
    if isinstance(data, (str, Path)):
        return Path(data).name if Path(data).exists() else str(data)
    return otherwise


@dataclass(frozen=True, kw_only=True)
class EvaluationEmbeddings:
    """The embeddings that `Evaluation.embed` returns.

    Attributes:
        queries: the embeddings of the rows of `Evaluation.queries` `(n, dim)`; of triplets, those of all anchors, all
            positives and all negatives `(3n, dim)`.
        reference: the embeddings of the rows of `Evaluation.reference` `(m, dim)`, which in a training run are all
            training rows; None if no protocol ranks them.
        token_stats: the number of evaluation texts that are truncated, and of their unknown tokens.
    """

    queries: Tensor
    reference: Tensor | None
    token_stats: TokenStats


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of `Evaluation.measure`.

    Attributes:
        metrics: the metrics by protocol, the headline first.
        token_stats: the number of evaluation texts that are truncated, and of their unknown tokens.
        embeddings: the embeddings of the rows of `Evaluation.data` `(n, dim)`; None for triplets.
        predictions: the labels that classifiers predict from the reference rows, for the rows of `Evaluation.queries`
            with a known label; None if no row is ranked against reference rows.
    """

    metrics: dict[str, Metrics]
    token_stats: TokenStats
    embeddings: Tensor | None = None
    predictions: Predictions | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluation data, and the protocols by which they can be measured.

    Attributes:
        counts: by protocol, the number of rows that it measures and leaves out; the headline first.
        data: the rows that are ranked among themselves, or the triplets.
        queries: all rows that a protocol measures, or the triplets.
        query_rows: the number of each row of `queries` in the evaluation data that were given, from 0.
        ranked: the number of each row of `data` in `queries`, from 0.
        reference: the training or reference rows; None if no protocol ranks them.
        options: arguments of the evaluators: `distance`, `batch_size`, `show_progress_bar`.
        label_levels: the separator of the levels of nested labels; None for labels without levels.
        multi_label: the separator of the labels of a row, if rows have several; None for one label per row.
    """

    counts: dict[str, RowCounts]
    data: "Dataset"
    queries: "Dataset"
    query_rows: np.ndarray
    ranked: np.ndarray
    reference: "Dataset | None" = None
    options: Mapping[str, Any] = field(default_factory=dict)
    label_levels: str | None = None
    multi_label: str | None = None

    @property
    def positions(self) -> np.ndarray:
        """Return the number of each row of `data` in the evaluation data that were given, from 0."""
        result: np.ndarray = self.query_rows[self.ranked]
        return result

    def embed(self, encoder: Any) -> EvaluationEmbeddings:
        """Embed all sentences once. Emit warnings about texts that are truncated or have unknown tokens.

        Args:
            encoder: a model, or a `DistributedEncoder`.
        """
        options = {key: self.options[key] for key in ("batch_size", "show_progress_bar") if key in self.options}
        if options.get("batch_size", 0) is None:
            del options["batch_size"]
        columns = ("anchor", "positive", "negative") if "triplets" in self.counts else ("sentence",)
        queries = [text for name in columns for text in self.queries[name][:]]
        with collect_token_stats() as stats:
            embeddings = encoder.encode(queries, convert_to_tensor=True, **options)
        stats.warn(warned_kinds(encoder))
        reference = None
        if self.reference is not None:
            reference = encoder.encode(self.reference["sentence"][:], convert_to_tensor=True, **options)
        return EvaluationEmbeddings(queries=embeddings, reference=reference, token_stats=stats)

    def measure(self, embeddings: EvaluationEmbeddings, *, classify: bool = True) -> Measurement:
        """Return the metrics of the embeddings by each protocol.

        Args:
            embeddings: the embeddings of all rows.
            classify: whether to classify the rows as well, which takes seconds.
        """
        distance = {"distance": self.options["distance"]} if "distance" in self.options else {}
        stats = embeddings.token_stats
        if "triplets" in self.counts:
            accuracy = triplet_accuracy(*embeddings.queries.chunk(3), **distance)
            key = self.evaluator(**distance).primary_metric
            return Measurement(metrics={"triplets": {key: accuracy}}, token_stats=stats)
        labels = self._labels(self.queries)
        metrics, predictions = {}, None
        if self.reference is not None:
            reference_labels = self._labels(self.reference)
            ranking = rank_queries(
                embeddings.queries,
                labels,
                reference_embeddings=embeddings.reference,
                reference_labels=reference_labels,
                **distance,
            )
            metrics["against_reference"] = ranking.metrics | self._of_levels(
                embeddings.queries, labels, embeddings.reference, reference_labels
            )
            if classify and self.multi_label is None:
                predictions = _classify(embeddings, labels, reference_labels, ranking)
        ranked = embeddings.queries[self.ranked.tolist()]
        if "among_themselves" in self.counts:
            ranked_labels = [labels[row] for row in self.ranked]
            metrics["among_themselves"] = label_metrics(ranked, ranked_labels, **distance) | self._of_levels(
                ranked, ranked_labels
            )
        return Measurement(
            metrics=metrics, token_stats=stats, embeddings=ranked.detach().cpu(), predictions=predictions
        )

    def _labels(self, rows: "Dataset") -> list[Any]:
        """Return the label of each row, or the labels of each if rows have several."""
        names = label_values(rows)
        return names if self.multi_label is None else [split_set(name, self.multi_label) for name in names]

    def _of_levels(
        self, queries: Tensor, labels: list[Any], reference: Tensor | None = None, reference_labels: Any = None
    ) -> dict[str, float]:
        """Return the metrics of the levels of nested labels; none for other labels."""
        if self.label_levels is None:
            return {}
        return nested_metrics(
            queries,
            labels,
            self.label_levels,
            reference_embeddings=reference,
            reference_labels=reference_labels,
            distance=self.options.get("distance", "cosine"),
        )

    def gain(self, untouched: Measurement, trained: Measurement) -> TrainingGain | None:
        """Return whether the training was worth it; None if no row is ranked against training rows."""
        if untouched.predictions is None or trained.predictions is None:
            return None
        return training_gain(untouched.predictions, trained.predictions)

    def parents(self, measured: Measurement) -> list[ParentErrors] | None:
        """Return the errors of the best classifier within and across parents; None without nested labels."""
        found = measured.predictions
        if self.label_levels is None or found is None:
            return None
        names, predicted = found.label_names, found.predicted[found.scores().best]
        given, answers = ([names[label_id] for label_id in ids.tolist()] for ids in (found.label_ids, predicted))
        return parent_errors(given, answers, self.label_levels)

    def evaluator(self, **options: Any) -> LabelEvaluator | TripletEvaluator:
        """Return the evaluator for evaluations during training: `among_themselves`, or on `triplets`.

        Raises:
            DataError: the rows cannot be ranked among themselves.
        """
        if "triplets" in self.counts:
            texts = (self.data[name][:] for name in ("anchor", "positive", "negative"))
            return TripletEvaluator(*texts, **options)
        if "among_themselves" not in self.counts:
            needed = (
                "two labels, one of which has two rows"
                if self.multi_label is None
                else "two rows that share a label, and a third one that shares none with one of them"
            )
            raise DataError(
                f"eval_steps needs evaluation data with {needed}, because evaluations during training rank the "
                "evaluation sentences among themselves; leave out eval_steps"
            )
        return LabelEvaluator(self.data["sentence"][:], self._labels(self.data), **options)

    def record(self, before: Measurement, after: Measurement) -> dict[str, EvaluationRecord]:
        """Return the field `evaluation` of a record."""
        return {
            protocol: EvaluationRecord(before=before.metrics[protocol], after=after.metrics[protocol], rows=rows)
            for protocol, rows in self.counts.items()
        }


def _classify(
    embeddings: EvaluationEmbeddings, labels: Sequence[Any], reference_labels: Sequence[Any], ranking: RankedQueries
) -> Predictions:
    """Predict the labels of the rows whose label a reference row has."""
    assert embeddings.reference is not None
    names = sorted(set(reference_labels))
    number = {name: at for at, name in enumerate(names)}
    reference_ids = np.array([number[label] for label in reference_labels])
    measured = (ranking.voted >= 0).nonzero().flatten()
    return classify_queries(
        embeddings.reference,
        reference_ids,
        embeddings.queries[measured.to(embeddings.queries.device)],
        np.array([number[labels[row]] for row in measured.tolist()]),
        [str(name) for name in names],
        voted_ids=reference_ids[ranking.voted[measured].numpy()],
        average_precision=ranking.average_precision[measured].numpy(),
    )


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
            f"{rows.copies:,} of {rows.total:,} rows of {names.evaluation} repeat an earlier text with the same label; "
            "each text counts once in the figures below"
        )
    warn_of_overlap(rows, names.evaluation, names.reference, "they are left out of the figures below")


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
            f"{len(unknown):,} of {rows.total:,} rows have labels that are not in {names.reference} "
            f"({listed(dict.fromkeys(map(str, unknown)), 3)}); they are left out of the figures below, except for the "
            "AUROC of telling them from the other rows"
        )
    emit_warning(WarningKind.UNKNOWN_LABELS, message)
