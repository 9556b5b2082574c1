"""Reports from the command line: checked before the work that they are about, written whole after it."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from tercet._files import atomic_file
from tercet.cli.console import check_output_file, print_note, this_command
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.runs import TrainingRun

_NEEDED = ("plotly", "sklearn")


def check_report(path: Path | None, option: str, *, overwrite: bool) -> None:
    """Raise `DataError` if a report could not be written to `path`; None is none."""
    if path is None:
        return
    if path.suffix != ".html":
        raise DataError(f"{option} must end in .html, got {str(path)!r}")
    check_output_file(path, None, overwrite=overwrite, option=option)
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise DataError(f"{option} needs {' and '.join(missing)}: pip install 'tercet[report]'")


def write_report(path: Path, run: "TrainingRun") -> None:
    """Write the report of a run and print where it is."""
    from tercet.data.labels import label_values
    from tercet.report.run_report import Measured, write_run_report

    measured, missing = None, "Nothing was held out to measure on."
    if run.eval_data is not None and run.embeddings is None:
        missing = "The run was measured on triplets, which have no labels."
    if run.eval_data is not None and run.embeddings is not None:
        labels = [str(label) for label in label_values(run.eval_data)]
        measured = Measured(run.eval_data["sentence"][:], labels, *run.embeddings)
    command = this_command("--resume", "--overwrite")  # elsewhere there is nothing to go on with, or to replace
    print_note("writing the report")
    with atomic_file(path) as partial:
        write_run_report(partial, run.record.to_dict(), run.log, measured, command=command, missing=missing)
    print_note(f"report written to {path}")
