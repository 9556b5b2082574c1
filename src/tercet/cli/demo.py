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
from tercet.cli.command_errors import report_errors
from tercet.cli.console import (
    cell,
    finish,
    load_model,
    print_metrics,
    print_note,
    print_result,
    shows_progress,
    terminal,
)
from tercet.cli.evaluations import before_after_change
from tercet.cli.outputs import check_outputs
from tercet.cli.reports import check_report, write_report
from tercet.encoder.names import BUNDLED
from tercet.errors import DataError
from tercet.records import EvaluationRecord
from tercet.runs import RunSettings, TrainingInterrupted, checkpoint_dir, remove_checkpoints, train
from tercet.runs.output import check_checkpoints

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

# The verb, not the topic, says what these searches ask for.
_SEARCHES = (
    "set the size of a window",
    "take a message out of a mailbox",
    "wait until a thread has ended",
)
_METRICS = ("recall@1", "knn_accuracy", "map@r")
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
    """Train on the docstrings of Python's standard library: what does the function do?"""
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
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.labels.numbering import label_values, number_labels
    from tercet.data.loading.labelled import as_dataset

    sentences, verbs = standard_library_docstrings()
    data = as_dataset(LabelledSentences(sentences, *number_labels(verbs, "the standard library")))
    print_note(
        f"{len(data)} docstrings of functions of Python's standard library; the label of a docstring is the first word "
        f"of the function's name: {', '.join(sorted(set(verbs))[:3])} and {len(set(verbs)) - 3} others"
    )
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
    after = ["tercet", "train", "YOUR.csv", "--output", "my-model"]
    if as_json:
        print_result(json.dumps(run.record.to_dict(), indent=2))
        write_report(report, run, overwrite=overwrite)
        finish(after)
        return
    _print_gain(run.record.evaluation["against_reference"])
    if run.record.gain is not None:
        print_result(run.record.gain.sentence)
    assert run.eval_data is not None
    sentences = run.eval_data["sentence"][:]
    shown = [f"{verb}: {text}" for verb, text in zip(label_values(run.eval_data), sentences, strict=True)]
    before = _search(load_model(BUNDLED, device=device), sentences, shown)
    _print_searches(before, _search(run.model, sentences, shown))
    write_report(report, run, overwrite=overwrite)
    print_note(f"model written to {output}")
    finish(after)


def _print_gain(evaluation: EvaluationRecord) -> None:
    """Print the metrics that the demo is about, and the change of the first one in words."""
    columns = {
        name: {key: metrics[key] for key in _METRICS} for name, metrics in before_after_change(evaluation).items()
    }
    print_metrics("Before and after training", columns)
    before, after = (100 * columns[name]["recall@1"] for name in ("before", "after"))
    assert evaluation.rows is not None
    print_result(
        f"{evaluation.rows.measured} docstrings were held out. The most similar training docstring has the right label "
        f"for {before:.0f} of 100 before, and for {after:.0f} of 100 after training."
    )


def _search(model: "SentenceTransformer", sentences: list[str], shown: Sequence[str]) -> list[str]:
    """Return the most similar sentence for each search, in the form of `shown`."""
    nearest = model.similarity(model.encode(list(_SEARCHES)), model.encode(sentences)).argmax(dim=1)
    return [shown[row] for row in nearest.tolist()]


def _print_searches(before: list[str], after: list[str]) -> None:
    from rich.table import Table

    table = Table(title="The most similar held-out docstring", title_justify="left", expand=True)
    for heading in ("search", "before", "after"):
        table.add_column(heading, ratio=1)
    for row in zip(_SEARCHES, before, after, strict=True):
        table.add_row(*map(cell, row))
    terminal().print(table)
