"""`tercet evaluate`."""

import json
from typing import Annotated

import typer

from tercet.cli import options as opt
from tercet.cli.console import MODEL_HELP, load_model, one_line_errors, print_metrics
from tercet.cli.options import DistanceName


@one_line_errors
def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    data: opt.Data,
    reference: Annotated[
        str | None, typer.Option(help="Rank these sentences (the training data, say); else each ranks the others.")
    ] = None,
    distance: Annotated[DistanceName, typer.Option(help="The distance to rank by.")] = DistanceName.COSINE,
    batch_size: Annotated[
        int | None, typer.Option(help="The most sentences to embed at a time. [default: by their length]")
    ] = None,
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumn = None,
    split: opt.Split = "test",
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Measure how well a model keeps labels together: recall@k, MAP@R, R-precision, kNN accuracy."""
    from tercet.data.loading import Columns, load_labelled

    queries = load_labelled(data, Columns(text_column, label_column, split))
    gallery = load_labelled(reference, Columns(text_column, label_column)) if reference else None
    from tercet.evaluation import LabelEvaluator  # slow, so after the data were read

    evaluator = LabelEvaluator(
        queries.sentences,
        queries.labels(),
        gallery.sentences if gallery else None,
        gallery.labels() if gallery else None,
        distance=distance.value,
        batch_size=batch_size,
        show_progress_bar=True,
    )
    metrics = evaluator(load_model(model, trust_remote_code=trust_remote_code))
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
    else:
        print_metrics(f"{len(queries)} sentences", {model: metrics})
