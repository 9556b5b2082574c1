"""The command `tercet evaluate`."""

import json
from typing import Annotated

import typer

from tercet._logging import quiet_transformers
from tercet.cli import options as opt
from tercet.cli.console import (
    finish,
    print_result,
    report_errors,
    shows_progress,
)
from tercet.cli.evaluations import print_result_of_evaluation
from tercet.runs import evaluate as evaluate_model


@report_errors
def evaluate(
    model: opt.ModelArgument,
    data: opt.Data,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Labelled data to search in for each sentence of DATA, such as the training data. On the hub, the "
            "split train is read. "
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
    distance: opt.Distance = "cosine",
    batch_size: opt.EncodeBatchSize = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumn = None,
    split: opt.Split = "test",
    reference_text_column: Annotated[
        str | None, typer.Option(help="The column of sentences of --reference. [default: that of DATA]")
    ] = None,
    reference_label_column: Annotated[
        str | None, typer.Option(help="The column of labels of --reference. [default: that of DATA]")
    ] = None,
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    similar_labels: opt.SimilarLabels = None,
    drop_missing: opt.DropMissing = False,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the protocol, the metrics, the classifiers and the number of rows as JSON."),
    ] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure how well the embeddings of a model separate labels.

    Metrics: {metrics}.
    """
    quiet_transformers()
    result = evaluate_model(
        model, data, reference=reference, baseline=baseline, distance=distance, batch_size=batch_size,
        text_column=text_column, label_column=label_column, split=split, reference_text_column=reference_text_column,
        reference_label_column=reference_label_column, header=header,
        combined_labels=combined_labels, similar_labels=similar_labels, drop_missing=drop_missing,
        device=device, trust_remote_code=trust_remote_code,
        show_progress_bar=shows_progress(quiet),
    )  # fmt: skip
    if as_json:
        print_result(json.dumps(result.to_dict(), indent=2))
    else:
        print_result_of_evaluation(result, data, reference, model)
    finish(["tercet", "encode", model, data, "--output", "embeddings.npy"])
