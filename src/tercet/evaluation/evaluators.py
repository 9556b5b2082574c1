"""Evaluators: a model and data in, numbers out. They return metrics and write nothing.

An evaluator is called with a model (anything with sentence-transformers' `encode`) and returns a
dictionary; a trainer prefixes its keys with `eval_`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from tercet.errors import DataError
from tercet.evaluation.retrieval import label_metrics, triplet_accuracy


class Encoder(Protocol):
    """What an evaluator needs of a model."""

    def encode(self, sentences: Any, *, show_progress_bar: bool, convert_to_tensor: bool) -> Any: ...


class LabelEvaluator:
    """Retrieval metrics for labelled sentences: recall@k, MAP@R, R-precision, kNN accuracy, mean distances.

    Args:
        reference_sentences: with `reference_labels`, the sentences to rank (such as the training set);
            without them every sentence ranks the others.
        distance: the distance to rank by.
        batch_size: sentences to embed at a time; by default as many as the model finds good.

    The metrics are those of `tercet.evaluation.retrieval.label_metrics`.
    """

    primary_metric = "map@r"

    def __init__(
        self,
        sentences: Sequence[str],
        labels: Sequence[Any],
        reference_sentences: Sequence[str] | None = None,
        reference_labels: Sequence[Any] | None = None,
        *,
        distance: str = "cosine",
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        **metric_options: Any,
    ) -> None:
        _check_pairs(sentences, labels, "sentences")
        if (reference_sentences is None) != (reference_labels is None):
            raise DataError("give reference_sentences and reference_labels together")
        if reference_sentences is not None and reference_labels is not None:
            _check_pairs(reference_sentences, reference_labels, "reference_sentences")
        self.sentences, self.labels = list(sentences), list(labels)
        self.reference_sentences = None if reference_sentences is None else list(reference_sentences)
        self.reference_labels = None if reference_labels is None else list(reference_labels)
        self.batch_size, self.show_progress_bar = batch_size, show_progress_bar
        self.metric_options = {"distance": distance, **metric_options}

    def __call__(
        self, model: Encoder, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the sentences and measure; the other arguments are those a trainer passes, and not used."""
        options = (self.batch_size, self.show_progress_bar)
        others = self.reference_sentences
        return label_metrics(
            _embed(model, self.sentences, *options),
            self.labels,
            reference_embeddings=None if others is None else _embed(model, others, *options),
            reference_labels=self.reference_labels,
            **self.metric_options,
        )


class TripletEvaluator:
    """The share of triplets whose positive is nearer to the anchor than the negative: `{distance}_accuracy`."""

    def __init__(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        *,
        distance: str = "cosine",
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> None:
        if not len(anchors) == len(positives) == len(negatives) > 0:
            sizes = f"{len(anchors)}, {len(positives)} and {len(negatives)}"
            raise DataError(f"give as many anchors as positives and negatives, at least one; got {sizes}")
        self.columns = [list(anchors), list(positives), list(negatives)]
        self.distance, self.batch_size, self.show_progress_bar = distance, batch_size, show_progress_bar

    @property
    def primary_metric(self) -> str:
        return f"{self.distance}_accuracy"

    def __call__(
        self, model: Encoder, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the triplets and measure."""
        texts = [text for column in self.columns for text in column]
        anchors, positives, negatives = _embed(model, texts, self.batch_size, self.show_progress_bar).chunk(3)
        return {self.primary_metric: triplet_accuracy(anchors, positives, negatives, distance=self.distance)}


def _embed(model: Encoder, sentences: list[str], batch_size: int | None, show_progress_bar: bool) -> Any:
    """The embeddings, in batches of the model's own choice unless a size is given."""
    options: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    return model.encode(sentences, show_progress_bar=show_progress_bar, convert_to_tensor=True, **options)


def _check_pairs(sentences: Sequence[str], labels: Sequence[Any], name: str) -> None:
    if len(sentences) != len(labels) or not len(sentences):
        raise DataError(f"give as many labels as {name}, at least one; got {len(sentences)} and {len(labels)}")
