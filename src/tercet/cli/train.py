"""The command `tercet train`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tercet._display import numbers_text
from tercet._distributed import is_first_launched
from tercet._logging import quiet_transformers
from tercet._nested_labels import separator_of
from tercet.catalogue import LOSSES
from tercet.cli import options as opt
from tercet.cli.choices import margin_of
from tercet.cli.command_errors import report_errors
from tercet.cli.console import (
    finish,
    print_note,
    print_result,
    resume_command,
    shows_progress,
)
from tercet.cli.evaluations import print_choices, print_classifier, print_evaluation
from tercet.cli.next_commands import classify_command, evaluate_command, fit_classifier_command, trust_words
from tercet.cli.outputs import check_outputs
from tercet.cli.reports import check_report, write_report
from tercet.cli.train_vectors import is_for_vectors, train_vectors
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION, ReadOptions
from tercet.errors import DataError
from tercet.records import TrainingGain
from tercet.runs import RunSettings, TrainingInterrupted, TrainingRun, publishing
from tercet.runs import train as run_train
from tercet.runs.repeat import read_record
from tercet.runs.settings import describe

_DEFAULTS = RunSettings()


def _help(name: str, default: str = "") -> Any:
    return typer.Option(help=describe(name) + (f" [default: {default}]" if default else ""))


@report_errors
@opt.file_options
def train(
    data: opt.Data,
    output: Annotated[Path, typer.Option(help="The folder for the model.")],
    model: opt.Model = None,
    loss: opt.Loss = _DEFAULTS.loss,
    margin: Annotated[
        Any,
        typer.Option(
            help=f"{describe('margin')} [default: depends on the distance]", parser=margin_of, metavar="NUMBER,…"
        ),
    ] = _DEFAULTS.margin,
    distance: opt.TrainDistance = _DEFAULTS.distance,
    train: Annotated[str, _help("train")] = _DEFAULTS.train,
    dimension: Annotated[int | None, _help("dimension", "that of the encoder")] = _DEFAULTS.dimension,
    epochs: Annotated[float | None, _help("epochs", "by the data")] = _DEFAULTS.epochs,
    time_limit: opt.TimeLimit = _DEFAULTS.time_limit,
    max_steps: Annotated[int, typer.Option(help=describe("max_steps"), show_default="no limit")] = _DEFAULTS.max_steps,
    batch_size: opt.BatchSize = _DEFAULTS.batch_size,
    samples_per_label: opt.SamplesPerLabel = _DEFAULTS.samples_per_label,
    neighbor_labels: Annotated[float, _help("neighbor_labels")] = _DEFAULTS.neighbor_labels,
    learning_rate: opt.LearningRate = _DEFAULTS.learning_rate,
    warmup_ratio: opt.WarmupRatio = _DEFAULTS.warmup_ratio,
    eval_data: opt.EvalData = None,
    eval_fraction: opt.EvalFraction = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumns = None,
    vector_column: opt.VectorColumn = None,
    label_file: opt.LabelFile = None,
    eval_label_file: opt.EvalLabelFile = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    similar_labels: opt.SimilarLabels = None,
    drop_missing: opt.DropMissing = None,
    label_levels: Annotated[str | None, _help("label_levels", "no levels")] = _DEFAULTS.label_levels,
    multi_label: Annotated[str | None, _help("multi_label", "one label per row")] = _DEFAULTS.multi_label,
    jaccard_weights: Annotated[bool, typer.Option("--jaccard-weights", help=describe("jaccard_weights"))] = False,
    seed: Annotated[int, _help("seed")] = _DEFAULTS.seed,
    bf16: opt.Bf16 = _DEFAULTS.bf16,
    max_seq_length: opt.MaxSeqLength = _DEFAULTS.max_seq_length,
    lora: opt.Lora = _DEFAULTS.lora,
    lora_rank: opt.LoraRank = _DEFAULTS.lora_rank,
    no_packing: opt.NoPacking = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    mini_batch_tokens: opt.MiniBatchTokens = _DEFAULTS.mini_batch_tokens,
    fsdp: Annotated[bool, typer.Option("--fsdp/--no-fsdp", help=describe("fsdp"))] = _DEFAULTS.fsdp,
    cross_batch_memory: Annotated[int, _help("cross_batch_memory")] = _DEFAULTS.cross_batch_memory,
    save_every: Annotated[int | None, _help("save_every", "after every epoch")] = _DEFAULTS.save_every,
    keep: Annotated[int, _help("keep")] = _DEFAULTS.keep,
    eval_steps: Annotated[int | None, _help("eval_steps", "only before and after training")] = _DEFAULTS.eval_steps,
    report_to: Annotated[str | None, _help("report_to", "none")] = _DEFAULTS.report_to,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report of the run to this .html file.")] = None,
    no_texts: opt.NoTexts = False,
    no_classifier: Annotated[
        bool,
        typer.Option("--no-classifier", help="Fit no classifier of the labels; tercet classify needs it."),
    ] = False,
    keep_texts: opt.KeepTexts = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Upload the model to the Hugging Face hub after the training, such as me/my-model. Token and "
            "permission are checked before it.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With --push-to-hub, make a new repository private.")
    ] = False,
    config: opt.Config = None,
    repeat: Annotated[
        Path | None,
        typer.Option(
            help="Run again what this metrics.json describes: its data, model and settings. Options on the command "
            "line override those of the record, and are printed."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue an interrupted run from its last complete checkpoint, if it has one."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model at --output.")] = False,
    device: opt.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only metrics.json on standard output.")] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Train a model on labelled sentences or triplets, or a head on vectors, and evaluate it before and after."""
    given = {**{name: value for name, value in locals().items() if name != "reading"}, **reading}
    if is_for_vectors(given):
        opt.check_evaluation(eval_data, eval_fraction)
        train_vectors(given)
        return
    check_report(report, "--report", no_texts=no_texts)
    inputs = {"the input data": data, "the evaluation data": eval_data, "the model to train": model,
              "the record to repeat": repeat}  # fmt: skip
    check_outputs({"--report": report}, inputs, overwrite=overwrite, folder=output)
    opt.check_evaluation(eval_data, eval_fraction)
    settings = RunSettings(
        loss=loss, margin=margin, distance=distance, train=train, dimension=dimension, epochs=epochs,
        time_limit=time_limit, neighbor_labels=neighbor_labels, max_steps=max_steps, batch_size=batch_size,
        samples_per_label=samples_per_label, learning_rate=learning_rate, warmup_ratio=warmup_ratio, seed=seed,
        bf16=bf16, mini_batch_tokens=mini_batch_tokens, cross_batch_memory=cross_batch_memory, fsdp=fsdp,
        save_every=save_every, keep=keep, eval_steps=eval_steps, max_seq_length=max_seq_length, lora=lora,
        lora_rank=lora_rank, report_to=report_to, label_levels=separator_of(label_column, label_levels),
        multi_label=multi_label, jaccard_weights=jaccard_weights,
    )  # fmt: skip
    settings.check()
    if not LOSSES[loss].has_margin and margin is not None:
        print_note(f"--margin {numbers_text(margin)} is not used: the loss {loss} has no margin")
    if private and push_to_hub is None:
        raise DataError("--private needs --push-to-hub")
    if push_to_hub is not None and is_first_launched():
        # The upload itself is done after the results are printed, so that a failure does not hide them.
        publishing.check_upload(push_to_hub, model=model, settings=settings)
    quiet_transformers()
    try:
        run = run_train(
            data, output, model=model, settings=settings, eval_data=eval_data,
            eval_fraction=DEFAULT_EVAL_FRACTION if eval_fraction is None else eval_fraction,
            text_column=text_column, label_column=label_column, split=split, header=header,
            combined_labels=combined_labels, similar_labels=similar_labels, drop_missing=drop_missing, device=device,
            packing=not no_packing, trust_remote_code=trust_remote_code, resume=resume, overwrite=overwrite,
            classifier=not no_classifier, keep_texts=keep_texts,
            keep_embeddings=report is not None, show_progress_bar=shows_progress(quiet),
            repeats=None if repeat is None else read_record(repeat), label_file=label_file, **reading,
        )  # fmt: skip
    except TrainingInterrupted as interrupt:
        _print_how_to_resume(interrupt.checkpoint)
        raise typer.Exit(130) from None
    if not is_first_launched():
        return
    if as_json:
        print_result(json.dumps(run.record.to_dict(), indent=2))
    else:
        print_evaluation(run.record)
        print_choices(run.record)
        print_classifier(run.record)
    print_note(f"model written to {output}")
    if report is not None:
        write_report(report, run, texts=not no_texts, overwrite=overwrite)
    if push_to_hub is not None:
        url = publishing.push_to_hub(output, push_to_hub, private=private or None)
        print_note(f"model uploaded to {url}")
    if settings.uses_triplets:
        finish(["tercet", "encode", output, "YOUR.csv", *trust_words(trust_remote_code), "--output", "embeddings.npy"])
    else:
        finish(*_next_commands(run, given))


def _next_commands(run: TrainingRun, given: dict[str, Any]) -> list[list[object]]:
    """Return the commands to run after a training on labelled sentences, of which `given` are the arguments."""
    data, output, eval_data, trust = (given[name] for name in ("data", "output", "eval_data", "trust_remote_code"))
    options, settings, gain = ReadOptions.of(given), run.record.settings, run.record.gain
    evaluate = evaluate_command(output, eval_data, data, options, settings.get("eval_split"), trust_remote_code=trust)
    if run.classifier is None:
        return [evaluate]
    commands = [classify_command(output, options, trust_remote_code=trust), evaluate]
    if isinstance(gain, TrainingGain) and gain.prefers_untouched:
        untouched = settings["model"]
        commands.append(
            fit_classifier_command(untouched, data, options, output, eval_data=eval_data, trust_remote_code=trust)
        )
    return commands


def _print_how_to_resume(checkpoint: Path | None) -> None:
    if checkpoint is None:
        print_note("interrupted before the first checkpoint; nothing was written, so start the run again")
        return
    print_note(f"interrupted; {checkpoint} is complete. Resume with:\n  {resume_command()}")
