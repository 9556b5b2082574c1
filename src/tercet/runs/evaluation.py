"""Measure a model before and after training by named protocols, which `tercet.evaluate` uses too.

    against_reference   each evaluation sentence ranks the training (or reference) sentences, as an application does
    among_themselves    each evaluation sentence ranks the other evaluation sentences
    triplets            evaluation triplets: is the positive nearer than the negative?

All protocols measure the rows that `tercet.data.splits.evaluation_rows` chooses. What cannot be measured is an error
before the model runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tercet._multi_labels import split_set
from tercet._tree_errors import ParentErrors, parent_errors
from tercet.data.labels.numbering import label_values
from tercet.encoder.token_stats import collect_token_stats, warned_kinds
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator, label_metrics, triplet_accuracy
from tercet.evaluation.gain import training_gain
from tercet.evaluation.nested import nested_metrics
from tercet.evaluation.retrieval import rank_queries
from tercet.evaluation.several_labels import several_labels_gain
from tercet.records import EvaluationRecord, RowCounts, SeveralLabelsGain, TrainingGain
from tercet.runs.measurement import EvaluationEmbeddings, Measurement, classify_known, predict_known

if TYPE_CHECKING:
    from datasets import Dataset


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
        """The number of each row of `data` in the evaluation data that were given, from 0."""
        result: np.ndarray = self.query_rows[self.ranked]
        return result

    @property
    def num_texts(self) -> int:
        """The number of texts that `embed` embeds."""
        queries = len(self.queries) * (3 if "triplets" in self.counts else 1)
        return queries + (0 if self.reference is None else len(self.reference))

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
        stats.warn(warned_kinds(encoder), "evaluation texts")
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
        metrics, predictions, label_sets = {}, None, None
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
                predictions = classify_known(embeddings, labels, reference_labels, ranking)
            elif classify:
                label_sets = predict_known(embeddings, labels, reference_labels, ranking)
        ranked = embeddings.queries[self.ranked.tolist()]
        if "among_themselves" in self.counts:
            ranked_labels = [labels[row] for row in self.ranked]
            metrics["among_themselves"] = label_metrics(ranked, ranked_labels, **distance) | self._of_levels(
                ranked, ranked_labels
            )
        return Measurement(
            metrics=metrics,
            token_stats=stats,
            embeddings=ranked.detach().cpu(),
            predictions=predictions,
            label_sets=label_sets,
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

    def gain(self, untouched: Measurement, trained: Measurement) -> TrainingGain | SeveralLabelsGain | None:
        """Return whether the training was worth it; None if no row is ranked against training rows."""
        if untouched.label_sets is not None and trained.label_sets is not None:
            return several_labels_gain(untouched.label_sets, trained.label_sets)
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
