"""`tercet demo`: the main job on data and a model that need no download."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercet.cli.console import (
    BUNDLED,
    before_after_change,
    check_output_folder,
    load_model,
    print_metrics,
    print_note,
    report_errors,
)
from tercet.cli.reports import check_report, write_report

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

_SEARCHES = (
    "send a message to a mail server",
    "run many things at the same time",
    "check that a test case fails as it should",
)


@report_errors
def demo(
    output: Annotated[Path, typer.Option(help="Where to write the model.")] = Path("tercet-demo"),
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Where to write the report. [default: OUTPUT-report.html]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model of an earlier demo.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json alone on standard output.")] = False,
) -> None:
    """Train on the docstrings of Python's standard library: which module does this sentence describe?"""
    check_output_folder(output, overwrite=overwrite)
    report = report or output.with_name(f"{output.name}-report.html")
    check_report(report, "--report", overwrite=overwrite)
    from tercet.data.bundled import standard_library_docstrings
    from tercet.data.columns import LabelledSentences, number_labels
    from tercet.data.loading import as_dataset
    from tercet.data.splits import split_held_out
    from tercet.runs.run import TrainingInterrupted, checkpoint_dir, run_training
    from tercet.runs.settings import RunSettings

    sentences, modules = standard_library_docstrings()
    data = LabelledSentences(sentences, *number_labels(modules, "the standard library"))
    print_note(f"{len(data)} docstrings of {len(set(modules))} modules of Python's standard library")
    train, held_out = split_held_out(data, 0.2, seed)
    model = load_model(BUNDLED)
    before = _search(model, held_out)
    if overwrite:
        shutil.rmtree(checkpoint_dir(output), ignore_errors=True)
    try:
        run = run_training(
            model, as_dataset(train), as_dataset(held_out), output,
            RunSettings(epochs=epochs, seed=seed, eval_steps=10),
            facts={"model": BUNDLED, "data": "docstrings of the standard library", "eval_fraction": 0.2},
            keep_embeddings=True,
        )  # fmt: skip
    except TrainingInterrupted:
        print_note("tercet: interrupted; run the demo again")
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(run.metrics, indent=2))
        write_report(report, run, as_dataset(held_out))
        return
    print_metrics("Sentences held out, before and after", before_after_change(run.metrics))
    _print_searches(before, _search(model, held_out))
    write_report(report, run, as_dataset(held_out))
    print_note(f"model written to {output}; try: tercet encode {output} YOUR.csv --output embeddings.npy")


def _search(model: "SentenceTransformer", data: Any) -> list[list[str]]:
    """For each search the three nearest sentences, with their modules."""
    found = model.similarity(model.encode(list(_SEARCHES)), model.encode(data.sentences)).topk(3).indices
    labels = data.labels()
    return [[f"{labels[row]}: {data.sentences[row]}" for row in rows] for rows in found.tolist()]


def _print_searches(before: list[list[str]], after: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    for search, old, new in zip(_SEARCHES, before, after, strict=True):
        table = Table(title=f"Search: {search}", title_justify="left", expand=True)
        table.add_column("before", ratio=1)
        table.add_column("after", ratio=1)
        for left, right in zip(old, new, strict=True):
            table.add_row(Text(left), Text(right))
        Console().print(table)
