"""Print the tables of a comparison: the metrics of each variant, and the recommendation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tercet.catalogue import CLASSIFIERS, METRICS, metric_digits, metric_title, metrics_of_levels, protocol_title
from tercet.cli.console import cell, terminal
from tercet.cli.evaluations import sentence_case
from tercet.comparison.recommendation import compared_metrics
from tercet.records import ComparisonRecord, MeanAndStd, baseline_title, classifier_rows

if TYPE_CHECKING:
    from rich.table import Table

# If the console has at least this many columns, one table shows all metrics. Otherwise speed and memory get a
# table of their own, because rich would cut off columns.
_WIDE = 130
_VARIANT_WIDTH = 22


def print_comparison(record: ComparisonRecord) -> None:
    """Print the metrics of each variant (mean ± standard deviation over seeds), the failures and the recommendation."""
    console = terminal()
    metrics = compared_metrics()
    quality = [key for key in metrics if METRICS[key].kind == "quality"]
    title = f"{sentence_case(protocol_title(record.protocol))}, mean ± standard deviation over seeds"
    if console.width >= _WIDE:
        console.print(_table(record, metrics, title))
    else:
        console.print(_table(record, quality, title))
        console.print(_table(record, [key for key in metrics if key not in quality], "The same runs: speed and memory"))
    if of_levels := metrics_of_levels(key for line in record.summary for key in line.metrics):
        console.print(_table(record, of_levels, "The same runs: the levels of the labels"))
    for table in _classifier_tables(record):
        console.print(table)
    for line in record.summary:
        for seed, reason in line.failed.items():
            console.print(cell(f"{line.variant}, seed {seed} failed: {reason}"))
    if record.rows is not None:
        console.print(cell(record.rows.describe()))
    console.print(cell(record.describe_budget()))
    if (recommended := record.recommendation) is not None:
        console.print(cell(f"Recommended: {recommended.variant}"), style="bold")
        console.print(cell(recommended.reason))
    if (gain := record.gain) is not None:
        console.print(cell(f"{gain.title}: {gain.sentence}"))


def _classifier_tables(record: ComparisonRecord) -> Iterator["Table"]:
    titles: dict[Literal["accuracy", "macro_f1"], str] = {
        "accuracy": "Accuracy: evaluation sentences classified by the training sentences",
        "macro_f1": "Macro-F1 of the same classifiers",
    }
    for score, title in titles.items():
        if rows := classifier_rows(record, score, list(CLASSIFIERS)):
            table = _new_table(title, CLASSIFIERS.values())
            for name, *values in rows:
                table.add_row(cell(name), *values)
            yield table


def _new_table(title: str, columns: Iterable[str]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title=cell(title), title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False,
    )  # fmt: skip
    # With a minimum instead of a width, rich makes this column narrower and then wide again, and cuts the last one.
    width = {"min_width": _VARIANT_WIDTH} if terminal().width >= _WIDE else {"width": _VARIANT_WIDTH}
    table.add_column("variant", **width)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _table(record: ComparisonRecord, metrics: Sequence[str], title: str) -> "Table":
    table = _new_table(title, map(metric_title, metrics))
    for baseline in record.baselines:
        values = {key: MeanAndStd(mean=value) for key, value in baseline.metrics.items()}
        table.add_row(cell(baseline_title(record, baseline)), *_cells(values, metrics))
    for line in record.summary:
        if line.seeds:
            table.add_row(cell(line.variant), *_cells(line.metrics, metrics))
        for seed in line.failed:
            table.add_row(cell(f"{line.variant}, seed {seed}"), "failed", *("–" for _ in metrics[1:]))
    return table


def _cells(values: Mapping[str, MeanAndStd], metrics: Sequence[str]) -> list[str]:
    return [values.get(key, MeanAndStd()).format(metric_digits(key)) for key in metrics]
