"""The embeddings of the evaluation data, and what a protocol measures on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from tercet.encoder.token_stats import TokenStats
from tercet.evaluation.gain import Predictions, classify_queries
from tercet.evaluation.retrieval import RankedQueries
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
            with a known label; None if no row is ranked against reference rows.
    """

    metrics: dict[str, Metrics]
    token_stats: TokenStats
    embeddings: Tensor | None = None
    predictions: Predictions | None = None


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
    )
