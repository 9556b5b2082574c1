"""Options that several commands take: declared once, checked once."""

import math
from enum import Enum
from typing import Annotated

import typer

from tercet.cli.console import DATA_HELP, MODEL_HELP
from tercet.errors import DataError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EVAL_FRACTION = 0.2


class LossName(str, Enum):
    """The losses by the names of the command line."""

    BATCH_SEMI_HARD = "batch-semi-hard"
    BATCH_ALL = "batch-all"
    BATCH_HARD = "batch-hard"
    BATCH_HARD_SOFT_MARGIN = "batch-hard-soft-margin"
    TRIPLET = "triplet"


class DistanceName(str, Enum):
    """The distances by name."""

    EUCLIDEAN = "euclidean"
    COSINE = "cosine"
    MANHATTAN = "manhattan"


Data = Annotated[str, typer.Argument(help=DATA_HELP)]
Model = Annotated[str, typer.Option(help=MODEL_HELP)]
BatchSize = Annotated[int, typer.Option(help="Sentences in a batch.")]
SamplesPerLabel = Annotated[int, typer.Option(help="Sentences of each label in a batch.")]
LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
WarmupRatio = Annotated[float, typer.Option(help="Share of the steps to warm up; then linear decay.")]
EvalData = Annotated[str | None, typer.Option(help="Measure on this data.")]
EvalFraction = Annotated[
    float | None,
    typer.Option(help=f"Without --eval-data, hold out this share of each label. [default: {EVAL_FRACTION}]"),
]
TextColumn = Annotated[str | None, typer.Option(help="The column of sentences.")]
LabelColumn = Annotated[str | None, typer.Option(help="The column of labels.")]
Split = Annotated[str, typer.Option(help="The split of a data set on the hub.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Train in bfloat16 mixed precision.")]
NoPacking = Annotated[bool, typer.Option("--no-packing", help="Pad batches, in place of laying sentences end to end.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
]
MiniBatchTokens = Annotated[
    int | None, typer.Option(help="Embed a batch in parts of so many tokens, for batches larger than memory.")
]


def check_numbers(*checks: tuple[str, float | None, bool, str]) -> None:
    """Of each option: its name, its value, whether it fits, and what would."""
    for name, value, fits, wanted in checks:
        if not fits:
            raise DataError(f"{name} must be {wanted}, got {value}")


def check_training(
    learning_rate: float, warmup_ratio: float, seed: int, eval_fraction: float | None, mini_batch_tokens: int | None
) -> None:
    """Raise `DataError` for a number that no training takes."""
    check_numbers(
        ("--learning-rate", learning_rate, 0 < learning_rate < math.inf, "above 0"),
        ("--warmup-ratio", warmup_ratio, 0 <= warmup_ratio < 1, "at least 0 and below 1"),
        ("--seed", seed, 0 <= seed < 2**32, "from 0 to 4294967295"),
        ("--eval-fraction", eval_fraction, eval_fraction is None or 0 <= eval_fraction < 1, "at least 0 and below 1"),
        ("--mini-batch-tokens", mini_batch_tokens, mini_batch_tokens is None or mini_batch_tokens > 0, "at least 1"),
    )


def check_evaluation(eval_data: str | None, eval_fraction: float | None) -> None:
    """Raise `DataError` where both are given."""
    if eval_data is not None and eval_fraction is not None:
        raise DataError("--eval-data and --eval-fraction exclude each other; give one")


def check_batch(batch_size: int, samples_per_label: int) -> None:
    """Raise `DataError` for numbers that make no P×K batch."""
    if samples_per_label < 2:
        raise DataError(
            f"--samples-per-label must be at least 2, got {samples_per_label}: one sentence has no positive"
        )
    if batch_size % samples_per_label or batch_size < 2 * samples_per_label:
        raise DataError(
            f"--batch-size must be a multiple of --samples-per-label {samples_per_label}, and at least twice it; "
            f"got {batch_size}"
        )
