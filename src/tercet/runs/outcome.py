"""Define the result of a training run, and the exception after Ctrl-C. This module does not import torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet.records import RunRecord

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from tercet.encoder.sentence_transformer import SentenceTransformer


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """The result of a training run.

    Attributes:
        model: the trained model.
        record: the content of `metrics.json`.
        log: the log of the trainer, `trainer.state.log_history`.
        eval_data: the data that the model was evaluated on; None if it was not evaluated.
        embeddings: the embeddings `(num_sentences, dim)` of the sentences of `eval_data` before training, and those
            after training; None unless `keep_embeddings` was set and `eval_data` has labels.
    """

    model: "SentenceTransformer"
    record: RunRecord
    log: list[dict[str, Any]]
    eval_data: "Dataset | None" = None
    embeddings: "tuple[Tensor, Tensor] | None" = None


class TrainingInterrupted(Exception):
    """An exception after Ctrl-C. `checkpoint` is the path of the last complete checkpoint, or None."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint


def checkpoint_dir(output: Path) -> Path:
    """Return the folder for the checkpoints of a run that writes its model to `output`."""
    return output.with_name(output.name + ".checkpoints")
