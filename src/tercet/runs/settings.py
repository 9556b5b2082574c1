"""Define the settings of a training run: names, defaults and descriptions. `limits.py` checks them.

The command line uses the same defaults and descriptions. `tercet.runs.build` builds the loss and the trainer from the
settings. This module does not import torch.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from tercet.catalogue import LOSSES
from tercet.errors import DataError
from tercet.runs.limits import PARTS, check_settings

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# For embeddings of length 1, see `tercet.runs.margin`.
DEFAULT_DISTANCE = "euclidean"
DEFAULT_LORA_RANK = 16

logger = logging.getLogger(__name__)

T = TypeVar("T")


def _setting(default: T, description: str, *, free_on_resume: bool = False, of_encoder: bool = False) -> T:
    """Return a field.

    Args:
        default: its default.
        description: its description, for help and docs.
        free_on_resume: whether a run may be resumed with another value.
        of_encoder: whether a linear head alone does not use it.
    """
    metadata = {"description": description, "free_on_resume": free_on_resume, "of_encoder": of_encoder}
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

    loss: str = _setting(
        "batch-semi-hard", "The loss. It determines which triplets of a batch are used.", of_encoder=True
    )
    margin: float | Sequence[float] | None = _setting(
        None,
        "Minimum difference between the distances to a negative and to a positive. Default: 0.3; after a head on few "
        "sentences of each label, 0.5, if the default loss trains for 20 epochs; if a given distance grows with the "
        "norm of the embeddings, a quarter of the mean distance. With label_levels: one value per level, the coarsest "
        "first, such as 0.3,0.15. A single value is the margin of the coarsest level, and each "
        "finer level has half. Default with a head: each coarser level has twice the margin of the next finer one, at "
        "most 0.9.",
        of_encoder=True,
    )
    distance: str | None = _setting(
        None,
        "The distance between embeddings that the loss uses; euclidean if the encoder's embeddings have length 1, "
        "else cosine.",
        of_encoder=True,
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
        None,
        "Number of passes over the data; 3, or 20 if the labels have fewer than 16 sentences each.",
        of_encoder=True,
    )
    max_steps: int = _setting(-1, "Stop after this number of steps instead of after the epochs.", of_encoder=True)
    batch_size: int = _setting(64, "Number of sentences in a batch, over all processes.")
    samples_per_label: int = _setting(4, "Number of sentences of each label in a batch.")
    neighbor_labels: float = _setting(
        0.5, "Fraction of the labels of a batch that are near each other; the others are random.", of_encoder=True
    )
    time_limit: float | None = _setting(
        None,
        "The time for the whole run, in seconds. It decides the number of steps, to which the schedule of the learning "
        "rate is fitted.",
        of_encoder=True,
    )
    learning_rate: float | None = _setting(
        None,
        "The learning rate after the warm-up, its maximum; 1e-4 for an encoder with 384 hidden units, less for a wider "
        "one, half of it if the labels have fewer than 16 sentences each, and ten times as much for a LoRA adapter.",
        of_encoder=True,
    )
    warmup_ratio: float = _setting(
        0.1, "Fraction of the steps in which the learning rate rises; then it decays linearly to 0.", of_encoder=True
    )
    seed: int = _setting(0, "Random seed; the same seed gives the same run.")
    bf16: bool = _setting(
        False, "Train in bfloat16 mixed precision, on a GPU or on a processor with avx512_bf16.", of_encoder=True
    )
    max_seq_length: int | None = _setting(
        None, "Maximum number of tokens of a sentence; longer sentences are truncated. It is saved with the model."
    )
    lora: bool = _setting(
        False,
        "Train a LoRA adapter of the encoder instead of all its weights; the model is saved as an adapter.",
        of_encoder=True,
    )
    lora_rank: int | None = _setting(
        None,
        f"The rank of the LoRA adapter, which determines its number of weights; {DEFAULT_LORA_RANK}.",
        of_encoder=True,
    )
    mini_batch_tokens: int | None = _setting(
        None,
        "Maximum number of tokens per forward pass, for batches that do not fit into memory.",
        free_on_resume=True,
        of_encoder=True,
    )
    fsdp: bool = _setting(
        False,
        "Shard the weights, their gradients and the state of the optimizer over the processes of torchrun (FSDP).",
        free_on_resume=True,
        of_encoder=True,
    )
    cross_batch_memory: int = _setting(
        0, "Number of embeddings of past batches to mine as well; 0 mines the batch only.", of_encoder=True
    )
    save_every: int | None = _setting(
        None,
        "Number of steps between checkpoints, instead of one checkpoint per epoch.",
        free_on_resume=True,
        of_encoder=True,
    )
    keep: int = _setting(2, "Number of checkpoints to keep during the run.", free_on_resume=True, of_encoder=True)
    eval_steps: int | None = _setting(
        None,
        "Number of steps between evaluations, in addition to those before and after training.",
        free_on_resume=True,
        of_encoder=True,
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
        check_settings(self)

    def without_unused(self) -> "RunSettings":
        """Reset the settings that the run does not use to their defaults. Warn of each that was given.

        A head alone does not use the settings of the encoder. `batch_size` and `samples_per_label` stay, because a run
        checks the data for them in any case. Triplets have no labels, so the settings of batches by label are not used.
        A number of steps replaces the epochs.
        """
        settings = self
        if self.uses_triplets:
            settings = settings._without(
                OF_LABELLED_BATCHES, f"loss={self.loss!r} takes triplets, which have no labels"
            )
        elif self.train == "head":
            settings = settings._without(ENCODER_SETTINGS, "train='head' does not train the encoder")
        if settings.max_steps > 0:
            settings = settings._without(("epochs",), f"max_steps={settings.max_steps} sets the number of steps")
        return settings

    def _without(self, unused: Sequence[str], reason: str) -> "RunSettings":
        """Reset settings to their defaults. Warn of each that was given, with the reason."""
        defaults: dict[str, Any] = {item.name: item.default for item in fields(self) if item.name in unused}
        values = {name: getattr(self, name) for name in defaults if getattr(self, name) != defaults[name]}
        given = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}" for name, value in values.items()
        ]
        if given:
            logger.warning(f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} not used, because {reason}")
        return replace(self, **defaults)


# The settings of the training of the encoder, which a linear head alone does not use.
ENCODER_SETTINGS = tuple(item.name for item in fields(RunSettings) if item.metadata["of_encoder"])

# The settings of batches with several sentences of each label, which triplets do not use.
OF_LABELLED_BATCHES = ("samples_per_label", "neighbor_labels")


def describe(name: str) -> str:
    """Return the description of a setting, for help and docs."""
    description: str = next(item.metadata["description"] for item in fields(RunSettings) if item.name == name)
    return description


def given_settings(settings: RunSettings | None) -> RunSettings:
    """Return the settings that a caller passed, or the defaults for None. Raise `DataError` for another type."""
    if settings is None:
        return RunSettings()
    if not isinstance(settings, RunSettings):
        raise DataError(f"settings must be a RunSettings, got a {type(settings).__name__}; pass RunSettings(…)")
    return settings
