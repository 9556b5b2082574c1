"""`tercet train`."""

import json
import math
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from tercet.cli.console import (
    DATA_HELP,
    IS_FIRST_PROCESS,
    MODEL_HELP,
    before_and_after,
    check_free,
    load_model,
    one_line_errors,
    print_metrics,
    say,
)
from tercet.errors import DataError

_MARGIN = 0.3


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


@one_line_errors
def train(
    data: Annotated[str, typer.Argument(help=DATA_HELP)],
    output: Annotated[Path, typer.Option(help="Where to write the model.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "sentence-transformers/all-MiniLM-L6-v2",
    loss: Annotated[LossName, typer.Option(help="Which triplets of a batch count.")] = LossName.BATCH_SEMI_HARD,
    margin: Annotated[
        float, typer.Option(help="How much farther negatives should be, in units of distance.")
    ] = _MARGIN,
    distance: Annotated[DistanceName, typer.Option(help="The distance to train.")] = DistanceName.EUCLIDEAN,
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 1.0,
    max_steps: Annotated[int, typer.Option(help="Stop after so many steps, in place of epochs.")] = -1,
    batch_size: Annotated[int, typer.Option(help="Sentences in a batch.")] = 64,
    samples_per_label: Annotated[int, typer.Option(help="Sentences of each label in a batch.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 5e-5,
    warmup_ratio: Annotated[float, typer.Option(help="Share of the steps to warm up; then linear decay.")] = 0.1,
    eval_data: Annotated[str | None, typer.Option(help="Measure on this data.")] = None,
    eval_fraction: Annotated[
        float | None, typer.Option(help="Without --eval-data, hold out this share of each label. [default: 0.2]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="The column of sentences.")] = None,
    label_column: Annotated[str | None, typer.Option(help="The column of labels.")] = None,
    split: Annotated[str, typer.Option(help="The split of a data set on the hub.")] = "train",
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 0,
    bf16: Annotated[bool, typer.Option("--bf16", help="Train in bfloat16 mixed precision.")] = False,
    no_packing: Annotated[
        bool, typer.Option("--no-packing", help="Pad batches, in place of laying sentences end to end.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
    ] = False,
    mini_batch_tokens: Annotated[
        int | None, typer.Option(help="Embed a batch in parts of so many tokens, for batches larger than memory.")
    ] = None,
    memory_size: Annotated[int, typer.Option(help="Embeddings of past batches to mine too.")] = 0,
    save_every: Annotated[
        int | None, typer.Option(help="Write a checkpoint every so many steps. [default: every epoch]")
    ] = None,
    keep: Annotated[int, typer.Option(help="Checkpoints to keep.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model at --output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json alone on standard output.")] = False,
) -> None:
    """Train a model on labelled sentences; show what it was worth before and after."""
    check_free(output, overwrite=overwrite)
    if output.is_file():
        raise DataError(f"{output} is a file; a model is a folder")
    if eval_data is not None and eval_fraction is not None:
        raise DataError("--eval-data and --eval-fraction exclude each other; give one")
    check_numbers(
        ("--epochs", epochs, 0 < epochs < math.inf, "above 0"),
        ("--max-steps", max_steps, max_steps > 0 or max_steps == -1, "at least 1"),
        ("--learning-rate", learning_rate, 0 < learning_rate < math.inf, "above 0"),
        ("--warmup-ratio", warmup_ratio, 0 <= warmup_ratio < 1, "at least 0 and below 1"),
        ("--seed", seed, 0 <= seed < 2**32, "from 0 to 4294967295"),
        ("--eval-fraction", eval_fraction, eval_fraction is None or 0 <= eval_fraction < 1, "at least 0 and below 1"),
        ("--mini-batch-tokens", mini_batch_tokens, mini_batch_tokens is None or mini_batch_tokens > 0, "at least 1"),
        ("--memory-size", memory_size, memory_size >= 0, "at least 0"),
        ("--save-every", save_every, save_every is None or save_every > 0, "at least 1"),
        ("--keep", keep, keep > 0, "at least 1"),
    )
    check_batch(batch_size, samples_per_label, triplets=loss is LossName.TRIPLET)
    if loss is LossName.BATCH_HARD_SOFT_MARGIN and margin != _MARGIN:
        say(f"--margin {margin:g} is not used: the soft margin has none")
    from tercet.cli.inputs import labelled_data, triplet_data

    fraction = 0.2 if eval_fraction is None else eval_fraction
    columns = (text_column, label_column, split)
    if loss is LossName.TRIPLET:
        train_set, eval_set = triplet_data(data, eval_data, fraction, columns, seed)
    else:
        train_set, eval_set = labelled_data(data, eval_data, fraction, columns, seed)
    from tercet.training.run import Interrupted, RunSettings, train_and_measure  # slow, so after the data were checked

    settings = RunSettings(
        loss.value, margin, distance.value, epochs, max_steps, batch_size, samples_per_label,
        learning_rate, warmup_ratio, seed, bf16, mini_batch_tokens, memory_size, save_every, keep,
    )  # fmt: skip
    facts = {"model": model, "data": data, "eval_data": eval_data, "eval_fraction": None if eval_data else fraction}
    encoder = load_model(model, trust_remote_code=trust_remote_code)
    encoder.packing = not no_packing
    try:
        result = train_and_measure(encoder, train_set, eval_set, output, settings, resume=resume, facts=facts)
    except Interrupted as interrupt:
        _say_how_to_resume(interrupt.checkpoint)
        raise typer.Exit(130) from None
    if not IS_FIRST_PROCESS:
        return
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    if eval_set is not None:
        print_metrics(f"{len(eval_set)} rows to measure on", before_and_after(result))
    say(f"model written to {output}")


def check_batch(batch_size: int, samples_per_label: int, *, triplets: bool) -> None:
    """Raise `DataError` unless a batch can be P×K, or, of triplets, is one."""
    if triplets:
        if batch_size < 1:
            raise DataError(f"--batch-size must be at least 1, got {batch_size}")
        return
    if samples_per_label < 2:
        raise DataError(
            f"--samples-per-label must be at least 2, got {samples_per_label}: one sentence has no positive"
        )
    if batch_size % samples_per_label or batch_size < 2 * samples_per_label:
        raise DataError(
            f"--batch-size must be a multiple of --samples-per-label {samples_per_label}, and at least twice it; "
            f"got {batch_size}"
        )


def check_numbers(*checks: tuple[str, float | None, bool, str]) -> None:
    """Raise `DataError` for an option that does not fit; each is a name, a value, whether it fits, and what would."""
    for name, value, fits, wanted in checks:
        if not fits:
            raise DataError(f"{name} must be {wanted}, got {value}")


def _say_how_to_resume(checkpoint: Path | None) -> None:
    if checkpoint is None:
        say("tercet: interrupted before the first checkpoint; nothing was written")
        return
    words = [word for word in sys.argv[1:] if word != "--resume"]
    say(f"tercet: interrupted; {checkpoint} is whole. Go on with:\n  tercet {shlex.join(words)} --resume")
