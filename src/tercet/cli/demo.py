"""The command `tercet demo`, which trains without a download.

The data are docstrings of the installed Python. The model is installed with `tercet[demo]`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercet._files import beside, is_used
from tercet._logging import quiet_transformers
from tercet.cli import options as opt
from tercet.cli.console import (
    cell,
    finish,
    load_model,
    print_note,
    print_result,
    report_errors,
    shows_progress,
    terminal,
)
from tercet.cli.evaluations import print_evaluation
from tercet.cli.outputs import check_outputs
from tercet.cli.reports import check_report, write_report
from tercet.encoder.names import BUNDLED
from tercet.errors import DataError
from tercet.runs import RunSettings, TrainingInterrupted, checkpoint_dir, remove_checkpoints, train
from tercet.runs.output import check_checkpoints

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

_SEARCHES = (
    "send a message to a mail server",
    "run many things at the same time",
    "check that a test case fails as it should",
)
_DEFAULTS = RunSettings(eval_steps=10)


@report_errors
def demo(
    output: Annotated[Path, typer.Option(help="The folder for the model.")] = Path("tercet-demo"),
    epochs: Annotated[float | None, typer.Option(help="Passes over the data. [default: by the data]")] = None,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same run.")] = _DEFAULTS.seed,
    report: Annotated[
        Path | None, typer.Option(help="The .html file for the report. [default: OUTPUT-report.html]")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model and the report of an earlier demo.")
    ] = False,
    device: opt.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only metrics.json on standard output.")] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train on the docstrings of Python's standard library: which module does this sentence describe?"""
    report = report or beside(output, "-report.html")
    check_report(report, "--report")
    check_outputs({"--report": report}, {}, overwrite=overwrite, folder=output)
    checkpoints = checkpoint_dir(output)
    check_checkpoints(checkpoints)
    if is_used(checkpoints) and not overwrite:
        raise DataError(f"{checkpoints} has checkpoints of an earlier demo; add --overwrite to remove them")
    settings = RunSettings(epochs=epochs, seed=seed, eval_steps=_DEFAULTS.eval_steps)
    settings.check()
    from tercet.data.bundled import standard_library_docstrings
    from tercet.data.labels import LabelledSentences, label_values, number_labels
    from tercet.data.loading import as_dataset

    sentences, modules = standard_library_docstrings()
    data = as_dataset(LabelledSentences(sentences, *number_labels(modules, "the standard library")))
    print_note(f"{len(data)} docstrings of {len(set(modules))} modules of Python's standard library")
    if overwrite:
        remove_checkpoints(checkpoints)
    quiet_transformers()
    try:
        run = train(
            data, output, model=BUNDLED, settings=settings, device=device, overwrite=overwrite, keep_embeddings=True,
            show_progress_bar=shows_progress(quiet),
            extra_settings={"data": "docstrings of the standard library"},
        )  # fmt: skip
    except TrainingInterrupted:
        print_note("interrupted; the demo cannot be resumed, start it again with --overwrite")
        raise typer.Exit(130) from None
    after = ["tercet", "encode", output, "YOUR.csv", "--output", "embeddings.npy"]
    if as_json:
        print_result(json.dumps(run.record.to_dict(), indent=2))
        write_report(report, run, overwrite=overwrite)
        finish(after)
        return
    print_evaluation(run.record)
    assert run.eval_data is not None
    sentences = run.eval_data["sentence"][:]
    shown = [f"{module}: {text}" for module, text in zip(label_values(run.eval_data), sentences, strict=True)]
    before = _search(load_model(BUNDLED, device=device), sentences, shown)
    _print_searches(before, _search(run.model, sentences, shown))
    write_report(report, run, overwrite=overwrite)
    print_note(f"model written to {output}")
    finish(after)


def _search(model: "SentenceTransformer", sentences: list[str], shown: Sequence[str]) -> list[list[str]]:
    """Return the three most similar sentences for each search, in the form of `shown`."""
    nearest = model.similarity(model.encode(list(_SEARCHES)), model.encode(sentences)).topk(3).indices
    return [[shown[row] for row in rows] for rows in nearest.tolist()]


def _print_searches(before: list[list[str]], after: list[list[str]]) -> None:
    from rich.table import Table

    for search, old, new in zip(_SEARCHES, before, after, strict=True):
        table = Table(title=cell(f"Search: {search}"), title_justify="left", expand=True)
        table.add_column("before", ratio=1)
        table.add_column("after", ratio=1)
        for left, right in zip(old, new, strict=True):
            table.add_row(cell(left), cell(right))
        terminal().print(table)
