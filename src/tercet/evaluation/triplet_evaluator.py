"""TripletEvaluator, which embeds triplets and returns how many positives are nearer than their negatives."""

import csv
from collections.abc import Iterable, Sequence
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor

from tercet import distances
from tercet.distances import DistanceLike, get_distance
from tercet.errors import DataError, listed
from tercet.evaluation._inputs import as_rows, check_batch_size, check_texts_list
from tercet.evaluation.retrieval import triplet_accuracy
from tercet.evaluation.sentence_evaluator import Encoder, SentenceEvaluator

# The similarity of sentence-transformers that is not the negative of a distance.
_DOT = "dot"


class TripletEvaluator(SentenceEvaluator):
    """An evaluator that computes the triplet accuracy: the fraction of triplets with d(a,p) < d(a,n).

    The key of the metric is the name of the distance with `_accuracy`, such as `cosine_accuracy`. The arguments after
    `negatives` are those of sentence-transformers. All texts are embedded with `encode`.

    Args:
        anchors: the anchor sentences.
        positives: the positive sentence of each anchor.
        negatives: the negative sentence of each anchor.
        main_similarity_function: the name of the distance, or "dot" for the dot product, or an enum with this value.
        margin: a number, or one for each name: count d(a,p) + margin < d(a,n).
        name: a prefix of the keys of the metrics. With a name, a model with `model_card_data` stores the metrics there.
        batch_size: the number of sentences per batch; by default, the default of the model's `encode`.
        show_progress_bar: whether to show a progress bar while the sentences are embedded.
        write_csv: whether to add a row to `triplet_evaluation_NAME_results.csv`, if the call has an `output_path`.
        truncate_dim: the number of leading dimensions to compare.
        similarity_fn_names: several names. Then `max_accuracy` is the largest of their accuracies.
        distance: the distance to compare by, a name or a `tercet.distances.Distance`. By default
            `main_similarity_function`, else "cosine".

    Raises:
        DataError: there are no anchors, the numbers of anchors, positives and negatives differ, `batch_size` is
            invalid, a margin is not a number or for an unknown name, or several arguments name a distance.
        EmbeddingError: the distance is unknown.
    """

    protocol = "triplets"

    def __init__(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        main_similarity_function: Any = None,
        margin: float | dict[str, float] | None = None,
        name: str = "",
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: Sequence[str] | None = None,
        *,
        distance: DistanceLike | None = None,
    ) -> None:
        for column_name, column in (("anchors", anchors), ("positives", positives), ("negatives", negatives)):
            check_texts_list(column, column_name)
        if not len(anchors) == len(positives) == len(negatives) > 0:
            sizes = f"{len(anchors)} anchors, {len(positives)} positives and {len(negatives)} negatives"
            raise DataError(f"pass one positive and one negative for each anchor, and at least one anchor; got {sizes}")
        main = main_similarity_function
        main = main.value if isinstance(main, Enum) else main
        if distance is not None and (main is not None or similarity_fn_names):
            raise DataError("pass distance, or main_similarity_function and similarity_fn_names, not both")
        single: DistanceLike = main or ("cosine" if distance is None else distance)
        names: list[DistanceLike] = [*similarity_fn_names] if similarity_fn_names else [single]
        self.distances: dict[str, DistanceLike] = {_name(each): each for each in names}
        self.main_similarity_function = main
        self.margin = _margins(margin, self.distances)
        self.columns = [list(anchors), list(positives), list(negatives)]
        self.name, self.write_csv, self.truncate_dim = name, write_csv, truncate_dim
        self.csv_file = f"triplet_evaluation{f'_{name}' if name else ''}_results.csv"
        self.batch_size, self.show_progress_bar = check_batch_size(batch_size), show_progress_bar

    @classmethod
    def from_input_examples(cls, examples: Iterable[Any], **options: Any) -> "TripletEvaluator":
        """Return an evaluator of examples whose `texts` are anchor, positive and negative.

        Args:
            examples: objects such as `tercet.InputExample`.
            options: further arguments of the constructor.

        Raises:
            DataError: an example has not three texts.
        """
        texts = [list(example.texts) for example in examples]
        wrong = next((row for row, each in enumerate(texts) if len(each) != 3), None)
        if wrong is not None:
            raise DataError(f"example {wrong} has {len(texts[wrong])} texts; a triplet has three")
        anchors, positives, negatives = ([each[place] for each in texts] for place in range(3))
        return cls(anchors, positives, negatives, **options)

    @property
    def primary_metric(self) -> str:
        """The key of the metric to compare models by, such as `cosine_accuracy`."""
        several = len(self.distances) > 1 and self.main_similarity_function is None
        return self._key("max" if several else self.main_similarity_function or next(iter(self.distances)))

    @property
    def metric_names(self) -> set[str]:
        """The keys of the metrics that a call returns."""
        return {self._key(name) for name in (*self.distances, *(["max"] if len(self.distances) > 1 else []))}

    def __call__(
        self, model: Encoder, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the triplets and return the accuracy by its key.

        Args:
            model: the model.
            output_path: the folder of the CSV file. It is created. Without it, no file is written.
            epoch: a number for the CSV file.
            steps: a number for the CSV file.
        """
        texts = [text for column in self.columns for text in column]
        options = {} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim}
        anchors, positives, negatives = self.embed(model, texts, **options).chunk(3)
        accuracies = {
            name: _accuracy(anchors, positives, negatives, distance, self.margin[name])
            for name, distance in self.distances.items()
        }
        if output_path is not None and self.write_csv:
            self._add_row(Path(output_path), [epoch, steps, *accuracies.values()])
        if len(accuracies) > 1:
            accuracies["max"] = max(accuracies.values())
        metrics = {self._key(name): accuracy for name, accuracy in accuracies.items()}
        if self.name and (data := getattr(model, "model_card_data", None)) is not None:
            data.set_evaluation_metrics(self, metrics, epoch, steps)
        return metrics

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings that are not the defaults."""
        config: dict[str, Any] = {"margin": self.margin} if any(self.margin.values()) else {}
        return config if self.truncate_dim is None else {**config, "truncate_dim": self.truncate_dim}

    def _key(self, name: str) -> str:
        return f"{self.name}_{name}_accuracy" if self.name else f"{name}_accuracy"

    def _add_row(self, folder: Path, row: list[float]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.csv_file
        header: list[Any] = ["epoch", "steps", *(f"accuracy_{name}" for name in self.distances)]
        rows: list[list[Any]] = [row] if path.exists() else [header, row]
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def _name(distance: DistanceLike) -> str:
    """Return the name of a distance; raise `EmbeddingError` if it is unknown."""
    if distance == _DOT:
        return _DOT
    return distance if isinstance(distance, str) and get_distance(distance) else get_distance(distance).name


def _margins(margin: Any, names: Iterable[str]) -> dict[str, float]:
    """Return the margin of each name."""
    values = margin if isinstance(margin, dict) else dict.fromkeys(names, 0 if margin is None else margin)
    unknown = set(values) - {*names, "cosine", _DOT, "euclidean", "manhattan"}
    if unknown or not all(isinstance(value, (int, float)) and isfinite(value) for value in values.values()):
        problem = f"it has the unknown names {listed(sorted(unknown))}" if unknown else f"got {margin!r}"
        raise DataError(f"margin must be a number, or a dictionary of a name and a number each; {problem}")
    return {**dict.fromkeys(names, 0), **values}


def _accuracy(anchors: Tensor, positives: Tensor, negatives: Tensor, distance: DistanceLike, margin: float) -> float:
    if distance != _DOT and not margin:
        return triplet_accuracy(anchors, positives, negatives, distance=distance)
    metric = distances.EUCLIDEAN if distance == _DOT else get_distance(distance)
    parts = {"anchors": anchors, "positives": positives, "negatives": negatives}
    anchors, positives, negatives = (as_rows(part, metric, name) for name, part in parts.items())
    to_positives, to_negatives = (
        -(anchors * others).sum(1) if distance == _DOT else distances.pairs(anchors, others, distance)
        for others in (positives, negatives)
    )
    return float((to_positives + margin < to_negatives).double().mean())
