"""Write the HTML report of a comparison: the recommendation, the variants with intervals, their time, all runs."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tercet.catalogue import (
    CLASSIFIERS,
    METRICS,
    metric_digits,
    metric_title,
    metrics_of_levels,
    protocol_title,
)
from tercet.records import (
    BaselineRecord,
    ComparisonRecord,
    Difference,
    MeanAndStd,
    TrialRecord,
    VariantSummary,
    baseline_title,
    classifier_rows,
)
from tercet.report.classification import gain_parts
from tercet.report.comparison_plots import Point, metric_by_seconds, metric_by_step
from tercet.report.facts import comparison_facts, repeat_parts
from tercet.report.page import Header, Part, Section, write_page
from tercet.report.page_table import Table

_METRIC = "map@r"


def write_comparison_report(path: Path, record: ComparisonRecord, *, command: str = "") -> None:
    """Write the report of a finished comparison as one HTML file. It contains no sentences of the data.

    Args:
        path: the file to write.
        record: the content of its `compare.json`.
        command: the command that repeats the comparison, for the reader to copy; "" shows no command.

    Raises:
        OSError: the file cannot be written.

    Example:
        ```python
        from pathlib import Path

        from tercet.comparison import compare
        from tercet.report import write_comparison_report

        if __name__ == "__main__":
            record = compare("train.csv", "compared", grid=["margin=0.1,0.3"])
            write_comparison_report(Path("comparison.html"), record)
        ```
    """
    sections = [
        Section("Recommendation", _recommendation(record)),
        Section("Was it worth it?", gain_parts(record.gain, "the record has no classified evaluation rows")),
        Section("Variants", _variants(record)),
        Section("Quality and time", _by_seconds(record)),
        Section("MAP@R by step", _by_step(record)),
        Section("All runs", _runs(record)),
        Section("To repeat the comparison", repeat_parts(record, command)),
    ]
    header = Header(
        title="Comparison report", headline=_headline(record), alerts=_alerts(record), facts=comparison_facts(record)
    )
    write_page(path, header, sections)


def _headline(record: ComparisonRecord) -> str:
    found = record.recommendation
    if found is None:
        return "No variant is recommended"
    return f"Recommended: {found.variant}"


def _alerts(record: ComparisonRecord) -> list[str]:
    """Return the warnings about the data, the failures, and each warning of a run with the variants that emitted it."""
    alerts = [warning["message"] for warning in record.warnings]
    alerts += [
        f"{line.variant}, seed {seed} failed: {reason}"
        for line in record.summary
        for seed, reason in line.failed.items()
    ]
    emitted: dict[str, list[str]] = {}
    for run in record.runs:
        for warning in run.warnings:
            variants = emitted.setdefault(warning["message"], [])
            if run.variant not in variants:
                variants.append(run.variant)
    return [*alerts, *(f"{'; '.join(variants)}: {message}" for message, variants in emitted.items())]


def _recommendation(record: ComparisonRecord) -> list[Part]:
    found = record.recommendation
    if found is None:
        return ["Every run failed, so no variant is recommended."]
    return [found.reason, f"The model of {found.variant} with seed {found.seed} is in the folder model."]


def _variants(record: ComparisonRecord) -> list[Part]:
    compared = [key for key in METRICS if METRICS[key].compared]
    metrics = [key for key in compared if METRICS[key].kind == "quality"]
    costs = [key for key in compared if key not in metrics]
    columns = ["variant", "seeds", f"{metric_title(_METRIC)}, below the highest", *map(metric_title, metrics)]
    rows = [_baseline_row(record, baseline, metrics) for baseline in record.baselines]
    rows += [_variant_row(record, line, metrics) for line in record.summary]
    title = protocol_title(record.protocol)
    measured = f" {record.rows.describe()}." if record.rows is not None else ""
    confidence = f"{record.recommendation.confidence:.0%}" if record.recommendation else "95%"
    return [
        f"{title[0].upper()}{title[1:]}, mean ± standard deviation over seeds.{measured} The third column is the "
        f"difference to the highest variant, paired by seed, with its {confidence} confidence interval.",
        record.describe_budget(),
        Table("Variants", columns, rows, frozenset(range(1, len(columns)))),
        *_levels(record),
        *_classifier_tables(record),
        Table(
            "Speed and memory",
            ["variant", *map(metric_title, costs)],
            [[line.variant, *_values(line, costs)] for line in record.summary],
            frozenset(range(1, len(costs) + 1)),
        ),
    ]


def _levels(record: ComparisonRecord) -> list[Part]:
    """Return the table of the metrics of nested labels; nothing for other labels."""
    metrics = metrics_of_levels(key for line in record.summary for key in line.metrics)
    if not metrics:
        return []
    rows = [_baseline_row(record, baseline, metrics) for baseline in record.baselines]
    rows += [_variant_row(record, line, metrics) for line in record.summary]
    columns = ["variant", *map(metric_title, metrics)]
    rows = [[row[0], *row[3:]] for row in rows]
    return [Table("The levels of the labels", columns, rows, frozenset(range(1, len(columns))))]


def _classifier_tables(record: ComparisonRecord) -> list[Part]:
    columns, keys = ["variant", *CLASSIFIERS.values()], list(CLASSIFIERS)
    captions = {
        "Accuracy of classifiers: evaluation sentences, classified by the training sentences": classifier_rows(
            record, "accuracy", keys
        ),
        "Macro-F1 of the same classifiers": classifier_rows(record, "macro_f1", keys),
    }
    numbers = frozenset(range(1, len(columns)))
    return [Table(caption, columns, rows, numbers) for caption, rows in captions.items() if rows]


def _baseline_row(record: ComparisonRecord, baseline: BaselineRecord, metrics: Sequence[str]) -> list[str]:
    values = (MeanAndStd(mean=baseline.metrics.get(key)).format(metric_digits(key)) for key in metrics)
    return [baseline_title(record, baseline), "–", "–", *values]


def _variant_row(record: ComparisonRecord, line: VariantSummary, metrics: Sequence[str]) -> list[str]:
    found = record.recommendation
    below = found.differences.get(line.variant) if found else None
    if found is not None and found.highest == line.variant:
        text = "highest"
    else:
        text = "–" if below is None else _difference(below)
    return [line.variant, f"{line.seeds}" + (" (failed)" if line.failed else ""), text, *_values(line, metrics)]


def _values(line: VariantSummary, metrics: Sequence[str]) -> list[str]:
    return [line.metrics.get(key, MeanAndStd()).format(metric_digits(key)) for key in metrics]


def _difference(difference: Difference) -> str:
    if difference.half_width is None:
        return f"{difference.mean:.4f}, noise unknown"
    noise = "" if difference.beyond_noise else ", within noise"
    return f"{difference.mean:.4f} ± {difference.half_width:.4f}{noise}"


def _by_seconds(record: ComparisonRecord) -> list[Part]:
    points = [
        Point(name=baseline_title(record, baseline), seconds=0.0, value=baseline.metrics[_METRIC], trained=False)
        for baseline in record.baselines
        if _METRIC in baseline.metrics
    ]
    timed = []
    for line in record.summary:
        seconds, quality = line.metrics.get("seconds"), line.metrics.get(_METRIC)
        if seconds and quality and seconds.mean is not None and quality.mean is not None:
            timed.append(Point(name=line.variant, seconds=seconds.mean, value=quality.mean, std=quality.std))
    if not timed:
        return ["The seconds of the runs are not in the record."]
    return [
        f"The mean {metric_title(_METRIC)} of each variant, with its standard deviation over seeds, by the seconds of "
        "training: without loading the model, evaluations and saving. A variant is a good choice if no other one is "
        "higher at the same time.",
        metric_by_seconds([*points, *timed], metric_title(_METRIC)),
    ]


def _by_step(record: ComparisonRecord) -> list[Part]:
    curves = {}
    for line in record.summary:
        runs = [run for run in record.runs if run.variant == line.variant and run.map_at_r_by_step]
        if curve := _mean_curve(runs):
            curves[line.variant] = curve
    if not curves:
        return ["The evaluations by step are not in the record."]
    return [
        "The mean over seeds at each evaluation, from the encoder before training. A run stops after three evaluations "
        "without improvement, so the end of a curve may have fewer seeds than its start.",
        metric_by_step(curves, metric_title(_METRIC)),
    ]


def _mean_curve(runs: Sequence[TrialRecord]) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for run in runs:
        before = {0: run.before[_METRIC]} if run.before else {}
        for step, value in {
            **before,
            **{int(key): value for key, value in (run.map_at_r_by_step or {}).items()},
        }.items():
            if value is not None:
                values.setdefault(step, []).append(value)
    return {step: statistics.fmean(found) for step, found in sorted(values.items())}


def _runs(record: ComparisonRecord) -> list[Part]:
    columns = ["variant", "seed", metric_title(_METRIC), "best step", "steps", "budget", "s/run"]
    rows = [
        [run.variant, str(run.seed), _value(run.value(_METRIC), 4), _value(run.best_step), _value(run.steps),
         _value(run.budget_steps), _value(run.seconds, 1)]
        for run in record.runs
    ]  # fmt: skip
    return [
        "Steps below the budget: the run stopped early. The best step is the one whose model counts.",
        Table(f"All {len(rows)} runs", columns, rows, frozenset(range(1, len(columns))), folded=True),
    ]


def _value(value: Any, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
