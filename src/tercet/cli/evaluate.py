"""The command `tercet evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tercet._events import WarningKind
from tercet._files import expand_path
from tercet._files.model_files import has_classifier
from tercet._logging import quiet_transformers
from tercet.cli import options as opt
from tercet.cli.choices import novelty_of
from tercet.cli.command_errors import report_errors
from tercet.cli.console import (
    finish,
    print_result,
    shows_progress,
)
from tercet.cli.evaluations import print_result_of_evaluation
from tercet.cli.next_commands import encode_command, fit_classifier_command
from tercet.cli.outputs import check_outputs
from tercet.cli.reports import check_report, write_report_of_evaluation
from tercet.data.reading.options import ReadOptions
from tercet.records import TrainingGain
from tercet.runs import evaluate as evaluate_model
from tercet.runs.results import EvaluationResult


@report_errors
@opt.file_options
def evaluate(
    model: opt.ModelArgument,
    data: opt.Data,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Labelled data to search in for each sentence of DATA, such as the training data. "
            "[default: the other sentences of DATA]"
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="The untouched encoder that MODEL was trained from: a folder or a name on the hub. It is measured "
            "too, to say whether training was worth it. It needs --reference."
        ),
    ] = None,
    min_precision: Annotated[
        float | None,
        typer.Option(
            help="Judge the classifier of MODEL too, with this promised precision of its answers, such as 0.98. "
            "[default: with --report 0.95, or the highest that can be promised]"
        ),
    ] = None,
    max_novelty: Annotated[
        float | None,
        typer.Option(
            help="Judge the classifier of MODEL too, and count sentences with a higher novelty as rejected, such as "
            "0.99; auto is the limit that was tuned to unknown sentences, or 0.9.",
            show_default="no limit",
            parser=novelty_of,
            metavar="NUMBER|auto",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write an HTML report to this .html file, also of the decisions of MODEL's classifier."),
    ] = None,
    no_texts: opt.NoTexts = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --report.")] = False,
    distance: opt.Distance = "cosine",
    batch_size: opt.EncodeBatchSize = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumns = None,
    split: opt.Split = "test",
    reference_text_column: Annotated[
        str | None, typer.Option(help="The column of sentences of --reference. [default: that of DATA]")
    ] = None,
    reference_label_column: Annotated[
        list[str] | None, typer.Option(help="The column of labels of --reference, or several. [default: that of DATA]")
    ] = None,
    reference_split: Annotated[str, typer.Option(help="The split of --reference.")] = "train",
    reference_split_column: Annotated[
        str | None,
        typer.Option(help="The column of --reference with the name of each row's split. [default: --split-column]"),
    ] = None,
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    similar_labels: opt.SimilarLabels = None,
    drop_missing: opt.DropMissing = None,
    label_levels: opt.LabelLevels = None,
    multi_label: opt.MultiLabel = None,
    bf16: opt.EncodeBf16 = False,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the protocol, the metrics, the classifiers and the number of rows as JSON."),
    ] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Measure how well the embeddings of a model separate labels, and how right the decisions of its classifier are.

    Metrics: {metrics}.
    """
    check_report(report, "--report", no_texts=no_texts)
    inputs = {
        "the evaluation data": data,
        "the reference data": reference,
        "the model": model,
        "the baseline": baseline,
    }
    check_outputs({"--report": report}, inputs, overwrite=overwrite)
    limited = min_precision is not None or max_novelty is not None  # Then the decisions are asked for.
    if_possible = report is not None and not limited and has_classifier(expand_path(model))
    decisions: Any = "if possible" if if_possible else limited
    quiet_transformers()
    result = evaluate_model(
        model, data, reference=reference, baseline=baseline, decisions=decisions,
        min_precision=min_precision, max_novelty=max_novelty, distance=distance, batch_size=batch_size,
        text_column=text_column, label_column=label_column, split=split, reference_text_column=reference_text_column,
        reference_label_column=reference_label_column, reference_split=reference_split,
        reference_split_column=reference_split_column, header=header,
        combined_labels=combined_labels, similar_labels=similar_labels, drop_missing=drop_missing,
        label_levels=label_levels, multi_label=multi_label, bf16=bf16, device=device,
        trust_remote_code=trust_remote_code, show_progress_bar=shows_progress(quiet), **reading,
    )  # fmt: skip
    if as_json:
        print_result(json.dumps(result.to_dict(), indent=2))
    else:
        print_result_of_evaluation(result, data, reference, model)
    if report is not None:
        write_report_of_evaluation(
            report, result, model=model, data=data, reference=reference, texts=not no_texts, overwrite=overwrite
        )
    finish(*_next_commands(result, locals()))


def _next_commands(result: EvaluationResult, given: dict[str, Any]) -> list[list[object]]:
    """Return the commands to run after an evaluation, of which `given` are the arguments."""
    from tercet.data.reading.other_files import options_of_reference  # imports NumPy

    model, data, reference, trust = (given[name] for name in ("model", "data", "reference", "trust_remote_code"))
    options = ReadOptions.of(given, label_file=None)
    incomplete = any(warning["kind"] == WarningKind.CHANGED_DATA.value for warning in result.warnings)
    commands = [encode_command(model, data, options, incomplete=incomplete, trust_remote_code=trust)]
    if isinstance(result.gain, TrainingGain) and result.gain.prefers_untouched:
        names = ("split", "text_column", "label_column", "split_column")
        own = options_of_reference(options, reference, data, **{name: given[f"reference_{name}"] for name in names})
        commands.append(fit_classifier_command(given["baseline"], reference, own, Path(model), trust_remote_code=trust))
    return commands
