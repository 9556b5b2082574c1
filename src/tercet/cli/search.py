"""The command `tercet search`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tercet._display import truncate
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.console import cell, finish, load_model, print_note, print_result, terminal
from tercet.cli.outputs import check_outputs, check_table, write_rows
from tercet.cli.queries import read_queries
from tercet.cli.searchable import (
    PromptName,
    embed,
    read_rows,
    vectors_of,
    warn_of_unused_prompts,
)
from tercet.cli.stored_vectors import StoredVectors
from tercet.encoder.names import check_model_name
from tercet.errors import counted


@report_errors
@opt.file_options
def search(
    model: opt.ModelArgument,
    data: Annotated[str, typer.Argument(help=f"The sentences to search in. {opt.DATA_HELP}")],
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help="The sentences to search for. '-' reads them from standard input, one per line.", show_default=False
        ),
    ] = None,
    *,
    queries: Annotated[
        str | None,
        typer.Option(help="A file with the sentences to search for, in a column called text or a usual name."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of sentences to return for each query.")] = 5,
    output: Annotated[
        Path | None, typer.Option(help="Write all results to this file: .csv, .tsv, .jsonl or .parquet.")
    ] = None,
    vector_column: StoredVectors = None,
    prompt_name: PromptName = None,
    query_prompt_name: Annotated[
        str | None, typer.Option(help="The name of the prompt to put before each query. [default: the default prompt]")
    ] = None,
    text_column: opt.TextColumn = None,
    label_column: Annotated[
        str | None, typer.Option(help="The column of labels to show. [default: a usual name, such as label]")
    ] = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    batch_size: opt.EncodeBatchSize = None,
    bf16: opt.EncodeBf16 = False,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: opt.OverwriteFile = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Find the most similar sentences of a file for each query, by the cosine similarity of their embeddings."""
    from tercet.search import check_search_installed, nearest_rows

    check_search_installed("tercet search")
    check_table(output, "--output")
    inputs = {"the input data": data, "the queries": queries, "the model": model}
    check_outputs({"--output": output}, inputs, overwrite=overwrite)
    check_model_name(model)
    wanted = read_queries(query or [], queries)
    rows = read_rows(
        data, text_column=text_column, label_column=label_column, split=split, header=header,
        vector_column=vector_column, **reading,
    )  # fmt: skip
    encoder = load_model(model, device=device, trust_remote_code=trust_remote_code, bf16=bf16)
    given = [prompt_name, query_prompt_name]
    warn_of_unused_prompts(encoder, model, given, "query_prompt_name and prompt_name")
    query_vectors = embed(encoder, wanted, query_prompt_name, task="query", batch_size=batch_size, quiet=quiet)
    vectors = vectors_of(encoder, rows, prompt_name, task="document", batch_size=batch_size, quiet=quiet)
    results = [
        [{"similarity": similarity, **rows.fields(row)} for row, similarity in found]
        for found in nearest_rows(vectors, query_vectors, top)
    ]
    # Print first, so that the result is not lost if the file cannot be written.
    try:
        _print(wanted, results, as_json=as_json)
    finally:
        if output is not None:
            flat = [
                {"query": text, "rank": rank, **hit}
                for text, found in zip(wanted, results, strict=True)
                for rank, hit in enumerate(found, start=1)
            ]
            write_rows(output, flat, list(flat[0]), overwrite=overwrite)
            print_note(f"{counted(len(flat), 'result')} written to {output}")
    finish()


def _print(queries: list[str], results: list[list[dict[str, Any]]], *, as_json: bool) -> None:
    if as_json:
        found = [{"query": text, "results": hits} for text, hits in zip(queries, results, strict=True)]
        print_result(json.dumps(found, indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    console = terminal()
    for text, hits in zip(queries, results, strict=True):
        table = Table(title=cell(text), title_justify="left")
        for name in hits[0]:
            numbers = name in ("similarity", "row")
            table.add_column(name, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
        for hit in hits:
            table.add_row(*(cell(truncate(_shown(value))) for value in hit.values()))
        console.print(table)


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
