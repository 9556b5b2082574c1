"""The command `tercet duplicates`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tercet._display import truncate
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.console import (
    cell,
    finish,
    load_model,
    print_note,
    print_result,
    terminal,
    words_of_this_command,
)
from tercet.cli.outputs import check_outputs, check_table, write_rows
from tercet.cli.searchable import PromptName, read_rows, vectors_of, warn_of_unused_prompts
from tercet.cli.stored_vectors import StoredVectors
from tercet.encoder.names import check_model_name
from tercet.errors import counted

_MAX_PRINTED = 20


@report_errors
@opt.file_options
def duplicates(
    model: opt.ModelArgument,
    data: opt.Data,
    threshold: Annotated[
        float, typer.Option(help="The lowest cosine similarity of two sentences that count as near duplicates.")
    ] = 0.9,
    output: Annotated[
        Path | None, typer.Option(help="Write all pairs to this file: .csv, .tsv, .jsonl or .parquet.")
    ] = None,
    vector_column: StoredVectors = None,
    prompt_name: PromptName = None,
    text_column: opt.TextColumn = None,
    label_column: Annotated[
        str | None, typer.Option(help="The column of labels to compare. [default: a usual name, such as label]")
    ] = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    batch_size: opt.EncodeBatchSize = None,
    bf16: opt.EncodeBf16 = False,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: opt.OverwriteFile = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all pairs as JSON.")] = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Find pairs of sentences that say nearly the same, and those of them whose labels differ.

    Pairs with different labels come first, then the most similar ones.
    """
    from tercet.search import check_search_installed, check_threshold, group_pairs, similar_pairs

    check_search_installed("tercet duplicates")
    check_threshold(threshold)
    check_table(output, "--output")
    check_outputs({"--output": output}, {"the input data": data, "the model": model}, overwrite=overwrite)
    check_model_name(model)
    rows = read_rows(
        data, text_column=text_column, label_column=label_column, split=split, header=header,
        vector_column=vector_column, **reading,
    )  # fmt: skip
    encoder = load_model(model, device=device, trust_remote_code=trust_remote_code, bf16=bf16)
    warn_of_unused_prompts(encoder, model, [prompt_name], "prompt_name")
    vectors = vectors_of(encoder, rows, prompt_name, quiet=quiet, batch_size=batch_size)
    pairs = similar_pairs(vectors, threshold)
    found = [
        {
            "similarity": pair.similarity,
            "group": group,
            **rows.fields(pair.row),
            **rows.fields(pair.other_row, "other_"),
        }
        for pair, group in zip(pairs, group_pairs(pairs), strict=True)
    ]
    found.sort(key=lambda pair: not _differ(pair))
    # Print first, so that the result is not lost if the file cannot be written.
    try:
        if as_json:
            result = {"threshold": threshold, "rows": len(rows.texts), "pairs": found}
            print_result(json.dumps(result, indent=2, ensure_ascii=False))
        else:
            _print(found, len(rows.texts), threshold)
    finally:
        if output is not None:
            names = ["similarity", "group", *rows.fields(0), *rows.fields(0, "other_")]
            write_rows(output, found, names, overwrite=overwrite)
            print_note(f"{counted(len(found), 'pair')} written to {output}")
    finish([] if output or not found else [*words_of_this_command(), "--output", "pairs.csv"])


def _differ(pair: dict[str, Any]) -> bool:
    """Return whether the two sentences of a pair have labels, and different ones."""
    labels = {pair.get("label", ""), pair.get("other_label", "")}
    return len(labels) == 2 and "" not in labels


def _print(pairs: list[dict[str, Any]], num_rows: int, threshold: float) -> None:
    if not pairs:
        print_result(
            f"No two of the {num_rows:,} sentences have a cosine similarity of at least {threshold:g}; "
            "a lower --threshold finds more."
        )
        return
    from rich.table import Table

    table = Table(title="Near duplicates", title_justify="left")
    for name in ("similarity", "row", "text", *(("label",) if "label" in pairs[0] else ())):
        numbers = name in ("similarity", "row")
        table.add_column(name, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    for pair in pairs[:_MAX_PRINTED]:
        style = "bold" if _differ(pair) else None
        for similarity, prefix in ((f"{pair['similarity']:.4f}", ""), ("", "other_")):
            values = [str(pair[f"{prefix}{name}"]) for name in ("row", "text", "label") if name in pair]
            cells = [cell(truncate(value)) for value in (similarity, *values)]
            table.add_row(*cells, style=style, end_section=prefix != "")
    terminal().print(table)
    in_pairs = len({row for pair in pairs for row in (pair["row"], pair["other_row"])})
    parts = [f"groups: {len({pair['group'] for pair in pairs}):,}", f"rows: {in_pairs:,} of {num_rows:,}"]
    if "label" in pairs[0]:
        parts.append(f"pairs with different labels: {sum(map(_differ, pairs)):,}")
    if len(pairs) > _MAX_PRINTED:
        parts.append(f"the first {_MAX_PRINTED} are shown")
    print_result(f"Pairs of near duplicates: {len(pairs):,} ({', '.join(parts)})")
