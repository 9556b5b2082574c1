"""Print the tables of a comparison: the metrics of each variant, and the recommendation."""

from collections.abc import Iterator, Mapping, Sequence
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
# Characters around the values of a column.
_PADDING = 2


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
            yield _rendered(title, list(CLASSIFIERS.values()), rows)


def _rendered(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """Return a table with the name of a variant and its values in each row."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=cell(title), title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False,
    )  # fmt: skip
    # Names may be cut into lines, numbers may not. If rich chose this width, it would cut off the last column.
    values = zip(columns, *(values for _, *values in rows), strict=True)
    of_values = sum(_PADDING + max(map(len, [*name.split(), *cells])) for name, *cells in values)
    longest = max((len(name) for name, *_ in rows), default=0)
    width = min(longest, max(_VARIANT_WIDTH, terminal().width - _PADDING - of_values))
    table.add_column("variant", width=max(width, len("variant")), overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    for name, *cells in rows:
        table.add_row(cell(name), *cells)
    return table


def _table(record: ComparisonRecord, metrics: Sequence[str], title: str) -> "Table":
    rows = []
    for baseline in record.baselines:
        values = {key: MeanAndStd(mean=value) for key, value in baseline.metrics.items()}
        rows.append([baseline_title(record, baseline), *_cells(values, metrics)])
    for line in record.summary:
        if line.seeds:
            rows.append([line.variant, *_cells(line.metrics, metrics)])
        rows += [[f"{line.variant}, seed {seed}", "failed", *("–" for _ in metrics[1:])] for seed in line.failed]
    return _rendered(title, list(map(metric_title, metrics)), rows)


def _cells(values: Mapping[str, MeanAndStd], metrics: Sequence[str]) -> list[str]:
    return [values.get(key, MeanAndStd()).format(metric_digits(key)) for key in metrics]
