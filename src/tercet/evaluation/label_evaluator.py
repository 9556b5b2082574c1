"""LabelEvaluator, which embeds labelled sentences with a model and returns retrieval metrics.

Call an evaluator with a model: any object with the method `encode` of `Encoder`. The evaluator returns a
dictionary. A trainer adds the prefix `eval_` to the keys.
"""

from collections.abc import Sequence
from typing import Any

from tercet._labels import plain_labels, warn_of_forms
from tercet.distances import DistanceLike, FunctionDistance, get_distance
from tercet.errors import DataError
from tercet.evaluation._inputs import check_batch_size, check_options, check_texts_list
from tercet.evaluation.relevance import are_sets, find_relevance
from tercet.evaluation.retrieval import label_metrics
from tercet.evaluation.sentence_evaluator import Encoder, SentenceEvaluator


class LabelEvaluator(SentenceEvaluator):
    """An evaluator that computes the metrics of `label_metrics` for labelled sentences.

    Args:
        sentences: the queries.
        labels: the label of each sentence, all integers or all strings, in a list, a tensor, an array or a pandas
            `Series`; or, if sentences have several labels, a list or a set of labels for each.
        reference_sentences: the gallery: the sentences to rank for each query, such as the training set. By default,
            all sentences except the query itself are ranked.
        reference_labels: the label of each reference sentence.
        distance: the distance to rank by, a name or a `tercet.distances.Distance`.
        name: a prefix of the keys of the metrics, which several evaluators need: `dev_map@r`.
        batch_size: the number of sentences per batch; by default, the default of the model's `encode`.
        show_progress_bar: whether to show a progress bar while the sentences are embedded.
        metric_options: further arguments of `label_metrics`, such as `recall_at`.

    Raises:
        DataError: there are no sentences, the numbers of sentences and labels differ, only one of
            `reference_sentences` and `reference_labels` is given, a label is missing or invalid, there is nothing to
            measure (one label only, or no sentence with the label of another), or an option is invalid.
        EmbeddingError: the distance is unknown.

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
        name: str = "",
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        **metric_options: Any,
    ) -> None:
        check_texts_list(sentences, "sentences")
        if (reference_sentences is None) != (reference_labels is None):
            raise DataError("pass reference_sentences and reference_labels together; only one of them was given")
        self.sentences, self.labels = list(sentences), _plain(labels, "labels")
        _check_sizes(self.sentences, self.labels, "sentences")
        self.reference_sentences: list[str] | None = None
        self.reference_labels: list[Any] | None = None
        if reference_sentences is not None:
            check_texts_list(reference_sentences, "reference_sentences")
            self.reference_sentences = list(reference_sentences)
            self.reference_labels = _plain(reference_labels, "reference_labels")
            _check_sizes(self.reference_sentences, self.reference_labels, "reference_sentences")
        gallery_size = len(self.sentences if self.reference_sentences is None else self.reference_sentences)
        find_relevance(self.labels, self.reference_labels, (len(self.sentences), gallery_size), error=DataError)
        warn_of_forms([*self.labels, *(self.reference_labels or [])], "labels")
        if isinstance(get_distance(distance), FunctionDistance):
            raise DataError(
                "distance must be a name or a tercet.distances.Distance, not a function: a function computes distances "
                "within one set of embeddings only"
            )
        check_options(**metric_options, error=DataError)
        self.batch_size, self.show_progress_bar = check_batch_size(batch_size), show_progress_bar
        self.metric_options = {"distance": distance, **metric_options}
        self._prefix = f"{name}_" if name else ""
        self.primary_metric = f"{self._prefix}{type(self).primary_metric}"

    @property
    def protocol(self) -> str:
        """The name of what is ranked, a key of `tercet.catalogue.PROTOCOLS`."""
        return "among_themselves" if self.reference_sentences is None else "against_reference"

    @property
    def metric_names(self) -> set[str] | None:
        """The keys of the metrics that a call may return, found by measuring four embeddings; None if that fails."""
        labels: list[Any] = [["a"], ["a", "b"], ["b"], ["b"]] if are_sets(self.labels) else ["a", "a", "b", "b"]
        points = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
        given: dict[str, Any] = {}
        if self.reference_sentences is not None:
            given = {"reference_embeddings": points, "reference_labels": labels}
            unknown: Any = ["c"] if are_sets(self.labels) else "c"
            labels, points = [*labels, unknown], [*points, [1.0, 1.0]]
        try:
            metrics = label_metrics(points, labels, **given, **self.metric_options)
        except Exception:  # The user's own distance may need another dimension.
            return None
        return {f"{self._prefix}{key}" for key in metrics}

    def __call__(
        self, model: Encoder, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the sentences and return the metrics.

        `output_path`, `epoch` and `steps` are not used; they exist because a trainer passes them.

        Raises:
            EmbeddingError: see `label_metrics`, for example if an embedding has NaN values.
        """
        references = self.reference_sentences
        metrics = label_metrics(
            self.embed(model, self.sentences),
            self.labels,
            reference_embeddings=None if references is None else self.embed(model, references),
            reference_labels=self.reference_labels,
            **self.metric_options,
        )
        return {f"{self._prefix}{key}": value for key, value in metrics.items()}


def _plain(labels: Any, name: str) -> list[Any]:
    return list(labels) if are_sets(labels) else plain_labels(labels, name, error=DataError)


def _check_sizes(sentences: Sequence[str], labels: Sequence[Any], name: str) -> None:
    if len(sentences) != len(labels) or not len(sentences):
        raise DataError(
            f"pass one label for each of {name}, and at least one; got {len(sentences)} {name} and {len(labels)} labels"
        )
