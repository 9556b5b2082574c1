"""Classify the rows of an input part by part, and write them with their answers."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet._files import atomic_file
from tercet.cli.classify_checks import check_names
from tercet.cli.classify_columns import added_columns, added_names, integers_of
from tercet.cli.classify_summary import Summary
from tercet.cli.console import command_line, print_note, shows_progress
from tercet.cli.streams import DataOutput
from tercet.cli.table_input import Rows, StandardInput, TableInput
from tercet.data.columns.names import usual_columns
from tercet.data.writers import BinaryOutput
from tercet.data.writing import open_writer
from tercet.errors import short_repr

if TYPE_CHECKING:
    from tercet.decisions import LabelClassifier

# A column is one of labels if most of its values in this number of rows are labels of the classifier.
_MAX_ROWS = 1000


@dataclass(frozen=True)
class AnswerWriter:
    """A writer of rows with their answers.

    Attributes:
        classifier: the classifier.
        summary: counts the rows that are written.
        limits: the limits of `LabelClassifier.decision`, by name.
        suffix: the extension of the format to write.
        top: the number of likeliest labels to add.
        explain: whether to add the evidence.
    """

    classifier: "LabelClassifier"
    summary: Summary
    limits: dict[str, Any]
    _: KW_ONLY
    suffix: str
    top: int
    explain: bool

    def write(self, rows: StandardInput | TableInput, file: BinaryOutput, *, quiet: bool) -> None:
        """Write all rows of an input, or those until the reader of standard output ends."""
        from tercet.decisions.answering import decide_without_warnings
        from tercet.decisions.results import copies_of_training

        top, explain = self.top, self.explain
        label_name = check_names(rows.names, rows.label_column, rows.source, top, explain=explain)
        writer = open_writer(self.suffix, file)
        num_rows = 0
        integers = integers_of(self.classifier.classes_.tolist())
        for part in _with_progress(rows, self.classifier.label_levels, quiet=quiet):
            compared = part.labels is not None
            decisions = decide_without_warnings(
                self.classifier, part.texts, **self.limits, top=max(top, 1), explain=explain or compared
            )
            written = integers if part.has_integer_labels else None
            added = added_columns(decisions, label_name, top=top, explain=explain, written=written)
            writer.write({**part.columns, **added})
            self.summary.add(decisions, part.labels, copies_of_training(decisions).tolist() if compared else ())
            num_rows += len(part.texts)
            if isinstance(file, DataOutput) and file.is_closed:
                return
        if num_rows == 0:  # an empty stream: the names of the columns only
            names = [*rows.names, *added_names(label_name, top=top, explain=explain, texts=False)]
            writer.write({name: [] for name in names})
        writer.close()


def print_column_of_labels(rows: StandardInput | TableInput, known: Collection[str]) -> None:
    """Print if a column without a usual name seems to have labels of the classifier, because it was not compared.

    A column whose values are all different is left out: numbers of rows may be equal to labels.

    Args:
        rows: the input.
        known: the labels of the classifier, as text.
    """
    if rows.label_column is not None or isinstance(rows, StandardInput):
        return
    from tercet.data.reading.selection import text_parts
    from tercet.data.tables.cells import plain_values

    texts = text_parts(rows.text_column, rows.columns)
    for name in [name for name in rows.columns if name not in texts]:
        values = [str(value) for value in plain_values(rows.columns[name][:_MAX_ROWS]) if value is not None]
        if len(set(values)) < len(values) < 2 * sum(value in known for value in values):
            print_note(
                f"the column {short_repr(name)} seems to have labels of the classifier; pass "
                f"{command_line(['--label-column', name])} to compare the answers with it"
            )
            return


def print_compared_column(column: str | None, label_column: str | None, summary: Summary) -> None:
    """Print with which column the answers were compared.

    A usual name such as `category` only hints at labels. If none of them is known, the summary forgets them, and it is
    printed why.

    Args:
        column: the column of given labels; None for none.
        label_column: the label column that the user gave; None for none.
        summary: the counts of all rows.
    """
    if column is None or not summary.rows:
        return
    is_certain = label_column is not None or usual_columns([column], "label", 0)
    if is_certain or (unknown := summary.forget_unknown_labels()) is None:
        print_note(f"the answers are compared with the labels in the column {short_repr(column)}")
        return
    print_note(
        f"the column {short_repr(column)} is not compared, because the classifier knows none of its values, such as "
        f"{short_repr(unknown)}; pass {command_line(['--label-column', column])} if they are labels"
    )


@contextmanager
def destination(output: Path | None, *, overwrite: bool) -> Iterator[BinaryOutput]:
    """Yield the file to write into: a new one that appears at `output` at the end, or standard output."""
    if output is None:
        yield DataOutput()
        return
    with atomic_file(output, overwrite=overwrite) as partial, partial.open("wb") as file:
        yield file


def _with_progress(rows: StandardInput | TableInput, label_levels: str | None, *, quiet: bool) -> Iterator[Rows]:
    """Yield the parts of the input, with a progress bar for a table."""
    from tqdm.auto import tqdm

    shown = rows.num_rows is not None and shows_progress(quiet)
    with tqdm(total=rows.num_rows, desc="Classify", unit="sentence", disable=not shown) as bar:
        for part in rows.parts(label_levels):
            yield part
            bar.update(len(part.texts))
