"""The command `tercet fix`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tercet._files import atomic_file
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.console import finish, print_note
from tercet.cli.next_commands import option_words
from tercet.cli.outputs import check_outputs
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError


@report_errors
def fix(
    data: Annotated[str, typer.Argument(help="The file that was inspected ({suffixes}).")],
    label_issues: Annotated[
        str,
        typer.Argument(
            metavar="LIST",
            help="The file that tercet inspect --label-issues has written, with yes in the column accept of the rows "
            "whose suggested_label or label_to_add is right. You may write another label there.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="The file to write: .csv, .tsv, .jsonl or .parquet.")],
    text_column: opt.TextColumn = None,
    label_column: opt.LabelColumns = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    label_file: opt.LabelFile = None,
    label_levels: opt.LabelLevels = None,
    multi_label: opt.MultiLabel = None,
    csv_separator: opt.CsvSeparator = None,
    encoding: opt.Encoding = None,
    overwrite: opt.OverwriteFile = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write a copy of labelled data with the accepted label issues corrected; all other columns stay as they are.

    Pass the columns, the --label-file, the --label-levels and the --multi-label of the inspection. The labels of a
    --label-file become a column.
    """
    from tercet.data.columns.guessing import find_columns
    from tercet.data.columns.level_columns import join_label_lists
    from tercet.data.labels.corrected_columns import with_additions, with_labels, with_levels
    from tercet.data.labels.corrections import TO_ADD, accepted_additions, accepted_labels
    from tercet.data.loading.labelled import with_lists
    from tercet.data.reading.selection import NoSplitsError, read_data
    from tercet.data.reading.sources import read_table
    from tercet.data.writing import find_suffix, open_writer, prepare_columns

    suffix = find_suffix(output, "--output")
    inputs = {"the input data": data, "the label issues": label_issues, "the file of labels": label_file}
    check_outputs({"--output": output}, inputs, overwrite=overwrite)
    options = ReadOptions.of(locals())
    try:
        table = read_data(data, options)
    except NoSplitsError:
        raise DataError(f"{data} has no splits; leave out --split") from None
    text, label = find_columns(table, text_column, options.label_name, options.level_columns)
    found, texts, labels = read_table(label_issues), table.columns[text], table.columns[label]
    columns = table.complete_columns()
    if TO_ADD in found.columns:
        separator = with_lists(labels, label, table.source, options).multi_label
        added = accepted_additions(found, texts, labels, table.source, separator)
        columns[label] = with_additions(columns[label], added, str(separator))
        what = f"labels added to {len(added):,} of {len(table):,} rows"
    else:
        if options.label_levels is not None:
            labels = join_label_lists(labels, options.label_levels, table.source, table.places)
        new = accepted_labels(found, texts, labels, table.source)
        what = f"{len(new):,} of {len(table):,} labels corrected"
        if options.level_columns:
            columns |= with_levels(columns, options.level_columns, new, str(options.label_levels), table.source)
        else:
            columns[label] = with_labels(columns[label], new, options.label_levels)
    columns = prepare_columns(columns, suffix, table.source)
    with atomic_file(output, overwrite=overwrite) as partial, partial.open("wb") as file:
        writer = open_writer(suffix, file)
        writer.write(columns)
        writer.close()
    print_note(f"{what}; written to {output}")
    written = replace(options, split="train", header=None, csv_separator=None, encoding=None, label_file=None)
    finish(["tercet", "train", output, *option_words(written), "--output", "my-model"])
