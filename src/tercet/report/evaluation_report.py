"""Write the HTML report of `tercet evaluate`: metrics, classifiers, the gain, and the decisions of the classifier."""

from collections.abc import Sequence
from pathlib import Path

from tercet._tree_errors import ParentErrors
from tercet._version import __version__
from tercet.catalogue import classifier_rows, metric_spec, metric_text, metric_title, protocol_title
from tercet.decisions.judged_decisions import JudgedDecisions
from tercet.records import EncoderScores, Metrics, RowCounts, SeveralLabelsGain, SeveralLabelsScores, TrainingGain
from tercet.report.classification import gain_parts, parent_parts
from tercet.report.decisions import decision_headline, decision_sections
from tercet.report.page import CONTAINS_TEXTS, LEFT_OUT, Code, Header, Part, Section, write_page
from tercet.report.page_table import Table


def write_evaluation_report(
    path: Path,
    *,
    model: str,
    data: str,
    reference: str | None,
    metrics: Metrics,
    protocol: str,
    rows: RowCounts,
    classifiers: EncoderScores | SeveralLabelsScores | None = None,
    gain: TrainingGain | SeveralLabelsGain | None = None,
    parents: Sequence[ParentErrors] | None = None,
    decisions: JudgedDecisions | None = None,
    warnings: Sequence[str] = (),
    command: str = "",
    texts: bool = True,
) -> None:
    """Write the report of an evaluation as one HTML file.

    Args:
        path: the file to write.
        model: the name of the model.
        data: the name of the evaluation data.
        reference: the name of the reference data; None without them.
        metrics: the metrics by their keys in `tercet.catalogue.METRICS`.
        protocol: what was ranked: `against_reference` or `among_themselves`.
        rows: the number of rows that were measured, and of those that were left out.
        classifiers: the scores of classifiers that were fitted to the reference sentences; None without a reference.
        gain: the comparison with the untouched encoder; None without one.
        parents: the errors within and across parents of nested labels; None for other labels.
        decisions: how right the decisions of the classifier of the model are; None if it has none.
        warnings: the warnings of the evaluation. Those of `decisions` are shown too.
        command: the command that repeats the evaluation; "" shows no command.
        texts: whether the page may contain sentences from the data. If False, it shows their numbers instead.

    Raises:
        OSError: the file cannot be written.

    Example:
        ```python
        from pathlib import Path

        import tercet.runs
        from tercet.report import write_evaluation_report

        result = tercet.runs.evaluate("my-model", "test.csv", reference="train.csv")
        write_evaluation_report(
            Path("evaluation.html"), model="my-model", data="test.csv", reference="train.csv", metrics=result.metrics,
            protocol=result.protocol, rows=result.rows, classifiers=result.classifiers,
        )
        ```
    """
    sections = decision_sections(decisions, texts=texts) if decisions is not None else []
    if gain is not None:
        sections.append(Section("Was it worth it?", gain_parts(gain, "")))
    sections.append(Section("Metrics", _metrics(metrics, protocol, rows, reference)))
    if classifiers is not None and gain is None:
        sections.append(Section("Classifiers", [_classifiers(classifiers, rows)]))
    if parents is not None:
        sections.append(Section("Parents", parent_parts(parents)))
    if command:
        sections.append(Section("To repeat the evaluation", [Code(command)]))
    facts = {
        "Model": model,
        "Evaluation data": data,
        "Reference data": reference,
        "Measured": rows.describe(reference or "the reference data"),
        "Tercet": __version__,
    }
    header = Header(
        title="Evaluation report",
        headline=_headline(metrics) if decisions is None else decision_headline(decisions),
        alerts=list(dict.fromkeys([*warnings, *(decisions.warnings if decisions is not None else [])])),
        facts=[(name, value) for name, value in facts.items() if value],
        note="" if decisions is None else CONTAINS_TEXTS if texts else LEFT_OUT,
    )
    write_page(path, header, sections)


def _metrics(metrics: Metrics, protocol: str, rows: RowCounts, reference: str | None) -> list[Part]:
    title = protocol_title(protocol, "reference")
    values = [[metric_title(key), metric_text(key, value)] for key, value in metrics.items()]
    return [
        rows.describe(reference or "the reference data"),
        Table(f"{title[0].upper()}{title[1:]}", ["metric", "value"], values, frozenset({1})),
    ]


def _classifiers(classifiers: EncoderScores | SeveralLabelsScores, rows: RowCounts) -> Table:
    caption = f"{rows.measured:,} evaluation sentences, classified by the reference sentences"
    values = [[key, f"{value:.4f}"] for key, value in classifier_rows(classifiers).items()]
    return Table(caption, ["metric", "value"], values, frozenset({1}))


def _headline(metrics: Metrics) -> str:
    quality = [key for key in metrics if metric_spec(key).kind == "quality"]
    key = "map@r" if "map@r" in metrics else next(iter(quality), None)
    return "" if key is None else f"{metric_title(key)} {metric_text(key, metrics[key])}"
