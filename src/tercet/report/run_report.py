"""Write the HTML report of a training run.

The report says whether the training was worth it. It compares the model before and after training: classifiers,
metrics, distances, maps, recall per label, confused labels and hardest triplets. It also shows precision and recall of
each label, the decisions of the classifier of the run, the training curves, the warnings and the settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tercet._display import shown_beside
from tercet.catalogue import METRICS, metric_digits, metric_text, metric_title, protocol_title
from tercet.decisions.judged_decisions import JudgedDecisions
from tercet.evaluation.gain import Predictions
from tercet.records import RunRecord
from tercet.report import plots
from tercet.report.classification import gain_parts, prediction_parts
from tercet.report.decisions import decision_sections
from tercet.report.evaluated_sentences import EvaluatedSentences, evaluated_sections
from tercet.report.facts import headline, repeat_parts, run_facts
from tercet.report.page import CONTAINS_TEXTS, LEFT_OUT, Header, Part, Section, write_page
from tercet.report.page_table import Table

_NUMBER_COLUMNS = frozenset({1, 2, 3})
_NOT_EVALUATED = "Nothing was held out for evaluation."


def write_run_report(
    path: Path,
    record: RunRecord,
    log: Sequence[Mapping[str, Any]],
    evaluated: EvaluatedSentences | None,
    *,
    predictions: Predictions | None = None,
    decisions: JudgedDecisions | None = None,
    command: str = "",
    missing: str = _NOT_EVALUATED,
    texts: bool = True,
) -> None:
    """Write the report of a run as one HTML file.

    Args:
        path: the file to write.
        record: the content of the run's `metrics.json`.
        log: `trainer.state.log_history`.
        evaluated: the labelled sentences; None leaves out the sections that need them.
        predictions: the predictions of classifiers on the trained encoder; None leaves out the section that needs them.
        decisions: how right the decisions of the run's classifier are; None if no classifier was fitted.
        command: the command that repeats the run, for the reader to copy; "" shows no command.
        missing: the reason why `evaluated` is None. The report shows it instead of these sections.
        texts: whether the page may contain sentences from the data. If False, it shows their numbers instead.

    Raises:
        OSError: the file cannot be written.

    Example:
        ```python
        from pathlib import Path

        import tercet.runs
        from tercet.report import write_run_report

        run = tercet.runs.train("train.csv", "my-model")
        write_run_report(Path("report.html"), run.record, run.log, None, missing="The sentences are left out.")
        ```
    """
    if evaluated is not None and not texts:
        rows = range(len(evaluated.sentences)) if evaluated.rows is None else evaluated.rows
        numbers = [f"row {row:,}" for row in rows]
        evaluated = replace(evaluated, sentences=numbers)
    promises = [] if record.classifier is None else [promise["sentence"] for promise in record.classifier.promises]
    sections = [
        Section("Was it worth it?", gain_parts(record.gain, record.gain_missing_reason)),
        *([Section("Predictions per label", prediction_parts(record, predictions))] if predictions else []),
        *(decision_sections(decisions, texts=texts, promises=promises) if decisions is not None else []),
        Section("Metrics", _metrics(record, log)),
        Section("Training", _curves(log)),
    ]
    if evaluated is None:
        sections.append(Section("Sentences and labels", [missing]))
    else:
        sections += evaluated_sections(evaluated, record.trained_with, texts=texts)
    sections.append(Section("To repeat the run", repeat_parts(record, command)))
    has_texts = evaluated is not None or (decisions is not None and decisions.sentences is not None)
    header = Header(
        title="Training report",
        headline=headline(record),
        alerts=[*(warning["message"] for warning in record.warnings), *(decisions.warnings if decisions else [])],
        facts=run_facts(record),
        note="" if not has_texts else CONTAINS_TEXTS if texts else LEFT_OUT,
    )
    write_page(path, header, sections)


def _metrics(record: RunRecord, log: Sequence[Mapping[str, Any]]) -> list[Part]:
    before, after = record.before, record.after
    if not before or not after:
        return [f"{_NOT_EVALUATED} Therefore the effect of the training is unknown."]
    assert record.protocol is not None
    rows, columns = _rows(before, after), ["metric", "before", "after", "change"]
    others = [
        Table(_title(record, key), columns, _rows(part.before, part.after), _NUMBER_COLUMNS)
        for key, part in record.evaluation.items()
        if key != record.protocol and part.before and part.after
    ]
    # Evaluations during training are measured by the last protocol: among themselves, or on triplets.
    curves = list(record.evaluation)[-1]
    during = record.evaluation[curves]
    plotted = {
        key: metric_title(key) for key in during.after or {} if key not in METRICS or METRICS[key].kind == "quality"
    }
    return [
        _headline(before, after),
        Table(_title(record, record.protocol), columns, rows, _NUMBER_COLUMNS),
        *others,
        f"The plot shows the metrics {_when(log)} training, measured on {protocol_title(curves)}.",
        plots.metric_curves(log, during.before or {}, during.after or {}, plotted),
    ]


def _when(log: Sequence[Mapping[str, Any]]) -> str:
    evaluated = any(key.startswith("eval_") for entry in log for key in entry)
    return "before, during and after" if evaluated else "before and after"


def _rows(before: Mapping[str, float], after: Mapping[str, float]) -> list[list[str]]:
    rows = []
    for key, value in after.items():
        start = before.get(key)
        change = None if start is None or value is None else value - start
        values = metric_text(key, start), metric_text(key, value), metric_text(key, change, sign=True)
        rows.append([metric_title(key), *values])
    return rows


def _title(record: RunRecord, protocol: str) -> str:
    title, rows = protocol_title(protocol), record.evaluation[protocol].rows
    return f"{title[0].upper()}{title[1:]}, by cosine similarity" + (f" ({rows.describe()})" if rows else "")


def _headline(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    key = "map@r" if "map@r" in after else next(iter(after))
    if "–" in (metric_text(key, before.get(key)), metric_text(key, after[key])):
        return f"{metric_title(key)} has no value before or after the training."
    digits, change = metric_digits(key), after[key] - before[key]
    start = shown_beside(before[key], after[key], f".{digits}f")
    end = shown_beside(after[key], before[key], f".{digits}f")
    verb = "did not change" if start == end else "rose" if change > 0 else "fell"
    values = f"it is {end}" if start == end else f"from {start} to {end}"
    # A run on triplets has no MAP@R, and `tercet compare` needs labelled sentences.
    advice = "tercet compare can." if key == "map@r" else "repeat it with other seeds."
    return (
        f"{metric_title(key)} {verb}, {values}. A single run cannot separate this from the variation across seeds; "
        f"{advice}"
    )


def _curves(log: Sequence[Mapping[str, Any]]) -> list[Part]:
    if not any("loss" in entry for entry in log):
        return ["No training curves: the run was too short for an entry in the training log."]
    return [
        "The active fraction is the fraction of the mined triplets whose loss is above 0 (with the soft margin: whose "
        "negative is no farther than the positive). Near 0, almost no triplet gives a gradient. If it stays near 1, "
        "the margin may be too large. The distances to negatives should become larger than those to positives.",
        plots.training_curves(log),
    ]
