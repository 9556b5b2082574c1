"""Define the settings of a training run: names, defaults, descriptions and limits.

The command line uses the same defaults and descriptions. `tercet.runs.build` builds the loss and the trainer from the
settings. This module does not import torch.
"""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar, get_args

from tercet._distributed import check_can_shard, launched_world_size
from tercet._numbers import check_is_number, check_margin
from tercet._separators import check_separator
from tercet.catalogue import DISTANCES, LOSSES
from tercet.errors import DataError, listed
from tercet.runs.trackers import check_trackers

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# For embeddings of length 1, see `tercet.runs.margin`.
DEFAULT_DISTANCE = "euclidean"
DEFAULT_MARGIN = 0.3
DEFAULT_LORA_RANK = 16
# What a run trains, with a description for the help.
PARTS = {
    "auto": "chosen by cross-validation over training rows",
    "head": "a linear layer on the embeddings, in seconds; the encoder stays as it is",
    "encoder": "the encoder alone",
    "both": "the linear layer first, then encoder and layer together",
}

T = TypeVar("T")


def _setting(default: T, description: str, *, free_on_resume: bool = False) -> T:
    """Return a field. `free_on_resume` means that a run may be resumed with another value."""
    metadata = {"description": description, "free_on_resume": free_on_resume}
    value: T = field(default=default, metadata=metadata)
    return value


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of a training run.

    `tercet train` has an option with the name of each field, and `settings` in `metrics.json` has an entry. Every field
    has a description, see `describe`.

    Example:
        >>> RunSettings(loss="batch-hard", margin=0.5, batch_size=128).samples_per_label
        4
    """

    loss: str = _setting("batch-semi-hard", "The loss. It determines which triplets of a batch are used.")
    margin: float | Sequence[float] | None = _setting(
        None,
        "Minimum difference between the distances to a negative and to a positive. Default: 0.3; if a given distance "
        "grows with the norm of the embeddings, a quarter of the mean distance. With label_levels: one value per "
        "level, the coarsest first, such as 0.3,0.15. A single value is the margin of the coarsest level, and each "
        "finer level has half. Default with a head: each coarser level has twice the margin of the next finer one, at "
        "most 0.9.",
    )
    distance: str | None = _setting(
        None,
        "The distance between embeddings that the loss uses; euclidean if the encoder's embeddings have length 1, "
        "else cosine.",
    )
    train: str = _setting("auto", f"What to train: {'; '.join(f'{name}: {text}' for name, text in PARTS.items())}.")
    dimension: int | None = _setting(
        None, "The dimension of the new embeddings, smaller than the encoder's; the linear layer reduces them."
    )
    label_levels: str | None = _setting(
        None,
        "The separator of the levels of nested labels, such as / in billing/refund. The loss is a weighted mean of "
        "those of the levels; each finer level has half the margin and six times the weight, with a head twelve times.",
    )
    multi_label: str | None = _setting(
        None,
        "The separator of the labels of a row, such as ; in billing;refund. Sentences that share a label are "
        "positives. A column of lists needs no separator.",
    )
    jaccard_weights: bool = _setting(
        False, "With several labels per row, multiply the loss of an anchor and a positive by their Jaccard overlap."
    )
    epochs: float | None = _setting(
        None, "Number of passes over the data; 3, or 20 if the labels have fewer than 16 sentences each."
    )
    max_steps: int = _setting(-1, "Stop after this number of steps instead of after the epochs.")
    batch_size: int = _setting(64, "Number of sentences in a batch, over all processes.")
    samples_per_label: int = _setting(4, "Number of sentences of each label in a batch.")
    neighbor_labels: float = _setting(
        0.5, "Fraction of the labels of a batch that are near each other; the others are random."
    )
    time_limit: float | None = _setting(
        None,
        "The time for the whole run, in seconds. It decides the number of steps, to which the schedule of the learning "
        "rate is fitted.",
    )
    learning_rate: float | None = _setting(
        None,
        "The learning rate after the warm-up, its maximum; 1e-4 for an encoder with 384 hidden units, less for a wider "
        "one, half of it if the labels have fewer than 16 sentences each, and ten times as much for a LoRA adapter.",
    )
    warmup_ratio: float = _setting(
        0.1, "Fraction of the steps in which the learning rate rises; then it decays linearly to 0."
    )
    seed: int = _setting(0, "Random seed; the same seed gives the same run.")
    bf16: bool = _setting(False, "Train in bfloat16 mixed precision, on a GPU or on a processor with avx512_bf16.")
    max_seq_length: int | None = _setting(
        None, "Maximum number of tokens of a sentence; longer sentences are truncated. It is saved with the model."
    )
    lora: bool = _setting(
        False, "Train a LoRA adapter of the encoder instead of all its weights; the model is saved as an adapter."
    )
    lora_rank: int | None = _setting(
        None, f"The rank of the LoRA adapter, which determines its number of weights; {DEFAULT_LORA_RANK}."
    )
    mini_batch_tokens: int | None = _setting(
        None, "Maximum number of tokens per forward pass, for batches that do not fit into memory.", free_on_resume=True
    )
    fsdp: bool = _setting(
        False,
        "Shard the weights, their gradients and the state of the optimizer over the processes of torchrun (FSDP).",
        free_on_resume=True,
    )
    cross_batch_memory: int = _setting(
        0, "Number of embeddings of past batches to mine as well; 0 mines the batch only."
    )
    save_every: int | None = _setting(
        None, "Number of steps between checkpoints, instead of one checkpoint per epoch.", free_on_resume=True
    )
    keep: int = _setting(2, "Number of checkpoints to keep during the run.", free_on_resume=True)
    eval_steps: int | None = _setting(
        None,
        "Number of steps between evaluations, in addition to those before and after training.",
        free_on_resume=True,
    )
    report_to: str | None = _setting(
        None,
        "The experiment trackers that get the settings and the metrics, such as tensorboard or wandb; several are "
        "separated by commas.",
        free_on_resume=True,
    )

    def __post_init__(self) -> None:
        if isinstance(self.margin, (list, tuple)):  # A list, as in the JSON of a record; one number is that of a run.
            object.__setattr__(self, "margin", self.margin[0] if len(self.margin) == 1 else list(self.margin))

    @property
    def uses_triplets(self) -> bool:
        """True if the training data are triplets, False if the loss mines labelled sentences."""
        return LOSSES.find(self.loss, DataError).data == "triplets"

    def check(self) -> None:
        """Raise `DataError` if a setting is outside its valid range; the message names the setting and the range."""
        LOSSES.find(self.loss, DataError)
        self._check_numbers()
        if self.distance is not None:
            DISTANCES.find(self.distance, DataError)
        self._check_margins()
        self._check_labels()
        check_value("train", self.train, self.train in PARTS, f"one of {listed(PARTS)}")
        for name in ("epochs", "learning_rate", "time_limit"):
            value = getattr(self, name)
            check_value(name, value, value is None or 0 < value < math.inf, "above 0")
        if self.time_limit is not None and self.max_steps > 0:
            raise DataError("time_limit and max_steps exclude each other; pass one of them")
        check_value("neighbor_labels", self.neighbor_labels, 0 <= self.neighbor_labels <= 1, "from 0 to 1")
        check_value("dimension", self.dimension, self.dimension is None or self.dimension > 0, "at least 1")
        if self.dimension is not None and self.train == "encoder":
            raise DataError(
                f"dimension={self.dimension} is that of the linear layer, but train='encoder' trains none; leave out "
                "one of them"
            )
        check_value("max_steps", self.max_steps, self.max_steps > 0 or self.max_steps == -1, "at least 1")
        check_value("warmup_ratio", self.warmup_ratio, 0 <= self.warmup_ratio < 1, "at least 0 and below 1")
        check_value("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 4294967295")
        check_value("cross_batch_memory", self.cross_batch_memory, self.cross_batch_memory >= 0, "at least 0")
        for name in ("mini_batch_tokens", "save_every", "keep", "eval_steps", "max_seq_length", "lora_rank"):
            value = getattr(self, name)
            check_value(name, value, value is None or value > 0, "at least 1")
        self._check_batch()
        self._check_packages()
        if self.fsdp:
            self._check_fsdp()

    def _check_numbers(self) -> None:
        for item in fields(self):
            kinds, value = set(get_args(item.type)) or {item.type}, getattr(self, item.name)
            if kinds <= {int, float, type(None)} and not (value is None and type(None) in kinds):
                check_is_number(item.name, value, error=DataError)

    def _check_margins(self) -> None:
        if not isinstance(self.margin, list):
            if self.margin is not None:
                check_margin(self.margin, error=DataError)
            return
        if not self.margin:
            raise DataError("margin is an empty list; pass a number, or one for each level of nested labels")
        for margin in self.margin:
            check_margin(margin, error=DataError)
        if self.label_levels is None:
            raise DataError(
                f"margin has {len(self.margin)} values, one for each level of nested labels, but label_levels is not "
                "given; pass label_levels, or one margin"
            )

    def _check_labels(self) -> None:
        check_separator(self.label_levels, "label_levels")
        check_separator(self.multi_label, "multi_label")
        for name in ("label_levels", "multi_label"):
            if getattr(self, name) is not None and self.uses_triplets:
                raise DataError(f"{name} needs labels, but the data of the triplet loss have none; leave it out")
        if self.multi_label is not None and self.label_levels is not None:
            raise DataError("label_levels and multi_label exclude each other; pass one of them")

    def _check_packages(self) -> None:
        """Raise `DataError` if an optional package is missing."""
        if self.lora and importlib.util.find_spec("peft") is None:
            raise DataError("lora=True needs the package peft; run pip install 'tercet[peft]'")
        if self.lora and self.train == "head":
            raise DataError("lora=True adapts the encoder, but train='head' does not train it; leave out one of them")
        if self.lora_rank is not None and not self.lora:
            raise DataError(f"lora_rank={self.lora_rank} needs lora=True")
        check_trackers(self.report_to)

    def _check_fsdp(self) -> None:
        if self.train == "head":
            raise DataError("fsdp=True shards the encoder, but train='head' does not train it; leave out one of them")
        if self.time_limit is not None:
            raise DataError(
                "time_limit and fsdp=True exclude each other, because the time of a step is measured before the model "
                "is sharded; pass epochs or max_steps instead of time_limit"
            )
        check_can_shard(launched_world_size())

    def _check_batch(self) -> None:
        if self.uses_triplets:
            check_value("batch_size", self.batch_size, self.batch_size > 0, "at least 1")
            return
        k = self.samples_per_label
        if k < 2:
            raise DataError(
                f"samples_per_label must be at least 2, got {k}: a single sentence of a label has no positive"
            )
        if self.batch_size % k or self.batch_size < 2 * k:
            raise DataError(
                f"batch_size must be a multiple of samples_per_label={k} and at least {2 * k}, got {self.batch_size}"
            )


def describe(name: str) -> str:
    """Return the description of a setting, for help and docs."""
    description: str = next(item.metadata["description"] for item in fields(RunSettings) if item.name == name)
    return description


def check_value(name: str, value: object, fits: bool, wanted: str) -> None:
    """Raise `DataError` if `fits` is False. The message gives `name`, the valid values `wanted`, and `value`."""
    if not fits:
        raise DataError(f"{name} must be {wanted}, got {value}")


def check_jaccard_weights(jaccard_weights: bool, multi_label: str | None) -> None:
    """Raise `DataError` if `jaccard_weights` is True but the rows that were read have one label each."""
    if jaccard_weights and multi_label is None:
        raise DataError("jaccard_weights=True needs rows with several labels; pass multi_label, or leave it out")


def check_eval_fraction(fraction: float) -> None:
    """Raise `DataError` unless 0 ≤ `fraction` < 1."""
    check_is_number("eval_fraction", fraction, error=DataError)
    check_value("eval_fraction", fraction, 0 <= fraction < 1, "at least 0 and below 1")


def given_settings(settings: RunSettings | None) -> RunSettings:
    """Return the settings that a caller passed, or the defaults for None. Raise `DataError` for another type."""
    if settings is None:
        return RunSettings()
    if not isinstance(settings, RunSettings):
        raise DataError(f"settings must be a RunSettings, got a {type(settings).__name__}; pass RunSettings(…)")
    return settings
