"""Check the path of an HTML report before the work starts, and write the report after it."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from tercet._files import atomic_file
from tercet.cli.console import print_note, this_command
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.records import ComparisonRecord
    from tercet.runs import EvaluationResult, TrainingRun

_REQUIRED = ("plotly",)


def check_report(path: Path | None, option: str, *, no_texts: bool = False) -> None:
    """Raise `DataError` if `path` cannot be a report. `check_outputs` checks whether it can be written.

    `path` None means no report. Then `no_texts` (leave out the sentences) is an error, and nothing else is checked.
    """
    if path is None:
        if no_texts:
            raise DataError(f"--no-texts needs {option}, the report that it leaves the sentences out of")
        return
    if path.suffix != ".html":
        raise DataError(f"{option} must end in .html, got {str(path)!r}")
    if missing := [name for name in _REQUIRED if importlib.util.find_spec(name) is None]:
        raise DataError(f"{option} needs {' and '.join(missing)}: pip install 'tercet[report]'")


def write_report(path: Path, run: "TrainingRun", *, texts: bool = True, overwrite: bool) -> None:
    """Write the report of a training run atomically, and print a note with its path.

    `texts` is whether the report may contain sentences from the data.
    """
    from tercet.data.labels.numbering import label_values, number_labels
    from tercet.report.evaluated_sentences import EvaluatedSentences
    from tercet.report.run_report import write_run_report
    from tercet.runs.decisions import judge_run

    evaluated, missing = None, "Nothing was held out for evaluation."
    if run.eval_data is not None and run.embeddings is None:
        missing = "The run was evaluated on triplets, which have no labels."
    if run.eval_data is not None and run.embeddings is not None:
        label_ids, label_names = number_labels(label_values(run.eval_data), "the evaluation data")
        before, after = run.embeddings
        evaluated = EvaluatedSentences(
            sentences=run.eval_data["sentence"][:],
            label_ids=label_ids,
            label_names=label_names,
            before=before,
            after=after,
            rows=run.eval_rows,
            multi_label=run.record.settings.get("multi_label"),
        )
    # Leave out these flags: who repeats the run has no checkpoint to resume and no model to overwrite.
    command = this_command("--resume", "--overwrite")
    print_note("writing the report")
    with atomic_file(path, overwrite=overwrite) as partial:
        write_run_report(
            partial, run.record, run.log, evaluated,
            predictions=run.predictions, decisions=judge_run(run), command=command, missing=missing, texts=texts,
        )  # fmt: skip
    print_note(f"report written to {path}")


def write_report_of_comparison(path: Path, record: "ComparisonRecord", *, overwrite: bool) -> None:
    """Write the report of a comparison atomically, and print a note with its path."""
    from tercet.report.comparison_report import write_comparison_report

    print_note("writing the report")
    with atomic_file(path, overwrite=overwrite) as partial:
        write_comparison_report(partial, record, command=this_command("--resume", "--overwrite"))
    print_note(f"report written to {path}")


def write_report_of_evaluation(
    path: Path,
    result: "EvaluationResult",
    *,
    model: str,
    data: str,
    reference: str | None,
    texts: bool,
    overwrite: bool,
) -> None:
    """Write the report of an evaluation atomically, and print a note with its path."""
    from tercet.report.evaluation_report import write_evaluation_report

    print_note("writing the report")
    with atomic_file(path, overwrite=overwrite) as partial:
        write_evaluation_report(
            partial, model=model, data=data, reference=reference, metrics=result.metrics, protocol=result.protocol,
            rows=result.rows, classifiers=result.classifiers, gain=result.gain, parents=result.parents,
            decisions=result.decisions,
            warnings=[warning["message"] for warning in result.warnings], command=this_command("--overwrite"),
            texts=texts,
        )  # fmt: skip
    print_note(f"report written to {path}")
