"""Draw the plots of decisions: precision by coverage, and a reliability diagram."""

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tercet.decisions.calibration import Reliability
from tercet.decisions.curves import RiskCoverage
from tercet.report.plot_style import COLOURS, line_style, set_layout

_MAX_POINTS = 1000
# The axis starts at the lowest precision from this coverage on. Below it, one wrong answer moves the curve far.
_FIRST_COVERAGE = 0.05


def precision_by_coverage(
    curve: RiskCoverage, chosen: tuple[float, float] | None = None, min_precision: float | None = None
) -> go.Figure:
    """Plot the precision of the answers by the fraction of rows that is answered.

    Args:
        curve: the curve. Of more than 1,000 points, a part that is evenly spread is drawn.
        chosen: coverage and precision at the chosen limits, drawn as a point; None draws none.
        min_precision: the promised precision, drawn as a dotted line; None draws none.
    """
    figure = go.Figure()
    count = len(curve.coverage)
    drawn = np.unique(np.linspace(0, max(0, count - 1), min(count, _MAX_POINTS)).astype(int))
    figure.add_scatter(
        x=curve.coverage[drawn].round(5).tolist(), y=curve.precision[drawn].round(5).tolist(),
        customdata=curve.threshold[drawn].round(4).tolist(), mode="lines" if count > 1 else "markers",
        line=line_style(0), name="precision of the answers",
        hovertemplate="%{x:.1%} answered, %{y:.1%} right<br>confidence from %{customdata:.3f}<extra></extra>",
    )  # fmt: skip
    if min_precision is not None:
        figure.add_hline(min_precision, line={"dash": "dot", "color": "#1a1a1a", "width": 1})
    if chosen is not None:
        figure.add_scatter(
            x=[chosen[0]], y=[chosen[1]], mode="markers", name="chosen",
            marker={"color": COLOURS[1], "symbol": "diamond", "size": 13},
            hovertemplate="chosen: %{x:.1%} answered, %{y:.1%} right<extra></extra>",
        )  # fmt: skip
    settled = curve.precision[curve.coverage >= _FIRST_COVERAGE]
    values = [*settled.tolist(), *([] if chosen is None else [chosen[1]]), min_precision or 1.0]
    lowest = math.floor(20 * min(values)) / 20 - 0.02
    figure.update_xaxes(title="coverage: rows that are answered", tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(title="precision", tickformat=".0%", range=[max(-0.02, lowest), 1.005])
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0})
    return set_layout(figure, height=380)


def reliability_diagram(found: Reliability) -> go.Figure:
    """Plot the fraction of right answers by confidence, and below it the number of rows of each bin.

    Args:
        found: the bins, of equal width.
    """
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.08)
    width = 1 / len(found.rows)
    centres = [(at + 0.5) * width for at in range(len(found.rows))]
    used = [at for at, rows in enumerate(found.rows) if rows]
    hover = [
        f"confidence {at * width:.2f} to {(at + 1) * width:.2f}: mean {found.confidence[at]:.1%}<br>"
        f"{found.accuracy[at]:.1%} of {found.rows[at]:,} rows right"
        for at in used
    ]
    shared = {"customdata": hover, "hovertemplate": "%{customdata}<extra></extra>", "width": 0.94 * width}
    figure.add_bar(
        x=[centres[at] for at in used], y=[round(found.accuracy[at], 5) for at in used], name="right",
        marker_color=COLOURS[0], opacity=0.8, row=1, col=1, **shared,
    )  # fmt: skip
    figure.add_scatter(
        x=[round(found.confidence[at], 5) for at in used], y=[round(found.accuracy[at], 5) for at in used],
        mode="markers", name="mean confidence", marker={"color": COLOURS[1], "symbol": "diamond", "size": 9},
        hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as sure as right", hoverinfo="skip",
        line={"dash": "dot", "color": "#1a1a1a", "width": 1}, row=1, col=1,
    )  # fmt: skip
    figure.add_bar(
        x=[centres[at] for at in used], y=[found.rows[at] for at in used], showlegend=False, marker_color="#9a9a9a",
        row=2, col=1, **shared,
    )  # fmt: skip
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_xaxes(title="confidence", row=2, col=1)
    figure.update_yaxes(title="right", tickformat=".0%", range=[0, 1.02], row=1, col=1)
    figure.update_yaxes(title="rows", row=2, col=1)
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0})
    return set_layout(figure, height=480)
