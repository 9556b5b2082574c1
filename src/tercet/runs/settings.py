"""The settings of a training run: names, defaults, descriptions and limits. Does not import torch.

The command line takes its defaults from here; `tercet.runs.build` turns settings into a loss and a trainer.
"""

import math
from dataclasses import dataclass, field, fields
from typing import TypeVar

from tercet.catalogue import DISTANCES, LOSSES
from tercet.errors import DataError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_EVAL_FRACTION = 0.2

T = TypeVar("T")


def _setting(default: T, description: str) -> T:
    value: T = field(default=default, metadata={"description": description})
    return value


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of a training run.

    The names are those of the options of `tercet train`, and of the `settings` in `metrics.json`. Every field has a
    description, see `describe`.

    Example:
        >>> RunSettings(loss="batch-hard", margin=0.5, batch_size=128).samples_per_label
        4
    """

    loss: str = _setting("batch-semi-hard", "The loss, which chooses the triplets of a batch.")
    margin: float = _setting(0.3, "How much farther negatives should be than positives, in units of distance.")
    distance: str = _setting("euclidean", "The distance to train.")
    epochs: float = _setting(1.0, "Passes over the data.")
    max_steps: int = _setting(-1, "Stop after this number of steps, instead of after epochs.")
    batch_size: int = _setting(64, "Number of sentences in a batch, of all processes together.")
    samples_per_label: int = _setting(4, "Number of sentences of each label in a batch.")
    learning_rate: float = _setting(5e-5, "The highest learning rate.")
    warmup_ratio: float = _setting(0.1, "Fraction of the steps for the warm-up; linear decay follows.")
    seed: int = _setting(0, "Random seed; the same seed gives the same run.")
    bf16: bool = _setting(False, "Train in bfloat16 mixed precision.")
    mini_batch_tokens: int | None = _setting(
        None, "Maximum number of tokens to embed at once, for batches larger than the GPU's memory."
    )
    cross_batch_memory: int = _setting(0, "Number of embeddings of past batches to mine as well.")
    save_every: int | None = _setting(
        None, "Write a checkpoint every this number of steps, instead of after every epoch."
    )
    keep: int = _setting(2, "Number of checkpoints to keep.")
    eval_steps: int | None = _setting(None, "Evaluate every this number of steps too, not only before and after.")

    @property
    def uses_triplets(self) -> bool:
        """Whether the loss takes given triplets; the other losses mine labelled sentences."""
        return LOSSES.find(self.loss, DataError).data == "triplets"

    def check(self) -> None:
        """Raise `DataError` for a value that no run can use; the message names the setting."""
        LOSSES.find(self.loss, DataError)
        DISTANCES.find(self.distance, DataError)
        check_value("epochs", self.epochs, 0 < self.epochs < math.inf, "above 0")
        check_value("max_steps", self.max_steps, self.max_steps > 0 or self.max_steps == -1, "at least 1")
        check_value("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0")
        check_value("warmup_ratio", self.warmup_ratio, 0 <= self.warmup_ratio < 1, "at least 0 and below 1")
        check_value("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 4294967295")
        check_value("cross_batch_memory", self.cross_batch_memory, self.cross_batch_memory >= 0, "at least 0")
        for name in ("mini_batch_tokens", "save_every", "keep", "eval_steps"):
            value = getattr(self, name)
            check_value(name, value, value is None or value > 0, "at least 1")
        self._check_batch()

    def _check_batch(self) -> None:
        if self.uses_triplets:
            check_value("batch_size", self.batch_size, self.batch_size > 0, "at least 1")
            return
        k = self.samples_per_label
        if k < 2:
            raise DataError(f"samples_per_label must be at least 2, got {k}: one sentence has no positive")
        if self.batch_size % k or self.batch_size < 2 * k:
            raise DataError(
                f"batch_size must be a multiple of samples_per_label {k}, and at least twice it; got {self.batch_size}"
            )


def describe(name: str) -> str:
    """Return the description of a setting, for help and docs."""
    description: str = next(item.metadata["description"] for item in fields(RunSettings) if item.name == name)
    return description


def check_value(name: str, value: object, fits: bool, wanted: str) -> None:
    """Raise `DataError` with the name of an argument, unless its value fits."""
    if not fits:
        raise DataError(f"{name} must be {wanted}, got {value}")


def check_eval_fraction(fraction: float) -> None:
    """Raise `DataError` for a fraction of the data that cannot be held out for evaluation."""
    check_value("eval_fraction", fraction, 0 <= fraction < 1, "at least 0 and below 1")
