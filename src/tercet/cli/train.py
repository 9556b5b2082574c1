"""`tercet train`."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from tercet.catalogue import LOSSES
from tercet.cli import options as opt
from tercet.cli.console import (
    IS_FIRST_PROCESS,
    before_after_change,
    check_output_folder,
    load_model,
    print_metrics,
    print_note,
    report_errors,
    resume_command,
)
from tercet.cli.reports import check_report, write_report
from tercet.errors import DataError

_MARGIN = 0.3


@report_errors
def train(
    data: opt.Data,
    output: Annotated[Path, typer.Option(help="Where to write the model.")],
    model: opt.Model = opt.DEFAULT_MODEL,
    loss: opt.Loss = "batch-semi-hard",
    margin: Annotated[
        float, typer.Option(help="How much farther negatives should be, in units of distance.")
    ] = _MARGIN,
    distance: opt.Distance = "euclidean",
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 1.0,
    max_steps: Annotated[int, typer.Option(help="Stop after so many steps, in place of epochs.")] = -1,
    batch_size: opt.BatchSize = 64,
    samples_per_label: opt.SamplesPerLabel = 4,
    learning_rate: opt.LearningRate = 5e-5,
    warmup_ratio: opt.WarmupRatio = 0.1,
    eval_data: opt.EvalData = None,
    eval_fraction: opt.EvalFraction = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumn = None,
    split: opt.Split = "train",
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 0,
    bf16: opt.Bf16 = False,
    no_packing: opt.NoPacking = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    mini_batch_tokens: opt.MiniBatchTokens = None,
    cross_batch_memory: Annotated[int, typer.Option(help="Embeddings of past batches to mine too.")] = 0,
    save_every: Annotated[
        int | None, typer.Option(help="Write a checkpoint every so many steps. [default: every epoch]")
    ] = None,
    keep: Annotated[int, typer.Option(help="Checkpoints to keep.")] = 2,
    eval_steps: Annotated[
        int | None, typer.Option(help="Measure every so many steps too. [default: before and after]")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what the run did to this .html file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model at --output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json alone on standard output.")] = False,
) -> None:
    """Train a model on labelled sentences; show what it was worth before and after."""
    check_output_folder(output, overwrite=overwrite)
    check_report(report, "--report", overwrite=overwrite)
    opt.check_evaluation(eval_data, eval_fraction)
    opt.check_numbers(
        ("--epochs", epochs, 0 < epochs < math.inf, "above 0"),
        ("--max-steps", max_steps, max_steps > 0 or max_steps == -1, "at least 1"),
        ("--cross-batch-memory", cross_batch_memory, cross_batch_memory >= 0, "at least 0"),
        ("--save-every", save_every, save_every is None or save_every > 0, "at least 1"),
        ("--keep", keep, keep > 0, "at least 1"),
        ("--eval-steps", eval_steps, eval_steps is None or eval_steps > 0, "at least 1"),
    )
    opt.check_training(learning_rate, warmup_ratio, seed, eval_fraction, mini_batch_tokens)
    if LOSSES[loss].data == "triplets":
        opt.check_numbers(("--batch-size", batch_size, batch_size > 0, "at least 1"))
    else:
        opt.check_batch(batch_size, samples_per_label)
    if not LOSSES[loss].has_margin and margin != _MARGIN:
        print_note(f"--margin {margin:g} is not used: the loss {loss} has no margin")
    from tercet.data.loading import Columns, load_training_data, load_triplets

    fraction = opt.EVAL_FRACTION if eval_fraction is None else eval_fraction
    columns = Columns(text_column, label_column, split)
    if LOSSES[loss].data == "triplets":
        train_set, eval_set = load_triplets(data, eval_data, fraction, columns, seed)
    else:
        train_set, eval_set = load_training_data(data, eval_data, fraction, columns, seed)
    if eval_steps is not None and eval_set is None:
        raise DataError("--eval-steps has nothing to measure on; give --eval-data, or an --eval-fraction above 0")
    from tercet.runs.run import TrainingInterrupted, run_training  # slow, so after the data were checked
    from tercet.runs.settings import RunSettings

    settings = RunSettings(
        loss, margin, distance, epochs, max_steps, batch_size, samples_per_label,
        learning_rate, warmup_ratio, seed, bf16, mini_batch_tokens, cross_batch_memory, save_every, keep, eval_steps,
    )  # fmt: skip
    facts = {
        "model": model, "data": data, "eval_data": eval_data, "eval_fraction": None if eval_data else fraction,
        "text_column": text_column, "label_column": label_column, "packing": not no_packing,
    }  # fmt: skip
    encoder = load_model(model, trust_remote_code=trust_remote_code, packing=not no_packing)
    try:
        run = run_training(
            encoder, train_set, eval_set, output, settings,
            resume=resume, facts=facts, keep_embeddings=report is not None,
        )  # fmt: skip
    except TrainingInterrupted as interrupt:
        _say_how_to_resume(interrupt.checkpoint)
        raise typer.Exit(130) from None
    if not IS_FIRST_PROCESS:
        return
    if as_json:
        typer.echo(json.dumps(run.metrics, indent=2))
    elif eval_set is not None:
        print_metrics(f"{len(eval_set)} rows to measure on", before_after_change(run.metrics))
    print_note(f"model written to {output}")
    if report is not None:
        write_report(report, run, eval_set)


def _say_how_to_resume(checkpoint: Path | None) -> None:
    if checkpoint is None:
        print_note("tercet: interrupted before the first checkpoint; nothing was written")
        return
    print_note(f"tercet: interrupted; {checkpoint} is whole. Go on with:\n  {resume_command()}")
