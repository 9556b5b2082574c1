"""The command `tercet compare`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tercet._files import check_file, check_separate
from tercet._logging import quiet_transformers
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.comparison_tables import print_comparison
from tercet.cli.console import (
    finish,
    print_note,
    print_result,
    resume_command,
)
from tercet.cli.next_commands import evaluate_command
from tercet.cli.reports import check_report, write_report_of_comparison
from tercet.comparison import compare as run_compare
from tercet.comparison.files import inputs_of_grid, reserved_comparison
from tercet.comparison.grid import separator_in_grid
from tercet.comparison.plan import DEFAULT_EPOCHS
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION, ReadOptions
from tercet.errors import DataError
from tercet.runs.limits import check_value
from tercet.runs.settings import RunSettings, describe

_DEFAULTS = RunSettings()


@report_errors
@opt.file_options
def compare(
    data: opt.Data,
    output: Annotated[Path, typer.Option(help="The folder for compare.json and the recommended model.")],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Values to compare, such as loss=batch-all,batch-hard or margin=0.1,0.3 or model=bundled,FOLDER or "
            "learning-rate=5e-5,1e-4: the name of an option of `tercet train` and its values. Repeat the option to "
            "compare all combinations. [default: all losses for labelled sentences]"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of runs of each variant, each with a different seed.")] = 3,
    steps: Annotated[int | None, typer.Option(help="The budget of each run, in steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="The budget of each run, in minutes of training.")] = None,
    epochs: Annotated[
        float | None,
        typer.Option(help=f"The budget of each run, in epochs (passes over the data). [default: {DEFAULT_EPOCHS:g}]"),
    ] = None,
    model: opt.Model = None,
    batch_size: opt.BatchSize = _DEFAULTS.batch_size,
    samples_per_label: opt.SamplesPerLabel = _DEFAULTS.samples_per_label,
    learning_rate: opt.LearningRate = _DEFAULTS.learning_rate,
    warmup_ratio: opt.WarmupRatio = _DEFAULTS.warmup_ratio,
    eval_data: opt.EvalData = None,
    eval_fraction: opt.EvalFraction = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumns = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    similar_labels: opt.SimilarLabels = None,
    drop_missing: opt.DropMissing = None,
    label_levels: Annotated[
        str | None, typer.Option(help=describe("label_levels"), show_default="no levels")
    ] = _DEFAULTS.label_levels,
    seed: Annotated[
        int, typer.Option(help="The first seed. It also determines which rows are held out.")
    ] = _DEFAULTS.seed,
    bf16: opt.Bf16 = _DEFAULTS.bf16,
    max_seq_length: opt.MaxSeqLength = _DEFAULTS.max_seq_length,
    lora: opt.Lora = _DEFAULTS.lora,
    lora_rank: opt.LoraRank = _DEFAULTS.lora_rank,
    no_packing: opt.NoPacking = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    mini_batch_tokens: opt.MiniBatchTokens = _DEFAULTS.mini_batch_tokens,
    config: opt.Config = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the unfinished comparison at --output: do the missing and failed runs."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start a new comparison and replace the one at --output.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report of the comparison to this .html file.")
    ] = None,
    device: opt.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only compare.json on standard output.")] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Compare losses, encoders or settings with the same budget and several seeds, and recommend one variant."""
    if resume and overwrite:
        raise DataError("--resume and --overwrite exclude each other; give one")
    if sum(budget is not None for budget in (steps, minutes, epochs)) > 1:
        raise DataError("--steps, --minutes and --epochs exclude each other; give one")
    check_report(report, "--report")
    inputs = {"the input data": data, "the evaluation data": eval_data, "the model to train": model}
    inputs_and_models = {**inputs, **inputs_of_grid(grid or ())}
    check_separate({"--output": output, "--report": report}, inputs_and_models)
    if report is not None:
        check_file(report, overwrite=overwrite, argument="--report")
    with reserved_comparison(output, resume=resume, overwrite=overwrite, inputs=inputs_and_models):
        pass  # Raise its errors before the imports, which take seconds.
    opt.check_evaluation(eval_data, eval_fraction)
    check_value("--steps", steps, steps is None or steps > 0, "at least 1")
    valid = eval_fraction is None or eval_fraction > 0
    check_value("--eval-fraction", eval_fraction, valid, "above 0 for a comparison")
    settings = RunSettings(
        epochs=epochs,
        max_steps=_DEFAULTS.max_steps if steps is None else steps,
        batch_size=batch_size, samples_per_label=samples_per_label, learning_rate=learning_rate,
        warmup_ratio=warmup_ratio, seed=seed, bf16=bf16, mini_batch_tokens=mini_batch_tokens,
        max_seq_length=max_seq_length, lora=lora, lora_rank=lora_rank, label_levels=label_levels,
    )  # fmt: skip
    quiet_transformers()
    earlier = _content(output) if overwrite else None
    try:
        record = run_compare(
            data, output, grid=grid or (), seeds=seeds, minutes=minutes, settings=settings, model=model,
            eval_data=eval_data, eval_fraction=DEFAULT_EVAL_FRACTION if eval_fraction is None else eval_fraction,
            text_column=text_column, label_column=label_column, split=split, header=header,
            combined_labels=combined_labels, similar_labels=similar_labels, drop_missing=drop_missing,
            device=device, packing=not no_packing,
            trust_remote_code=trust_remote_code, resume=resume, overwrite=overwrite, report_progress=print_note,
            **reading,
        )  # fmt: skip
    except KeyboardInterrupt:
        _print_how_to_resume(output, earlier)
        raise typer.Exit(130) from None
    if as_json:
        print_result(json.dumps(record.to_dict(), indent=2))
    else:
        print_comparison(record)
    if record.recommendation is not None:
        print_note(f"model of {record.recommendation.variant} written to {output / 'model'}")
    if report is not None:
        write_report_of_comparison(report, record, overwrite=overwrite)
    options = ReadOptions.of(locals(), label_levels=separator_in_grid(grid or ()) or label_levels)
    evaluate = evaluate_command(
        output / "model", eval_data, data, options, record.settings.get("eval_split"),
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
    finish(evaluate if record.recommendation is not None else [])


def _content(output: Path) -> bytes | None:
    try:
        return (output / "compare.json").read_bytes()
    except OSError:
        return None


def _print_how_to_resume(output: Path, earlier: bytes | None) -> None:
    """Print how to resume; `earlier` is the content of the compare.json that `--overwrite` replaces, or None."""
    content = _content(output)
    if content is None:
        print_note("interrupted before the first run; no compare.json was written, so there is nothing to resume")
        return
    if content == earlier:
        print_note(
            "interrupted before the end of the first run; compare.json is still that of the earlier "
            "comparison, so start again with --overwrite"
        )
        return
    runs = [run for run in json.loads(content)["runs"] if run.get("failed") is None]
    print_note(f"interrupted; {len(runs)} run(s) are complete. Resume with:\n  {resume_command('--overwrite')}")
