"""The command `tercet classify`."""

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercet._files import expand_path
from tercet._files.model_files import CLASSIFIER_FILE, CLASSIFIER_WEIGHTS
from tercet.cli import options as opt
from tercet.cli.choices import novelty_of
from tercet.cli.classify_checks import (
    DEFAULT_FORMAT,
    check_folder,
    check_names,
    check_names_of_files,
    check_top,
    suffix_of,
)
from tercet.cli.classify_output import AnswerWriter, destination, print_column_of_labels, print_compared_column
from tercet.cli.classify_summary import Summary
from tercet.cli.command_errors import report_errors
from tercet.cli.console import finish, load_model, print_note, print_result
from tercet.cli.input_files import check_options, choose_columns, find_files
from tercet.cli.many_files import check_output_folder, model_settings, write_each
from tercet.cli.outputs import check_outputs
from tercet.cli.streams import DataOutput
from tercet.cli.table_input import TableInput, open_input, read_table_input
from tercet.data.reading.options import ReadOptions
from tercet.decisions.limit_values import check_limits
from tercet.errors import DataError, counted

if TYPE_CHECKING:
    from tercet.decisions import LabelClassifier
    from tercet.encoder.sentence_transformer import SentenceTransformer

# The number of likeliest labels that `--explain` adds: the likeliest label and the runner-up.
_TOP_OF_EXPLAIN = 2


