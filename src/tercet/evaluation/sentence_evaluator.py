"""SentenceEvaluator, the base class of evaluators, and SequentialEvaluator, which calls several of them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from tercet.errors import DataError, listed, short_repr

logger = logging.getLogger(__name__)


class Encoder(Protocol):
    """The interface of a model that an evaluator can call.

    `encode` is also called with `batch_size` if the evaluator has one. `TripletEvaluator` needs a tensor as the result.
    """

    def encode(self, sentences: Any, *, show_progress_bar: bool, convert_to_tensor: bool) -> Any:
        """Return the embeddings of sentences."""


class SentenceEvaluator:
    """The base class of evaluators, also for evaluators of your own.

    An evaluator is called with a model and returns a metric, or a dictionary of metrics.

    Attributes:
        greater_is_better: whether a larger metric means a better model.
        primary_metric: the key of the metric to compare models by; None if the result is a number.
        batch_size: the number of sentences per batch; None for the default of the model's `encode`.
        show_progress_bar: whether to show a progress bar while sentences are embedded.
        metric_names: the keys of the metrics that a call may return; None if they are not known before.
    """

    greater_is_better = True
    primary_metric: Any = None
    batch_size: int | None = None
    show_progress_bar = False
    metric_names: Any = None

    def __call__(self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1) -> Any:
        """Return the metrics of a model. A trainer passes the folder for files, the epoch and the step."""
        raise NotImplementedError

    def embed(self, model: Encoder, sentences: list[str], **options: Any) -> Any:
        """Return the embeddings `(n, dim)` of `encode`. If `batch_size` is None, `encode` uses its default.

        Raises:
            DataError: the model has no method `encode`.
        """
        if not callable(getattr(model, "encode", None)) or isinstance(model, str):
            raise DataError(
                "an evaluator needs a model with a method encode, such as a SentenceTransformer; got "
                f"{short_repr(model)}"
            )
        if self.batch_size is not None:
            options["batch_size"] = self.batch_size
        return model.encode(sentences, show_progress_bar=self.show_progress_bar, convert_to_tensor=True, **options)


class SequentialEvaluator(SentenceEvaluator):
    """An evaluator that calls several evaluators and returns all their metrics, and a score as `sequential_score`.

    Of metrics with the same key, the last one is returned, with a warning.

    Args:
        evaluators: the evaluators.
        main_score_function: a function from the primary metric of each evaluator to the score; by default the last one.

    Raises:
        DataError: `evaluators` is not a list of evaluators.
    """

    primary_metric = "sequential_score"

    def __init__(
        self, evaluators: Iterable[Any], main_score_function: Callable[[list[float]], float] = lambda scores: scores[-1]
    ) -> None:
        self.evaluators = evaluator_list(evaluators, "evaluators")
        self.main_score_function = main_score_function
        self._replaced: set[str] = set()

    @property
    def metric_names(self) -> set[str] | None:
        """The keys of the metrics that a call may return; None if those of one of the evaluators are not known."""
        names = metric_names_of(self.evaluators)
        return None if names is None else {*names, "sequential_score"}

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Call each evaluator with the same arguments."""
        results: dict[str, float] = {}
        scores = []
        for number, evaluator in enumerate(self.evaluators):
            metrics = evaluator(model, output_path, epoch, steps)
            if not isinstance(metrics, dict):
                metrics = {f"evaluator_{number}": metrics}
            scores.append(metrics[getattr(evaluator, "primary_metric", None) or next(iter(metrics))])
            warn_of_replaced(results, metrics, self._replaced)
            results |= metrics
        return {**results, "sequential_score": self.main_score_function(scores) if scores else 0.0}


def metric_names_of(evaluators: Iterable[Any]) -> set[str] | None:
    """Return the keys of the metrics of evaluators; None if those of one of them are not known before a call."""
    names: list[Any] = [getattr(evaluator, "metric_names", None) for evaluator in evaluators]
    return None if None in names else set().union(*names)


def evaluator_list(evaluators: Any, name: str) -> list[Any]:
    """Return evaluators as a list. Raise `DataError` if they are not several functions or evaluators.

    Args:
        evaluators: the evaluators.
        name: the name of the argument, for the message.
    """
    found = list(evaluators) if isinstance(evaluators, Iterable) else [None]
    if not all(map(callable, found)):
        raise DataError(f"{name} must be a list of evaluators, got {evaluators!r}")
    return found


def warn_of_replaced(results: Mapping[str, Any], metrics: Mapping[str, Any], known: set[str]) -> None:
    """Log a warning about the metrics of an evaluator that replace those of another one, each only once.

    Args:
        results: the metrics of the evaluators before.
        metrics: the metrics of the next one.
        known: the names that were logged; new ones are added.
    """
    if same := sorted((results.keys() & metrics.keys()) - known):
        known.update(same)
        logger.warning(
            f"several evaluators return {listed(same)}, of which only the last value is kept; give each evaluator "
            "another name, such as LabelEvaluator(…, name='dev')"
        )
