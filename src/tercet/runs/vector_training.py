"""Train a head on labelled vectors, and measure it by the protocols of a training run."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tercet.data.fingerprint import fingerprint
from tercet.data.labels.trainable import check_trainable
from tercet.data.loading.labelled import as_dataset
from tercet.data.loading.vectors import LabelledVectors, load_vectors
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.other_files import options_of_file
from tercet.data.splits.held_out import held_out_labelled
from tercet.encoder.token_stats import TokenStats
from tercet.errors import DataError
from tercet.heads import HeadChoice, LinearHead, choose_head, train_head
from tercet.heads.labels import labels_from_ids
from tercet.heads.training import check_new_dimension, initial_weight
from tercet.records import EvaluationRecord, Metrics, SeveralLabelsGain, TrainingGain
from tercet.runs.evaluation import Evaluation
from tercet.runs.evaluation_plan import plan_evaluation
from tercet.runs.measurement import EvaluationEmbeddings, Measurement
from tercet.runs.source_names import Names

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VectorData:
    """The vectors to train on, and those to evaluate on.

    Attributes:
        train: the vectors to train on.
        evaluation: the vectors to evaluate on; None if there are none.
        held_out_rows: the numbers of the rows of `evaluation` in the file that both come from, from 0; None if the
            evaluation data have a file of their own.
        names: how messages name both.
    """

    train: LabelledVectors
    evaluation: LabelledVectors | None
    held_out_rows: list[int] | None
    names: Names

    def facts(self) -> dict[str, dict[str, object]]:
        """Return the facts about both for a record. The digests are over keys of the vectors and labels."""
        train, evaluation = self.train.rows, None if self.evaluation is None else self.evaluation.rows
        facts: dict[str, dict[str, object]] = {"train": fingerprint(as_dataset(train), train.multi_label)}
        if evaluation is not None:
            digest = fingerprint(as_dataset(evaluation), evaluation.multi_label)
            facts["eval"] = {**digest, "held_out_rows": self.held_out_rows}
        return facts


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A trained head and its metrics.

    Attributes:
        head: the head; the identity if no head is better than none.
        choice: the choice of its settings.
        evaluation: how it was measured; None if it was not.
        before: the metrics of the vectors.
        after: the metrics of the vectors that the head returns.
        by_dimension: the metrics against the training rows by the dimension of the vectors after a head, the largest
            first; empty without a smaller dimension or an evaluation.
    """

    head: LinearHead
    choice: HeadChoice
    evaluation: Evaluation | None = None
    before: Measurement | None = None
    after: Measurement | None = None
    by_dimension: dict[str, Metrics]

    def record(self) -> dict[str, EvaluationRecord]:
        """Return the field `evaluation` of a record."""
        if self.evaluation is None or self.before is None or self.after is None:
            return {}
        return self.evaluation.record(self.before, self.after)

    def gain(self) -> TrainingGain | SeveralLabelsGain | None:
        """Return whether the training was worth it; None if it is unknown."""
        if self.evaluation is None or self.before is None or self.after is None:
            return None
        return self.evaluation.gain(self.before, self.after)


def load_vector_data(
    data: str,
    eval_data: str | None,
    eval_fraction: float,
    options: ReadOptions,
    *,
    vector_column: str | None,
    label_file: str | None,
    eval_label_file: str | None,
    seed: int,
) -> VectorData:
    """Load vectors to train on and to evaluate on. Hold out rows if there are no evaluation data.

    Raises:
        DataError: a file is invalid, the labels form no triplet, or the dimensions differ.
    """
    labels, eval_labels = label_file or data, eval_label_file or eval_data
    own = options_of_file(options, labels, eval_labels)
    loaded = load_vectors(data, own, vector_column=vector_column, label_file=label_file)
    multi_label = loaded.rows.multi_label
    check_trainable(loaded.rows.label_ids, loaded.rows.label_names, data, multi_label)
    if eval_data is not None:
        evaluation = load_vectors(
            eval_data,
            replace(options_of_file(options, eval_labels, labels), multi_label=multi_label),
            vector_column=vector_column,
            label_file=eval_label_file,
            known_labels=loaded.rows.label_names,
        )
        dims = evaluation.vectors.shape[1], loaded.vectors.shape[1]
        if dims[0] != dims[1]:
            raise DataError(f"{eval_data} has vectors of dimension {dims[0]}, but {data} has vectors of {dims[1]}")
        return VectorData(
            train=loaded, evaluation=evaluation, held_out_rows=None, names=Names.of(data, eval_data, None)
        )
    rows = held_out_labelled(loaded.rows, eval_fraction, seed)
    train, held_out = loaded.take(np.setdiff1d(np.arange(len(loaded)), rows)), loaded.take(rows)
    if not len(rows):
        logger.info(
            f"no row is held out (eval_fraction={eval_fraction:g}), so the head will not be evaluated; only "
            "labels with at least four different vectors are split"
        )
    else:
        source = f"{data} without the {eval_fraction:.0%} held out"
        check_trainable(train.rows.label_ids, train.rows.label_names, source, multi_label)
        logger.info(f"held out {len(rows):,} of {len(loaded):,} rows for evaluation (eval_fraction={eval_fraction:g})")
    assert held_out.rows.rows is not None
    held_out_rows = held_out.rows.rows.tolist()
    return VectorData(
        train=train,
        evaluation=held_out if len(rows) else None,
        held_out_rows=held_out_rows,
        names=Names.of(data, None, held_out_rows),
    )


