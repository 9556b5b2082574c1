"""Classify the rows of an input part by part, and write them with their answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet._files import atomic_file
from tercet.cli.classify_checks import check_names
from tercet.cli.classify_columns import added_columns, added_names, integers_of
from tercet.cli.classify_summary import Summary
from tercet.cli.console import shows_progress
from tercet.cli.streams import DataOutput
from tercet.cli.table_input import Rows, StandardInput, TableInput
from tercet.data.writing import BinaryOutput, open_writer

if TYPE_CHECKING:
    from tercet.decisions import LabelClassifier


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

        top, explain = self.top, self.explain
        label_name = check_names(rows.names, rows.label_column, rows.source, top, explain=explain)
        writer = open_writer(self.suffix, file)
        num_rows = 0
        integers = integers_of(self.classifier.classes_.tolist())
        for part in _with_progress(rows, self.classifier.label_levels, quiet=quiet):
            decisions = decide_without_warnings(
                self.classifier, part.texts, **self.limits, top=max(top, 1), explain=explain
            )
            written = integers if part.has_integer_labels else None
            added = added_columns(decisions, label_name, top=top, explain=explain, written=written)
            writer.write({**part.columns, **added})
            self.summary.add(decisions, part.labels)
            num_rows += len(part.texts)
            if isinstance(file, DataOutput) and file.is_closed:
                return
        if num_rows == 0:  # an empty stream: the names of the columns only
            names = [*rows.names, *added_names(label_name, top=top, explain=explain, texts=False)]
            writer.write({name: [] for name in names})
        writer.close()


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
