"""The embeddings of the evaluation data, and what a protocol measures on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from tercet.encoder.token_stats import TokenStats
from tercet.evaluation.gain import Predictions, classify_queries
from tercet.evaluation.retrieval import RankedQueries
from tercet.evaluation.several_labels import LabelSetPredictions, predict_label_sets
from tercet.records import Metrics


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
            with a known label; None if no row is ranked against reference rows, or rows have several labels.
        label_sets: the same for rows with several labels; else None.
    """

    metrics: dict[str, Metrics]
    token_stats: TokenStats
    embeddings: Tensor | None = None
    predictions: Predictions | None = None
    label_sets: LabelSetPredictions | None = None


def classify_known(
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
        found_in_10=ranking.found_in_10[measured].numpy(),
    )


def predict_known(
    embeddings: EvaluationEmbeddings, labels: Sequence[Any], reference_labels: Sequence[Any], ranking: RankedQueries
) -> LabelSetPredictions:
    """Predict the labels of the rows that share a label with a reference row."""
    assert embeddings.reference is not None
    measured = ranking.average_precision.isfinite().nonzero().flatten()
    return predict_label_sets(
        embeddings.reference,
        reference_labels,
        embeddings.queries[measured.to(embeddings.queries.device)],
        [labels[row] for row in measured.tolist()],
        average_precision=ranking.average_precision[measured].numpy(),
    )