def train_on_vectors(
    data: VectorData,
    dimension: int | None,
    seed: int,
    label_levels: str | None = None,
    *,
    jaccard_weights: bool = False,
) -> TrainedHead:
    """Choose and train a head, and measure the vectors with and without it.

    Args:
        data: the vectors.
        dimension: the dimension of the new vectors; None keeps it.
        seed: the seed of cross-validation and training.
        label_levels: the separator of the levels of nested labels; None for labels without levels.
        jaccard_weights: see `HeadSettings`.
    """
    train, multi_label = data.train, data.train.rows.multi_label
    x = torch.as_tensor(train.vectors)
    check_new_dimension(dimension, x.shape[1])
    labels = labels_from_ids(train.rows.label_ids, train.rows.label_names, multi_label, label_levels)
    evaluation = None
    if data.evaluation is not None:
        evaluation = plan_evaluation(
            as_dataset(data.evaluation.rows),
            as_dataset(train.rows),
            names=data.names,
            label_levels=label_levels,
            multi_label=multi_label,
        )
    logger.info(f"choosing a head by cross-validation over {len(x):,} rows of dimension {x.shape[1]}")
    choice = choose_head(
        x, labels, keys=train.rows.sentences, dimension=dimension, seed=seed, label_levels=label_levels,
        jaccard_weights=jaccard_weights,
    )  # fmt: skip
    head = LinearHead(torch.eye(x.shape[1])) if choice.head is None else choice.head
    if evaluation is None or data.evaluation is None:
        return TrainedHead(head=head, choice=choice, by_dimension={})
    measured = _Measured(evaluation, x, data.evaluation)
    by_dimension = {}
    for size in dimensions_between(x.shape[1], head.out_dim):
        of_size = head
        if size != head.out_dim and choice.settings is not None:
            logger.info(f"training a head of dimension {size}, to compare")
            of_size = train_head(x, labels, dimension=size, settings=choice.settings, label_levels=label_levels)
        elif size != head.out_dim:
            of_size = LinearHead(initial_weight(x, size))
        by_dimension[str(size)] = measured.with_head(of_size, classify=size == head.out_dim)
    after = by_dimension[str(head.out_dim)]
    metrics = {size: part.metrics.get("against_reference", {}) for size, part in by_dimension.items()}
    return TrainedHead(
        head=head,
        choice=choice,
        evaluation=evaluation,
        before=measured.with_head(None),
        after=after,
        by_dimension=metrics if len(metrics) > 1 else {},
    )


def dimensions_between(dim: int, smallest: int) -> Sequence[int]:
    """Return `dim`, its halves above `smallest`, and `smallest`.

    Example:
        >>> dimensions_between(384, 128)
        [384, 192, 128]
    """
    sizes = [dim]
    while sizes[-1] // 2 > smallest:
        sizes.append(sizes[-1] // 2)
    return list(dict.fromkeys([*sizes, smallest]))


class _Measured:
    """Measures the vectors of an evaluation, with and without a head."""

    def __init__(self, evaluation: Evaluation, reference: torch.Tensor, queries: LabelledVectors) -> None:
        row_of_key = {key: row for row, key in enumerate(queries.rows.sentences)}
        rows = [row_of_key[key] for key in evaluation.queries["sentence"][:]]
        self.evaluation, self.reference = evaluation, reference
        self.queries = torch.as_tensor(queries.vectors[rows])

    def with_head(self, head: LinearHead | None, *, classify: bool = True) -> Measurement:
        """Return the metrics of the vectors that the head returns; of the vectors themselves if it is None."""
        queries, reference = (x if head is None else head(x) for x in (self.queries, self.reference))
        ranked = None if self.evaluation.reference is None else reference
        embeddings = EvaluationEmbeddings(queries=queries, reference=ranked, token_stats=TokenStats())
        return self.evaluation.measure(embeddings, classify=classify)
