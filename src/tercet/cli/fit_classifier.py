"""The command `tercet fit-classifier`."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercet._files import expand_path
from tercet._files.model_files import check_places
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.console import finish, load_model, print_note, print_result, shows_progress
from tercet.cli.next_commands import classify_command
from tercet.cli.outputs import check_outputs
from tercet.data.reading.options import ReadOptions
from tercet.encoder.names import check_model_name
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.decisions.inputs import Embedded
    from tercet.encoder.sentence_transformer import SentenceTransformer


@report_errors
@opt.file_options
def fit_classifier(
    model: opt.ModelArgument,
    data: opt.Data,
    output: Annotated[Path, typer.Option(help="The folder for the encoder with its classifier.")],
    calibration_data: Annotated[
        str | None,
        typer.Option(
            help="Labelled rows that the encoder was not trained on, to measure how sure it is: a file, or a data set "
            "on the hub. It is needed if the encoder was trained on DATA, or may have been."
        ),
    ] = None,
    unseen_rows: Annotated[
        bool,
        typer.Option(
            "--unseen-rows", help="Say that the encoder was never trained on DATA, if that cannot be known from it."
        ),
    ] = False,
    unknown_sentences: Annotated[
        str | None,
        typer.Option(help="Sentences that belong to none of the labels, to tune how such are recognised: a file."),
    ] = None,
    keep_texts: opt.KeepTexts = False,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumns = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    similar_labels: opt.SimilarLabels = None,
    drop_missing: opt.DropMissing = None,
    label_levels: Annotated[
        str | None,
        typer.Option(
            help="The separator of the levels of nested labels, such as / in billing/refund. The classifier then "
            "answers billing where it cannot answer billing/refund.",
            show_default="no levels",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of folds and samples.", min=0)] = 0,
    batch_size: opt.EncodeBatchSize = None,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model at --output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the choice and the promises as JSON.")] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Fit a classifier to labelled sentences without training the encoder, and save both.

    It takes seconds. Use it for new labels, or for any encoder that was not trained by tercet train.
    """
    sources = {
        "the encoder": model,
        "the input data": data,
        "the calibration data": calibration_data,
        "the unknown sentences": unknown_sentences,
    }
    check_outputs({}, sources, overwrite=overwrite, folder=output)
    check_places(expand_path(output), more_files=())
    check_model_name(model)
    from tercet.data.loading.labelled import load_labelled
    from tercet.data.reading.other_files import options_of_rows

    options = ReadOptions.of(locals())
    train = load_labelled(data, options)
    names = train.label_names
    if len(names) < 2:
        raise DataError(
            f"{data} has one label only ({short_repr(names[0])}); a classifier needs two labels or more, so add the "
            "rows of the other labels"
        )
    calibration_rows = None
    if calibration_data is not None:
        own = options_of_rows(options, calibration_data, data)
        calibration_rows = load_labelled(calibration_data, own, known_labels=names, known_from=data)
    unknown = None
    if unknown_sentences is not None:
        unknown = _read_sentences(unknown_sentences, options_of_rows(options, unknown_sentences, data))
    encoder = load_model(model, device=device, trust_remote_code=trust_remote_code)
    from tercet.decisions import LabelClassifier
    from tercet.decisions.summary import record_of

    classifier = LabelClassifier(
        encoder,
        unseen_rows=unseen_rows,
        keep_texts=keep_texts,
        batch_size=batch_size,
        random_state=seed,
        label_levels=options.label_levels,
    )
    embedded = _embed(train, data, encoder, batch_size, quiet=quiet)
    calibration = None
    if calibration_rows is not None:
        assert calibration_data is not None
        rows = _embed(calibration_rows, calibration_data, encoder, batch_size, quiet=True)
        calibration = rows, calibration_rows.labels()
    classifier.fit(embedded, train.labels(), calibration_data=calibration, unknown_sentences=unknown)
    classifier.save(output, overwrite=overwrite)
    record = record_of(classifier)
    if as_json:
        print_result(json.dumps(asdict(record), indent=2))
    else:
        for line in record.describe():
            print_result(line)
    print_note(f"encoder and classifier written to {output}")
    finish(classify_command(output, options, trust_remote_code=trust_remote_code))


def _embed(
    rows: "LabelledSentences", source: str, encoder: "SentenceTransformer", batch_size: int | None, *, quiet: bool
) -> "Embedded":
    """Return embedded rows with their numbers in the file, of which some may be left out. The evidence names them."""
    import torch

    from tercet.decisions import inputs

    found = inputs.embed(
        rows.sentences, source, encoder, batch_size=batch_size, show_progress_bar=shows_progress(quiet)
    )
    return replace(found, numbers=torch.from_numpy(rows.rows), num_source_rows=rows.num_source_rows)


def _read_sentences(data: str, options: ReadOptions) -> list[str]:
    """Return the sentences of a table without labels."""
    from tercet.data.cleaning.incomplete_rows import texts_of_rows
    from tercet.data.columns.guessing import find_text
    from tercet.data.columns.names import ColumnError
    from tercet.data.reading.selection import read_data

    try:
        table = read_data(data, options)
        column = find_text(table, options.text_column)
    except ColumnError:
        table = read_data(data, replace(options, text_column=None))
        column = find_text(table)
    return texts_of_rows(table, column, drop_missing=options.drop_missing)[1]
