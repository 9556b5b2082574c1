"""The command `tercet evaluate`."""

import json
from typing import Annotated

import typer

from tercet.cli import options as opt
from tercet.cli.console import load_model, print_metrics, report_errors


@report_errors
def evaluate(
    model: opt.ModelArgument,
    data: opt.Data,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Labelled data to search in for each sentence of DATA, for example the training data. "
            "[default: the other sentences of DATA]"
        ),
    ] = None,
    distance: opt.Distance = "cosine",
    batch_size: opt.EncodeBatchSize = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumn = None,
    split: opt.Split = "test",
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure how well the embeddings of a model separate labels.

    Metrics: {metrics}.
    """
    from tercet.data.loading import Columns, load_labelled

    queries = load_labelled(data, Columns(text_column, label_column, split))
    gallery = load_labelled(reference, Columns(text_column, label_column)) if reference else None
    from tercet.evaluation import LabelEvaluator  # imports torch, so import it only after the data are checked

    evaluator = LabelEvaluator(
        queries.sentences,
        queries.labels(),
        gallery.sentences if gallery else None,
        gallery.labels() if gallery else None,
        distance=distance,
        batch_size=batch_size,
        show_progress_bar=not quiet,
    )
    metrics = evaluator(load_model(model, device=device, trust_remote_code=trust_remote_code))
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
    else:
        print_metrics(f"{len(queries)} sentences", {model: metrics})
