"""Options of files that are read beside others, such as a file of labels, which may have another format.

options_of_file       returns the options for one of two sources
options_of_labels     returns the options for a file of labels
options_of_rows       returns the options for other rows, such as evaluation data
options_of_reference  returns the options for the reference data of an evaluation
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tercet.data.formats.separators import parse_separator
from tercet.data.formats.text_files import open_text
from tercet.data.reading.data_files import format_of
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.sources import takes_option

_FORMAT_OPTIONS = ("header", "csv_separator", "encoding")


def options_of_file(options: ReadOptions, source: Any, other: Any) -> ReadOptions:
    """Return the options for one of two sources, without options of the format that only the other source takes.

    These are `header`, `csv_separator` and `encoding`. So `encoding` may be that of a .csv file whose labels are in a
    .parquet file. An option that no format of both takes is kept, and reading the file is an error.

    Args:
        options: the options for both.
        source: the file or other source to read.
        other: the other one; None if there is none.
    """
    if other is None:
        return options
    others = [name for name in _FORMAT_OPTIONS if not _takes(source, name, options) and _takes(other, name, options)]
    left_out: dict[str, Any] = dict.fromkeys(others)
    return replace(options, **left_out)


def options_of_rows(options: ReadOptions, source: Any, data: Any) -> ReadOptions:
    """Return the options for other rows, such as evaluation or calibration data, by the options for `data`.

    The file of labels and the column of splits are those of `data`. Its split is read only if the other rows have
    splits.

    Args:
        options: the options for `data`.
        source: the file or other source with the other rows.
        data: the source that the options were given for.
    """
    own = options_of_file(options, source, data)
    return replace(own, label_file=None, split_column=None, optional_split=options.split)


def options_of_reference(
    options: ReadOptions,
    reference: Any,
    data: Any,
    *,
    split: str,
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split_column: str | None = None,
) -> ReadOptions:
    """Return the options for the reference data of an evaluation, by the options for the evaluation data.

    Args:
        options: the options for the evaluation data. Their file of labels is not that of the reference.
        reference: the file or other source with the reference data.
        data: the source of the evaluation data.
        split: the split to read of the reference.
        text_column: the column of sentences of the reference; None takes that of `options`, also of the next two.
        label_column: its column of labels, or several.
        split_column: its column with the name of each row's split.
    """
    return replace(
        options_of_file(options, reference, data),
        split=split,
        optional_split="train",
        split_column=split_column or options.split_column,
        label_file=None,
        text_column=text_column or options.text_column,
        label_column=label_column or options.label_column,
    )


def _takes(source: Any, name: str, options: ReadOptions) -> bool:
    """Return whether an option has an effect on a source: a header has none on the lines of a .txt file."""
    if name == "header" and options.csv_separator is None and isinstance(source, (str, Path)):
        return takes_option(source, name) and format_of(Path(source).expanduser()) != ".txt"
    return takes_option(source, name)


def options_of_labels(options: ReadOptions, label_file: str, data: Any) -> ReadOptions:
    """Return the options for a file of labels: those of the data that its format takes.

    `csv_separator` is kept only if it occurs in the first line of the labels. A .txt file has one label per line, also
    with `;`, so that it has columns only if their separator is a tab.
    """
    own, path = options_of_file(options, label_file, data), Path(label_file).expanduser()
    if own.csv_separator is None or not (path.is_file() and takes_option(path, "csv_separator")):
        return own
    separator = parse_separator(own.csv_separator)
    with open_text(path, own.encoding) as file:
        is_own = separator in file.readline()
    if is_own and (separator == "\t" or format_of(path) != ".txt"):
        return own
    return options_of_file(replace(own, csv_separator=None), label_file, data)
