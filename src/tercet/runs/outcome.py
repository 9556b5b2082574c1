"""The result of a training run, and the exception after Ctrl-C. Does not import torch."""

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
        log: the history of the trainer, `trainer.state.log_history`.
        eval_data: the data that the model was evaluated on; None if nothing was.
        embeddings: of the sentences of `eval_data`, `(sentences, dim)` before and after training; None unless
            `keep_embeddings` was set and the data have labels.
    """

    model: "SentenceTransformer"
    record: RunRecord
    log: list[dict[str, Any]]
    eval_data: "Dataset | None" = None
    embeddings: "tuple[Tensor, Tensor] | None" = None


class TrainingInterrupted(Exception):
    """Ctrl-C stopped the run; `checkpoint` is the last complete checkpoint, or None."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint


def checkpoint_dir(output: Path) -> Path:
    """Return the folder for the checkpoints of a run that writes its model to `output`."""
    return output.with_name(output.name + ".checkpoints")
