"""Define the results of a training run and of an evaluation, and the exception after Ctrl-C. It imports no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet._tree_errors import ParentErrors
from tercet.records import (
    EncoderScores,
    Metrics,
    RowCounts,
    RunRecord,
    SeveralLabelsGain,
    SeveralLabelsScores,
    TrainingGain,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from tercet.decisions import JudgedDecisions, LabelClassifier
    from tercet.encoder.sentence_transformer import SentenceTransformer
    from tercet.evaluation.gain import Predictions


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """The result of a training run.

    Attributes:
        model: the trained model.
        record: the content of `metrics.json`.
        log: the log of the trainer, `trainer.state.log_history`.
        eval_data: the rows that the model was evaluated on, without the rows that were left out (see
            `record.evaluation`); None if it was not evaluated.
        eval_rows: the number of each row of `eval_data` in the file that it was held out from, or in the evaluation
            data that were given, from 0; None if it was not evaluated.
        embeddings: the embeddings `(num_sentences, dim)` of the sentences of `eval_data` before training, and those
            after training; None unless `keep_embeddings` was set and `eval_data` has labels.
        predictions: the labels that classifiers predict for the evaluation rows from the training rows, with the
            trained model; None if `record.gain` is None, or if rows have several labels.
        classifier: the classifier that was fitted and saved with the model; None without one.
        head_inputs: the embeddings after training of the sentences of `eval_data` before the head of the model
            `(num_sentences, dim)`; None without a head, or without `embeddings` and `classifier`.
    """

    model: "SentenceTransformer"
    record: RunRecord
    log: list[dict[str, Any]]
    eval_data: "Dataset | None" = None
    eval_rows: list[int] | None = None
    embeddings: "tuple[Tensor, Tensor] | None" = None
    predictions: "Predictions | None" = None
    classifier: "LabelClassifier | None" = None
    head_inputs: "Tensor | None" = None


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult(Mapping[str, float]):
    """The metrics of a model, a mapping from keys such as `map@r` to values, with what they were measured on.

    Attributes:
        metrics: the metrics by their keys in `tercet.catalogue.METRICS`.
        protocol: what was ranked: `against_reference` or `among_themselves`.
        rows: the number of rows that were measured, and of those that were left out, by reason.
        classifiers: MAP@R, and the accuracy and macro-F1 of each classifier; None without a reference. If rows have
            several labels, MAP@R and F1 of a logistic regression for each label.
        gain: the comparison with the baseline; None without one.
        parents: for nested labels with a reference, the wrong predictions within and across the parents of each
            level, by the best classifier; None for other labels.
        decisions: how right the decisions of the classifier in the folder of the model are; None if they were not
            asked for.
        warnings: the warnings of the evaluation, each with a `kind` and a `message`.
    """

    metrics: Metrics
    protocol: str
    rows: RowCounts
    classifiers: EncoderScores | SeveralLabelsScores | None = None
    gain: TrainingGain | SeveralLabelsGain | None = None
    parents: list[ParentErrors] | None = None
    decisions: "JudgedDecisions | None" = None
    warnings: list[dict[str, str]] = field(default_factory=list)

    def __getitem__(self, key: str) -> float:
        return self.metrics[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as JSON values, without those that are None."""
        decisions = None if self.decisions is None else self.decisions.to_dict()
        found = asdict(replace(self, decisions=None)) | {"decisions": decisions}
        return {key: found[key] for key in ("protocol", *found) if found[key] is not None}


class TrainingInterrupted(Exception):
    """An exception after Ctrl-C. `checkpoint` is the path of the last complete checkpoint, or None."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint
