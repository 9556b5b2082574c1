"""Evaluators: objects that embed sentences with a model and return metrics. They write nothing.

An evaluator is called with a model (any object with the `encode` of sentence-transformers) and returns a dictionary. A
trainer prefixes its keys with `eval_`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from tercet.distances import DistanceLike, get_distance
from tercet.errors import DataError
from tercet.evaluation.retrieval import label_metrics, triplet_accuracy


class Encoder(Protocol):
    """A model that an evaluator can use."""

    def encode(self, sentences: Any, *, show_progress_bar: bool, convert_to_tensor: bool) -> Any: ...


class LabelEvaluator:
    """Retrieval metrics for labelled sentences: those of `label_metrics`.

    Args:
        sentences: the queries.
        labels: one per sentence, integers or strings.
        reference_sentences: the sentences to rank, such as the training set. Without them, every sentence ranks the
            others.
        reference_labels: one per reference sentence.
        distance: the distance to rank by, a name or a `tercet.distances.Distance`.
        batch_size: number of sentences per batch; by default the model chooses.
        show_progress_bar: whether to show progress while the sentences are embedded.
        metric_options: further arguments of `label_metrics`, such as `recall_at`.

    Raises:
        DataError: the number of labels is not the number of sentences.

    Example:
        >>> from tercet.evaluation import LabelEvaluator
        >>> class Lengths:
        ...     def encode(self, sentences, **options):
        ...         return [[float(len(sentence))] for sentence in sentences]
        >>> labels = ["letter", "letter", "word", "word"]
        >>> evaluator = LabelEvaluator(["a", "b", "dog", "cat"], labels, distance="euclidean")
        >>> evaluator(Lengths())["recall@1"]
        1.0
    """

    primary_metric = "map@r"

    def __init__(
        self,
        sentences: Sequence[str],
        labels: Sequence[Any],
        reference_sentences: Sequence[str] | None = None,
        reference_labels: Sequence[Any] | None = None,
        *,
        distance: DistanceLike = "cosine",
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        **metric_options: Any,
    ) -> None:
        _check_pairs(sentences, labels, "sentences")
        if (reference_sentences is None) != (reference_labels is None):
            raise DataError("pass reference_sentences and reference_labels together")
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
        """Embed the sentences and return metrics; the other arguments, which a trainer passes, are not used."""
        options = (self.batch_size, self.show_progress_bar)
        references = self.reference_sentences
        return label_metrics(
            _embed(model, self.sentences, *options),
            self.labels,
            reference_embeddings=None if references is None else _embed(model, references, *options),
            reference_labels=self.reference_labels,
            **self.metric_options,
        )


class TripletEvaluator:
    """The fraction of triplets whose positive is nearer to the anchor than the negative: `{distance}_accuracy`.

    Args:
        anchors: sentences.
        positives: one per anchor.
        negatives: one per anchor.
        distance: a name or a `tercet.distances.Distance`.
        batch_size: number of sentences per batch; by default the model chooses.
        show_progress_bar: whether to show progress while the sentences are embedded.

    Raises:
        DataError: the numbers of sentences differ.
    """

    def __init__(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        *,
        distance: DistanceLike = "cosine",
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> None:
        if not len(anchors) == len(positives) == len(negatives) > 0:
            sizes = f"{len(anchors)}, {len(positives)} and {len(negatives)}"
            raise DataError(f"pass as many anchors as positives and negatives, at least one; got {sizes}")
        self.columns = [list(anchors), list(positives), list(negatives)]
        self.distance, self.batch_size, self.show_progress_bar = distance, batch_size, show_progress_bar

    @property
    def primary_metric(self) -> str:
        name = self.distance if isinstance(self.distance, str) else get_distance(self.distance).name
        return f"{name}_accuracy"

    def __call__(
        self, model: Encoder, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the triplets and return the accuracy; the other arguments, which a trainer passes, are not used."""
        texts = [text for column in self.columns for text in column]
        anchors, positives, negatives = _embed(model, texts, self.batch_size, self.show_progress_bar).chunk(3)
        return {self.primary_metric: triplet_accuracy(anchors, positives, negatives, distance=self.distance)}


def _embed(model: Encoder, sentences: list[str], batch_size: int | None, show_progress_bar: bool) -> Any:
    """Return the embeddings as a tensor; the model chooses the batch size if none is given."""
    options: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    return model.encode(sentences, show_progress_bar=show_progress_bar, convert_to_tensor=True, **options)


def _check_pairs(sentences: Sequence[str], labels: Sequence[Any], name: str) -> None:
    if len(sentences) != len(labels) or not len(sentences):
        raise DataError(f"pass as many labels as {name}, at least one; got {len(sentences)} and {len(labels)}")
