"""`tercet compare`."""

import functools
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercet._distributed import launched_world_size
from tercet.cli import options as opt
from tercet.cli.console import check_output_folder, print_note, report_errors, resume_command
from tercet.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 120
_COLUMNS = (
    ("map@r", "MAP@R", 4), ("recall@1", "recall@1", 4), ("knn_accuracy", "kNN accuracy", 4),
    ("active_fraction", "share active", 2), ("seconds_per_step", "s a step", 3), ("peak_memory_mib", "peak MiB", 0),
)  # fmt: skip


@report_errors
def compare(
    data: opt.Data,
    output: Annotated[Path, typer.Option(help="Where to write compare.json and the best model.")],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="loss=…, margin=… or distance=…, with commas between the values; repeatable, all combinations. "
            "[default: the four batch losses]"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each variant, with one seed after another.")] = 3,
    steps: Annotated[int | None, typer.Option(help="The budget of a run, in steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="The budget of a run, in minutes of training.")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="The budget of a run, in passes over the data. [default: 1]")
    ] = None,
    model: opt.Model = opt.DEFAULT_MODEL,
    batch_size: opt.BatchSize = 64,
    samples_per_label: opt.SamplesPerLabel = 4,
    learning_rate: opt.LearningRate = 5e-5,
    warmup_ratio: opt.WarmupRatio = 0.1,
    eval_data: opt.EvalData = None,
    eval_fraction: opt.EvalFraction = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumn = None,
    split: opt.Split = "train",
    seed: Annotated[int, typer.Option(help="The first seed; what is held out follows from it too.")] = 0,
    bf16: opt.Bf16 = False,
    no_packing: opt.NoPacking = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    mini_batch_tokens: opt.MiniBatchTokens = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the runs that are missing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew in place of what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json alone on standard output.")] = False,
) -> None:
    """Compare losses, margins and distances under one budget, with several seeds; say which to take, and why."""
    if launched_world_size() > 1:
        raise DataError("a comparison starts processes of its own; start it without torchrun")
    if resume and overwrite:
        raise DataError("--resume and --overwrite exclude each other; give one")
    if sum(budget is not None for budget in (steps, minutes, epochs)) > 1:
        raise DataError("--steps, --minutes and --epochs exclude each other; give one")
    begun = os.path.exists(output / "compare.json")  # which is False, and no error, for a name that is too long
    check_output_folder(output, overwrite=overwrite or resume or begun, replaced=False)
    opt.check_evaluation(eval_data, eval_fraction)
    opt.check_training(learning_rate, warmup_ratio, seed, eval_fraction, mini_batch_tokens)
    opt.check_numbers(
        ("--seeds", seeds, seeds > 0, "at least 1"),
        ("--seeds", seeds, seeds <= 2**32 - seed, f"at most {2**32 - seed} with --seed {seed}"),
        ("--steps", steps, steps is None or steps > 0, "at least 1"),
        ("--minutes", minutes, minutes is None or 0 < minutes < math.inf, "above 0"),
        ("--epochs", epochs, epochs is None or 0 < epochs < math.inf, "above 0"),
        ("--eval-fraction", eval_fraction, eval_fraction is None or eval_fraction > 0, "above 0 for a comparison"),
    )
    opt.check_batch(batch_size, samples_per_label)
    from tercet.data.loading import Columns, load_training_data

    fraction = opt.EVAL_FRACTION if eval_fraction is None else eval_fraction
    train, held_out = load_training_data(data, eval_data, fraction, Columns(text_column, label_column, split), seed)
    if held_out is None:
        raise DataError("nothing is held out, so nothing can be compared; give --eval-data, or more data")
    from tercet.comparison import compare as comparison  # slow, so after the data were checked
    from tercet.comparison.plan import variants_of
    from tercet.encoder.loading import load_model
    from tercet.runs.settings import RunSettings

    settings = RunSettings(
        epochs=epochs or 1.0, max_steps=steps or -1, batch_size=batch_size, samples_per_label=samples_per_label,
        learning_rate=learning_rate, warmup_ratio=warmup_ratio, bf16=bf16, mini_batch_tokens=mini_batch_tokens,
    )  # fmt: skip
    facts = {
        "model": model, "data": data, "eval_data": eval_data, "eval_fraction": None if eval_data else fraction,
        "packing": not no_packing,
    }  # fmt: skip
    plan = comparison.Plan(variants_of(grid or ()), tuple(range(seed, seed + seeds)), settings, minutes)
    load = functools.partial(load_model, model, trust_remote_code=trust_remote_code, packing=not no_packing)
    try:
        results = comparison.compare(
            load, train, held_out, output, plan, facts=facts, resume=resume, overwrite=overwrite, tell=print_note
        )
    except KeyboardInterrupt:
        _say_how_to_resume(output)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(results, indent=2))
        return
    print_comparison(results)
    print_note(f"model of {results['recommendation']['variant']} written to {output / 'model'}")


def print_comparison(results: dict[str, Any]) -> None:
    """A line for each variant, mean ± standard deviation over its seeds; what failed; what to take."""
    from rich.console import Console

    console = Console()
    # A table that is wider than the window loses columns; two do not.
    parts = [_COLUMNS] if console.width >= _WIDE else [_COLUMNS[:3], _COLUMNS[3:]]
    for part in parts:
        console.print(_table(results, part))
    for line in results["summary"]:
        for seed, reason in line["failed"].items():
            console.print(f"{line['variant']}, seed {seed} failed: {reason}", highlight=False, markup=False)
    recommendation = results["recommendation"]
    console.print(f"Take {recommendation['variant']}: {recommendation['because']}", highlight=False, markup=False)


def _table(results: dict[str, Any], columns: tuple[tuple[str, str, int], ...]) -> "Table":
    from rich import box
    from rich.table import Table

    held_out = results["data"]["held_out"]["sentences"]
    table = Table(
        title=f"{held_out} sentences held out, mean ± spread over seeds", title_justify="left",
        box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False,
    )  # fmt: skip
    table.add_column("variant", min_width=22)
    for _, title, _ in columns:
        table.add_column(title, justify="right")
    before = next(run["before"] for run in results["runs"] if not run.get("failed"))
    table.add_row(
        "before training", *(f"{before[name]:.{digits}f}" if name in before else "–" for name, _, digits in columns)
    )
    for line in results["summary"]:
        if line["seeds"]:
            table.add_row(line["variant"], *(_cell(line[name], digits) for name, _, digits in columns))
        for seed in line["failed"]:
            table.add_row(f"{line['variant']}, seed {seed}", "failed", *("–" for _ in columns[1:]))
    return table


def _cell(figure: dict[str, float | None], digits: int) -> str:
    mean, spread = figure["mean"], figure["spread"]
    if mean is None:
        return "–"
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def _say_how_to_resume(output: Path) -> None:
    path = output / "compare.json"
    if not path.exists():
        print_note("tercet: interrupted before the first run; nothing was written")
        return
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    print_note(f"tercet: interrupted; {len(runs)} run(s) are done. Go on with:\n  {resume_command('--overwrite')}")
