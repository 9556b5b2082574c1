"""Draw the plots of a comparison as plotly figures: the metric of each variant by time and by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from tercet.report.plot_style import line_style, marker_style, set_layout
from tercet.report.text import for_plot, names_for_plot


@dataclass(frozen=True, kw_only=True)
class Point:
    """A variant in the plot of a metric by seconds.

    Attributes:
        name: the name of the variant.
        seconds: the mean seconds of its runs; 0 without training.
        value: the mean of the metric.
        std: the standard deviation of the metric over seeds; None if it is unknown.
        trained: False for an encoder without training, which is drawn in grey.
    """

    name: str
    seconds: float
    value: float
    std: float | None = None
    trained: bool = True


def metric_by_seconds(points: Sequence[Point], title: str) -> go.Figure:
    """Plot a metric by the seconds of training: one point for each variant, with its standard deviation over seeds.

    Args:
        points: the variants, and the encoders without training.
        title: the title of the metric.

    Example:
        >>> metric_by_seconds([Point(name="head", seconds=7.0, value=0.72)], "MAP@R").data[0].name
        'head'
    """
    figure = go.Figure()
    number = 0
    for point, name in zip(points, names_for_plot([point.name for point in points]), strict=True):
        style = {**marker_style(number), "size": 11}
        if point.trained:
            number += 1
        else:
            style = {"color": "#767676", "symbol": "line-ew-open", "size": 14}
        spread = None if point.std is None else {"type": "data", "array": [point.std], "thickness": 1.5}
        figure.add_scatter(
            x=[point.seconds], y=[point.value], name=name, mode="markers", marker=style, error_y=spread,
            hovertemplate="%{x:.1f} s: %{y:.4f}<extra>" + name + "</extra>", cliponaxis=False,
        )  # fmt: skip
    figure.update_xaxes(title="seconds of training per run", rangemode="tozero")
    figure.update_yaxes(title=for_plot(title))
    figure.update_layout(showlegend=True)
    return set_layout(figure, height=420)


def metric_by_step(curves: Mapping[str, Mapping[int, float]], title: str) -> go.Figure:
    """Plot a metric by step, one curve for each variant.

    Args:
        curves: the value of the metric by step, by the name of the variant. A curve of one step is a point.
        title: the title of the metric.

    Example:
        >>> metric_by_step({"head": {0: 0.4, 10: 0.6}}, "MAP@R").data[0].y
        (0.4, 0.6)
    """
    figure = go.Figure()
    for at, (name, curve) in enumerate(zip(names_for_plot(list(curves)), curves.values(), strict=True)):
        steps = sorted(curve)
        figure.add_scatter(
            x=steps, y=[curve[step] for step in steps], name=name, mode="lines+markers", line=line_style(at),
            marker=marker_style(at), hovertemplate="step %{x}: %{y:.4f}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="step", rangemode="tozero")
    figure.update_yaxes(title=for_plot(title))
    figure.update_layout(showlegend=True)
    return set_layout(figure, height=420)
