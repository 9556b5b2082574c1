"""`tercet inspect`."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercet._files import atomic_file
from tercet.cli import options as opt
from tercet.cli.console import check_output_file, load_model, print_note, report_errors
from tercet.cli.reports import check_report
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.inspection.inspection import Inspection

SUSPECT_COLUMNS = ("row", "text", "label", "suggested_label", "score")


@report_errors
def inspect(
    data: opt.Data,
    model: Annotated[
        str | None, typer.Option(help=f"{opt.MODEL_HELP} Without one, only texts and labels are looked at.")
    ] = None,
    suspects: Annotated[
        Path | None, typer.Option(help="Write the sentences with a disputed label to this .csv file, ranked.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the tables, to 200 rows each, with figures to this .html file.")
    ] = None,
    batch_size: opt.BatchSize = 64,
    samples_per_label: opt.SamplesPerLabel = 4,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumn = None,
    split: opt.Split = "train",
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 0,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files at --suspects and --output.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON alone on standard output.")] = False,
) -> None:
    """Tell whether labelled data are fit to train on: sizes, copies, doubtful labels, what batches would hold."""
    opt.check_batch(batch_size, samples_per_label)
    opt.check_numbers(("--seed", seed, 0 <= seed < 2**32, "from 0 to 4294967295"))
    if model == "":
        raise DataError("--model is empty; name a model, or leave the option out")
    check_report(output, "--output", overwrite=overwrite)
    if suspects is not None:
        _check_suspects(suspects, data, model, overwrite=overwrite)
    from tercet.data.loading import Columns, load_labelled

    labelled = load_labelled(data, Columns(text_column, label_column, split), empty_texts=True)
    from tercet.inspection.inspection import inspect_data  # slow, so after the data were read

    inspection = inspect_data(
        labelled,
        None if model is None else load_model(model, trust_remote_code=trust_remote_code),
        source=data,
        model_name=model or "",
        batch_size=batch_size,
        samples_per_label=samples_per_label,
        seed=seed,
        show_progress_bar=True,
    )
    # In this order, so that a file that cannot be written costs nothing that was found, and a closed pipe no file.
    try:
        _print(inspection, as_json=as_json)
    finally:
        _write(inspection, suspects, output)


def _print(inspection: "Inspection", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(inspection.to_dict(), indent=2, allow_nan=False))
        return
    from tercet.cli.inspect_tables import print_inspection

    print_inspection(inspection)


def _write(inspection: "Inspection", suspects: Path | None, output: Path | None) -> None:
    if suspects is not None:
        with atomic_file(suspects) as partial:
            number = _write_suspects(partial, inspection)
        print_note(f"{number} sentences with a disputed label written to {suspects}")
    if output is not None:
        from tercet.report.inspection_report import write_inspection_report

        with atomic_file(output) as partial:
            write_inspection_report(partial, inspection)
        print_note(f"report written to {output}")


def _check_suspects(path: Path, data: str, model: str | None, *, overwrite: bool) -> None:
    if model is None:
        raise DataError("--suspects needs --model: labels are disputed by sentences that a model finds similar")
    if path.suffix != ".csv":
        raise DataError(f"--suspects must end in .csv, got {str(path)!r}")
    check_output_file(path, data, overwrite=overwrite, option="--suspects")


def _write_suspects(path: Path, inspection: "Inspection") -> int:
    rows = inspection.with_model.suspects if inspection.with_model else []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SUSPECT_COLUMNS)
        writer.writerows((s.row, s.text, s.label, s.suggested_label, f"{s.score:.4f}") for s in rows)
    return len(rows)