@report_errors
@opt.file_options
def classify(
    model: Annotated[str, typer.Argument(help="The folder of a model with a classifier.")],
    data: Annotated[
        str,
        typer.Argument(
            help="A file ({suffixes}), also compressed (.gz, .zst, .zip); a folder; the name of a data set on the hub; "
            "or - for standard input, one sentence per line."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help=f"The file to write: .csv, .tsv, .jsonl or .parquet. {opt.FOLDER_OUTPUT_HELP} [default: standard "
            "output, in the format of --format]"
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="The format of standard output: csv, tsv, jsonl or ndjson.",
            metavar="NAME",
            show_default=DEFAULT_FORMAT,
        ),
    ] = None,
    min_precision: Annotated[
        float | None,
        typer.Option(
            help="Answer as many sentences as possible so that this fraction of the answers is right, such as 0.98; "
            "reject the other sentences.",
            show_default="answer all",
        ),
    ] = None,
    per_label: Annotated[
        bool,
        typer.Option(
            "--per-label", help="With --min-precision, choose a threshold for each label that has enough sentences."
        ),
    ] = False,
    coverage: Annotated[
        float | None, typer.Option(help="Answer this fraction of the sentences, the surest ones, such as 0.9.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Answer sentences with at least this confidence, such as 0.7.")
    ] = None,
    max_novelty: Annotated[
        float | None,
        typer.Option(
            help="Also reject sentences with a higher novelty, such as 0.99; auto is the limit that was tuned to "
            "unknown sentences, or 0.9.",
            show_default="no limit",
            parser=novelty_of,
            metavar="NUMBER|auto",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(help="Add the likeliest labels, at most this number, and their confidence.", min=0)
    ] = 0,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Add the reason of a rejection, the two likeliest labels and the 3 nearest training rows."
        ),
    ] = False,
    text_column: opt.TextColumn = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="A column of given labels to compare with. [default: label, or a usual name with known labels]"
        ),
    ] = None,
    split: opt.SplitOfFiles = None,
    header: opt.Header = None,
    drop_missing: Annotated[
        bool | None,
        typer.Option(
            "--drop-missing/--strict",
            help="Leave out rows without a text, or end with an error. [default: leave out with a warning]",
        ),
    ] = None,
    batch_size: opt.EncodeBatchSize = None,
    bf16: opt.EncodeBf16 = False,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: opt.OverwriteFile = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the counts of rows as JSON on standard output; it needs --output.")
    ] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Give each sentence a label, or none: add the columns label, confidence and novelty to the input.

    The label is missing where the sentence is rejected ("none of these"). Novelty is from 0 to 1, for a sentence that
    is unlike all training sentences. If the input has labels, the answers are in predicted_label and are compared.
    """
    files = find_files(data, output, split if reading["split_column"] is None else None)
    suffix = ".parquet" if files is not None else suffix_of(output, output_format)
    if as_json and output is None:
        raise DataError("--json needs --output, since standard output has the answers")
    if output_format is not None and output is not None:
        raise DataError("--format is for standard output; leave it out, since the extension of --output is the format")
    limits: dict[str, Any] = {
        "min_precision": min_precision, "coverage": coverage, "threshold": threshold, "max_novelty": max_novelty,
    }  # fmt: skip
    if per_label:
        limits["per_label"] = True
    check_limits(**limits)
    if files is None:
        check_outputs({"--output": output}, {"the input data": data, "the model": model}, overwrite=overwrite)
    else:
        assert output is not None
        check_output_folder(files, output, overwrite=overwrite)
    check_folder(model)
    options = ReadOptions.of(locals(), split=split or ReadOptions.split)
    check_top(model, top)
    top = max(top, _TOP_OF_EXPLAIN) if explain else top
    if files is None:
        rows = open_input(data, options, suffix)
        check_names(rows.names, rows.label_column, rows.source, top, explain=explain)
    else:
        check_options(options)
        options = choose_columns(files, options, with_labels=True)
        check_names_of_files(files, options, top, explain=explain)
    from tercet.decisions.storage import attach_encoder

    classifier = _read_classifier(model)
    promise = _promise(classifier, limits)
    encoder = load_model(model, device=device, trust_remote_code=trust_remote_code, bf16=bf16)
    attach_encoder(classifier, Path(model), encoder)
    classifier.batch_size = batch_size
    summary = Summary(
        known=frozenset(map(str, classifier.classes_.tolist())),
        calibration_rows=classifier.num_calibration_rows_ if classifier.calibrated_ else 0,
        is_limited=promise is not None and promise["max_novelty"] is not None,
        separator=classifier.label_levels,
    )
    writer = AnswerWriter(classifier, summary, limits, suffix=suffix, top=top, explain=explain)

    if files is not None:
        assert output is not None
        settings = {"bf16": bf16, "top": top, "explain": explain, **limits}
        _classify_each(files, output, encoder, model, options, writer, settings)
    else:
        with destination(output, overwrite=overwrite) as file:
            writer.write(rows, file, quiet=quiet)
            if isinstance(file, DataOutput) and file.is_closed:
                return
    summary.warn_of_unfamiliar()
    summary.warn_of_other_forms()
    print_compared_column(rows.label_column if files is None else options.label_name, label_column, summary)
    if files is None:
        print_column_of_labels(rows, summary.known)
    summary.warn_of_copies()
    if as_json:
        print_result(json.dumps({**summary.to_dict(), "promise": promise}, indent=2))
    else:
        for line in summary.describe():
            print_note(line) if output is None else print_result(line)
    if output is not None and files is None:
        print_note(f"{counted(summary.rows, 'row')} written to {output}")
    finish()


def _classify_each(
    files: Collection[Path],
    output: Path,
    encoder: "SentenceTransformer",
    model: str,
    options: ReadOptions,
    writer: AnswerWriter,
    settings: dict[str, Any],
) -> None:
    """Classify the rows of many files, and write a file for each.

    Args:
        files: the files to read.
        output: the folder of the files to write.
        encoder: the encoder of the classifier.
        model: the folder of both.
        options: how to read the files.
        writer: classifies and writes the rows of a file.
        settings: other settings that the files to write depend on.
    """

    def read(file: Path) -> TableInput:
        return read_table_input(str(file), options, ".parquet")

    def write(table: TableInput, target: Path) -> None:
        with target.open("wb") as file:
            writer.write(table, file, quiet=True)

    folder = expand_path(model)
    content = model_settings(encoder, folder / CLASSIFIER_FILE, folder / CLASSIFIER_WEIGHTS)
    write_each(files, output, {"command": "classify", **content, **settings, **asdict(options)}, read, write)


def _read_classifier(model: str) -> "LabelClassifier":
    """Return the classifier without its encoder. Raise `ModelError` if its files are damaged."""
    from tercet.decisions import LabelClassifier
    from tercet.decisions.storage import read

    return read(LabelClassifier, Path(model))


def _promise(classifier: "LabelClassifier", limits: dict[str, Any]) -> dict[str, Any] | None:
    """Print what the limits promise, and return it as JSON values; None without a limit.

    Raises:
        DataError: a limit is invalid, or no threshold reaches the precision.
    """
    if all(value is None for value in limits.values()):
        return None

    promise = classifier.promise(**limits)
    if promise.min_precision is not None and promise.answered == 0:
        raise DataError(f"{promise.describe()}; pass a lower --min-precision, or fit with more calibration rows")
    print_note(promise.describe())
    return promise.to_dict()
