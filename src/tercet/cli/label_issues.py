"""Write the list of label issues that `tercet inspect` finds and `tercet fix` applies."""

import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from tercet._files import atomic_file
from tercet.cli.console import print_note
from tercet.errors import DataError, counted, listed

if TYPE_CHECKING:
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.tables.table import Table
    from tercet.inspection.label_issues.issues import LabelIssue
    from tercet.inspection.labels_to_add import LabelToAdd
    from tercet.inspection.results import Inspection


# The maximum length of a reason within a note, in characters.
_REASON_LIMIT = 200
# The errors of pyarrow, Pillow and other decoders of `datasets` for a value that they cannot read. Errors of other
# types are faults of this library.
_UNREADABLE = (DataError, ValueError, OSError, ImportError, RuntimeError, OverflowError, SyntaxError, struct.error)


def check_label_issues(path: Path | None, model: str | None) -> None:
    """Raise `DataError` if the list cannot be written to `path`, or needs a model. None is not checked."""
    if path is None:
        return
    if model is None:
        raise DataError("--label-issues needs --model: label issues are found with the embeddings of a model")
    if path.suffix != ".csv":
        raise DataError(f"--label-issues must end in .csv, got {str(path)!r}")


def write_label_issues(
    path: Path,
    inspection: "Inspection",
    labelled: "LabelledSentences",
    table: "Table",
    label_levels: str | None,
    *,
    overwrite: bool,
) -> None:
    """Write the label issues as CSV, with the other columns of the data, and print their number.

    The labels are those of the data as they are, by which `tercet fix` finds them again; of a list of levels, the
    nested label. Other columns that cannot be read or written as text are left out, because the list is there for its
    labels.

    Args:
        path: the file.
        inspection: the inspection.
        labelled: the sentences that were inspected.
        table: the data that they come from.
        label_levels: the separator of the levels of nested labels; None for labels without levels.
        overwrite: whether to replace the file.
    """
    from tercet.data.columns.level_columns import join_label_lists
    from tercet.data.tables.cells import label_text, plain_values
    from tercet.data.tables.column_values import take_rows
    from tercet.data.writers import csv_writer

    several = labelled.multi_label is not None
    found = inspection.with_model
    issues: Sequence[LabelIssue | LabelToAdd] = [] if found is None else found.labels_to_add or found.label_issues
    place = None if table.rows is None else {row: at for at, row in enumerate(table.rows)}
    rows = [issue.row if place is None else place[issue.row] for issue in issues]
    cells = take_rows(table.columns[labelled.columns[1]], rows)
    if label_levels is not None:
        cells = join_label_lists(cells, label_levels, table.source, table.places_of(rows))
    new = "label_to_add" if several else "suggested_label"
    columns: dict[str, list[Any]] = {
        "row": [issue.row for issue in issues],
        "line": [None if table.lines is None else table.lines[row] for row in rows],
        "text": [issue.text for issue in issues],
        "label": [label_text(label) for label in plain_values(cells)],
        new: [getattr(issue, new) for issue in issues],
        "log_odds": [f"{issue.log_odds:.4f}" for issue in issues],
        "accept": [None] * len(issues),
    }
    others, left_out = _other_columns(table, labelled.columns, rows)
    own = list(columns)
    for column, values in others.items():
        name = column
        while name in own or (name != column and name in table.columns):
            name = f"data_{name}"
        columns[name] = values
    with atomic_file(path, overwrite=overwrite) as partial, partial.open("wb") as file:
        csv_writer(file).write(columns)
    if left_out:
        kind = "column" if len(left_out) == 1 else "columns"
        print_note(
            f"{path} lacks the {kind} {listed(left_out)} of the data, which cannot be read or written as text: "
            f"{next(iter(left_out.values()))}"
        )
    what = ("label to add", "labels to add") if several else ("label issue",)
    print_note(f"{counted(len(issues), *what)} written to {path}")


def _other_columns(
    table: "Table", used: Collection[str], rows: Sequence[int]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return some rows of the columns of a table without those that were used, and why others are left out."""
    from tercet.data.tables.cells import as_list
    from tercet.data.tables.column_values import take_rows
    from tercet.data.writing import prepare_columns

    read_rows, complete = table.read_rows, dict[str, Any]()
    if read_rows is None:
        # A column that cannot be read is found below.
        with suppress(*_UNREADABLE):
            complete = table.complete_columns()  # It also has columns of types that no command uses.

    def read(name: str) -> Any:
        if read_rows is not None:
            return read_rows(name, rows)
        return take_rows(complete[name] if name in complete else table.columns[name], rows)

    kept: dict[str, list[Any]] = {}
    left_out: dict[str, str] = {}
    for name in table.columns:
        if name in used:
            continue
        try:
            kept[name] = as_list(prepare_columns({name: read(name)}, ".csv", table.source)[name])
        except _UNREADABLE as error:  # A date that Python does not have raises a ValueError.
            left_out[name] = shorten(str(error) or type(error).__name__, _REASON_LIMIT)
    return kept, left_out
