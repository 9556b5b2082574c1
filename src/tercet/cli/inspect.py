"""The command `tercet inspect`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercet._files import atomic_file
from tercet.catalogue import DEFAULT_MARGIN
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.console import finish, load_model, print_note, print_result, shows_progress
from tercet.cli.flags import flag_of
from tercet.cli.label_issues import check_label_issues, write_label_issues
from tercet.cli.next_commands import option_words, trust_words
from tercet.cli.outputs import check_outputs
from tercet.cli.reports import check_report
from tercet.data.cleaning.combined_labels import multi_label_for
from tercet.data.reading.options import ReadOptions
from tercet.encoder.names import BUNDLED, check_model_name
from tercet.runs.settings import RunSettings

if TYPE_CHECKING:
    from tercet.inspection.results import Inspection

_DEFAULTS = RunSettings()
_USUAL = {"margin": DEFAULT_MARGIN, "samples_per_label": _DEFAULTS.samples_per_label}


@report_errors
@opt.file_options
def inspect(
    data: opt.Data,
    model: Annotated[
        str | None, typer.Option(help=f"{opt.MODEL_HELP} Without --model, only texts and labels are counted.")
    ] = None,
    label_issues: Annotated[
        Path | None,
        typer.Option(
            help="Write the sentences whose label is probably wrong to this .csv file, largest log-odds first; with "
            "several labels, those that a sentence probably lacks. Needs --model."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the tables, up to 200 rows each, and plots to this .html file.")
    ] = None,
    no_texts: opt.NoTexts = False,
    batch_size: opt.BatchSize = _DEFAULTS.batch_size,
    samples_per_label: opt.SamplesPerLabel = _DEFAULTS.samples_per_label,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumns = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    similar_labels: opt.SimilarLabels = None,
    drop_missing: opt.DropMissing = None,
    label_levels: opt.LabelLevels = None,
    multi_label: opt.MultiLabel = None,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same result.")] = 0,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files at --label-issues and --output.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the complete result as JSON.")] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Check labelled data before training: label sizes, empty texts, duplicates, texts under several labels.

    With --model, also find label issues, count active triplets, and suggest settings for training.
    """
    RunSettings(batch_size=batch_size, samples_per_label=samples_per_label, seed=seed).check()
    check_report(output, "--output", no_texts=no_texts)
    check_label_issues(label_issues, model)
    check_outputs(
        {"--output": output, "--label-issues": label_issues},
        {"the input data": data, "the model": model, "the file of labels": reading["label_file"]},
        overwrite=overwrite,
    )
    if model is not None:
        check_model_name(model)
    from tercet.data.loading.labelled import load_labelled
    from tercet.data.reading.selection import read_data

    options = ReadOptions.of(locals())
    table = read_data(data, options)
    labelled = load_labelled(table, options, incomplete=True, several_labels=True)
    # This import takes seconds. Import it here, so that invalid data are reported before.
    from tercet.inspection.inspection import inspect as inspect_data

    inspection = inspect_data(
        labelled,
        None if model is None else load_model(model, device=device, trust_remote_code=trust_remote_code),
        source=data,
        model_name=model,
        label_levels=options.label_levels,
        batch_size=batch_size,
        samples_per_label=samples_per_label,
        seed=seed,
        show_progress_bar=shows_progress(quiet),
    )
    # Print first, so that the result is not lost if a file cannot be written. Write the files even if printing fails.
    try:
        _print(inspection, as_json=as_json)
    finally:
        try:
            if label_issues is not None:
                write_label_issues(label_issues, inspection, labelled, table, options.label_levels, overwrite=overwrite)
        finally:
            _write(inspection, output, texts=not no_texts, overwrite=overwrite)
    of_model = [] if model is None else ["--model", model, *trust_words(trust_remote_code)]
    settings = {"batch_size": batch_size, "samples_per_label": samples_per_label}
    finish(_next_command(inspection, data, options, model=of_model, settings=settings, issues_file=label_issues))


def _next_command(
    inspection: "Inspection",
    data: str,
    options: ReadOptions,
    *,
    model: list[str],
    settings: dict[str, int],
    issues_file: Path | None = None,
) -> list[object]:
    """Return the command to run after an inspection; an empty one if the data should not be used for training yet.

    Args:
        inspection: the inspection.
        data: the data.
        options: how they were read.
        model: the options that name the model; empty without one.
        settings: the size of a batch and the number of samples per label, as the user passed them.
        issues_file: the file to which this inspection wrote the label issues.
    """
    columns, separator = option_words(options), inspection.texts.combined_separator
    given = {name: value for name, value in settings.items() if value != getattr(_DEFAULTS, name)}
    if separator is not None and options.combined_labels is None:  # Training would refuse these rows.
        again = ["--multi-label", multi_label_for(separator)]
        return ["tercet", "inspect", data, *columns, *again, *model, *_words(given)]
    if inspection.obstacle is not None:
        return []
    if not model:
        return ["tercet", "inspect", data, *columns, "--model", BUNDLED, *_words(given)]
    findings = inspection.with_model
    if findings is not None and findings.labels_look_wrong:  # Look at them before a training.
        if issues_file is not None:
            return ["tercet", "fix", data, issues_file, *columns, "--output", "fixed.csv"]
        return ["tercet", "inspect", data, *columns, *model, *_words(given), "--label-issues", "label-issues.csv"]
    suggestions = findings.suggestions if findings is not None else []
    suggested = {found.setting: found.value for found in suggestions}
    # Training chooses this distance by itself. It may raise the default margin, but never one that is given.
    usual = {"distance", *(name for name, value in _USUAL.items() if suggested.get(name) == value)}
    chosen = {**given, **{name: value for name, value in suggested.items() if name not in usual}}
    return ["tercet", "train", data, *columns, *model, *_words(chosen), "--output", "my-model"]


def _words(settings: Mapping[str, object]) -> list[str]:
    """Return settings by name as options of a command. The values of a list are separated by commas."""
    texts = {
        name: ",".join(map(str, value if isinstance(value, list) else [value])) for name, value in settings.items()
    }
    return [word for name, text in texts.items() for word in (flag_of(name), text)]


def _print(inspection: "Inspection", *, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps(inspection.to_dict(), indent=2, allow_nan=False))
        return
    from tercet.cli.inspect_tables import print_inspection

    print_inspection(inspection)


def _write(inspection: "Inspection", output: Path | None, *, texts: bool, overwrite: bool) -> None:
    if output is not None:
        from tercet.report.inspection_report import write_inspection_report

        with atomic_file(output, overwrite=overwrite) as partial:
            write_inspection_report(partial, inspection, texts=texts)
        print_note(f"report written to {output}")
