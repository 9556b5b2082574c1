"""Draw the plots of training runs and inspections as plotly figures, for reports and notebooks."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tercet.report.plot_style import COLOURS, MORE_COLOURS, SYMBOLS, line_style, marker_style, set_layout
from tercet.report.text import for_plot, names_for_plot, wrapped_for_plot

_NUM_BINS = 60
_MAX_POINTS = 1000
# The keys of the training log that are plotted, and their names in the legend.
_LOG_NAMES = {
    "loss": "loss", "active_fraction": "active fraction", "anchors_without_triplet": "anchors without a triplet",
    "positive_distance": "to positives", "negative_distance": "to negatives",
    "hardest_positive_distance": "to the farthest positive", "hardest_negative_distance": "to the nearest negative",
}  # fmt: skip


def training_curves(log: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Plot the loss, the fractions and the distances by step.

    A curve has at most 1,000 points. Of a longer log, every k-th entry is plotted, including the last one.

    Args:
        log: `trainer.state.log_history`.
    """
    panels = (
        ("Loss", ("loss",)),
        ("Fractions", ("active_fraction", "anchors_without_triplet")),
        ("Distances", ("positive_distance", "negative_distance", "hardest_positive_distance",
                       "hardest_negative_distance")),
    )  # fmt: skip
    figure = make_subplots(
        3, 1, shared_xaxes=True, subplot_titles=[title for title, _ in panels], vertical_spacing=0.08
    )
    styles = itertools.count()  # counted over all panels, because they share one legend
    for row, (_, names) in enumerate(panels, 1):
        for name, at in zip(names, styles, strict=False):
            entries = [(entry["step"], float(entry[name])) for entry in log if name in entry and "step" in entry]
            if entries:
                entries = _thinned(entries)
                steps, values = zip(*entries, strict=True)
                figure.add_scatter(x=steps, y=values, name=_LOG_NAMES[name], mode="lines+markers",
                                   line=line_style(at), marker=marker_style(at), row=row, col=1)  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(title="step", row=3, col=1)
    return set_layout(figure, height=640)


def _thinned(entries: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return every k-th entry, including the last, with the smallest k that gives at most `_MAX_POINTS` entries."""
    return entries[:: -math.ceil(len(entries) / _MAX_POINTS)][::-1]


def metric_curves(
    log: Sequence[Mapping[str, Any]],
    before: Mapping[str, float] | None,
    after: Mapping[str, float] | None,
    titles: Mapping[str, str],
) -> go.Figure:
    """Plot metrics by step: before training, at each evaluation of the log, and after training.

    If the log has no evaluation, each metric is a row with two points, before and after training.

    Args:
        log: `trainer.state.log_history`.
        before: the metrics before training.
        after: the metrics after training.
        titles: the metrics to plot: a mapping from their keys to their titles.
    """
    if before and after and not any(f"eval_{key}" in entry for entry in log for key in titles):
        known = [key for key in titles if before and after and key in before and key in after]
        first, final = before or {}, after or {}
        return _changes(
            [for_plot(titles[key]) for key in known],
            [final[key] for key in known],
            [first[key] for key in known],
            ".4f",
        )
    last = max((entry.get("step", 0) for entry in log), default=0)
    figure = go.Figure()
    for at, (key, title) in enumerate(titles.items()):
        points = {entry["step"]: entry[f"eval_{key}"] for entry in log if f"eval_{key}" in entry}
        points |= {step: part[key] for step, part in ((0, before), (last, after)) if part and key in part}
        if points:
            steps = sorted(points)
            figure.add_scatter(x=steps, y=[points[step] for step in steps], name=for_plot(title),
                               mode="lines+markers", line=line_style(at), marker=marker_style(at))  # fmt: skip
    figure.update_xaxes(title="step")
    return set_layout(figure, height=360)


def distance_histograms(
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
    *,
    margin: float | None,
    distance: str = "euclidean",
) -> go.Figure:
    """Plot histograms of the distances of positive and negative pairs, before and after training.

    Args:
        before: the distances before training: one array for pairs with the same label, one for different labels.
        after: the two arrays after training.
        margin: the width of a grey band that starts at the mean distance of the positive pairs; None draws no band.
        distance: the name of the distance, for the title of the axis.
    """
    figure = make_subplots(2, 1, shared_xaxes=True, subplot_titles=["Before", "After"], vertical_spacing=0.12)
    edges = np.histogram_bin_edges(np.concatenate([*before, *after]), _NUM_BINS)
    for row, samples in enumerate((before, after), 1):
        for at, (name, sample) in enumerate(zip(("same label", "other labels"), samples, strict=True)):
            fractions = np.histogram(sample, edges)[0] / max(1, len(sample))
            # Add a point at both ends, so that the step line starts and ends at 0.
            figure.add_scatter(
                x=np.concatenate([edges[:1], edges]).round(5).tolist(),
                y=np.concatenate([[0], fractions, [0]]).round(6).tolist(),
                name=name, legendgroup=name, showlegend=row == 1, mode="lines", line={**line_style(at), "shape": "hv"},
                fill="tozeroy", hovertemplate="%{x:.3f}: %{y:.1%}<extra>" + name + "</extra>", row=row, col=1,
            )  # fmt: skip
        if margin is not None and len(samples[0]):
            start = float(samples[0].mean())
            figure.add_vrect(start, start + margin, row=row, col=1, fillcolor="#767676", opacity=0.25, line_width=0)
            figure.add_annotation(x=start, y=0.98, yref="y domain" if row == 1 else "y2 domain", yanchor="top",
                                  xanchor="left", row=row, col=1, showarrow=False,
                                  text=f"margin {margin:g}")  # fmt: skip
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(title=f"{distance} distance", row=2, col=1)
    return set_layout(figure, height=520)


def embedding_map(
    points: np.ndarray, label_ids: np.ndarray, label_names: Sequence[str], sentences: Sequence[str], title: str = ""
) -> go.Figure:
    """Plot n sentences as points, coloured by label. A click on a label in the legend hides all other labels.

    In the report of a run, the click highlights the label on both maps instead.

    Args:
        points: the coordinates `(n, 2)` of the points.
        label_ids: the label ids `(n,)`, indices into `label_names`.
        label_names: the names of the labels.
        sentences: the texts, shown when the pointer is over a point.
        title: the title of the plot.
    """
    figure = go.Figure()
    present = np.unique(label_ids).tolist()
    short_names = names_for_plot([label_names[label_id] for label_id in present])
    for at, (label_id, name) in enumerate(zip(present, short_names, strict=True)):
        rows = np.flatnonzero(label_ids == label_id).tolist()
        # If `meta` is set, plotly treats a trace name such as %{x} as a template. So the hover text takes the label
        # from `customdata`.
        figure.add_scatter(
            x=points[rows, 0].round(2).tolist(), y=points[rows, 1].round(2).tolist(), name=name,
            mode="markers", marker={**_map_marker(at, len(present)), "opacity": 0.8},
            text=[wrapped_for_plot(sentences[row]) for row in rows],
            customdata=[wrapped_for_plot(label_names[label_id], 30, 60)] * len(rows),
            hovertemplate="%{text}<extra>%{customdata}</extra>",
        )  # fmt: skip
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(
        title=for_plot(title), hovermode="closest",
        legend={"itemclick": "toggleothers", "itemdoubleclick": "toggle", "font": {"size": 11}},
    )  # fmt: skip
    return set_layout(figure, height=520)


def recall_of_labels(
    labels: Sequence[str],
    after: Sequence[float],
    before: Sequence[float] | None = None,
    max_labels: int = 30,
    sizes: Sequence[int] | None = None,
) -> go.Figure:
    """Plot the recall@1 of labels, before and after training.

    Args:
        labels: the names of the labels, the one to draw at the top first.
        after: the recall@1 of each label after training.
        before: the recall@1 of each label before training; None draws only `after`.
        max_labels: the maximum number of labels to plot, counted from the first.
        sizes: the number of sentences of each label, shown after its name; None shows only the names.
    """
    counts = ["" if sizes is None else f" ({size:,})" for size in sizes or labels]
    ticks = [for_plot(label, 28) + count for label, count in zip(labels, counts, strict=True)][:max_labels]
    return _changes(
        ticks, list(after)[:max_labels], None if before is None else list(before)[:max_labels], ".0%", "recall@1"
    )


def _changes(
    ticks: Sequence[str], after: Sequence[float], before: Sequence[float] | None, form: str, title: str = ""
) -> go.Figure:
    """Plot values between 0 and 1, one row each: a point before training, a point after it, and a line between them."""
    shown = list(range(len(ticks)))
    figure = go.Figure()
    if before is not None:
        ends = [(before[at], after[at], None) for at in shown]  # None ends the line of a label
        figure.add_scatter(x=[x for end in ends for x in end], y=[y for at in shown for y in (at, at, None)],
                           mode="lines", hoverinfo="skip", showlegend=False,
                           line={"color": "#767676", "width": 1})  # fmt: skip
    for number, (name, values) in enumerate((("before", before), ("after", after))):
        if values is not None:
            figure.add_scatter(
                x=list(values), y=shown, name=name, mode="markers", cliponaxis=False,
                marker={**marker_style(number), "size": 9}, text=ticks,
                hovertemplate="%{text}: %{x:" + form + "}<extra>" + name + "</extra>",
            )  # fmt: skip
    figure.update_yaxes(tickvals=shown, ticktext=list(ticks), autorange="reversed", automargin=True)
    figure.update_xaxes(title=title, tickformat=".0%" if form.endswith("%") else ".1f", range=[-0.02, 1.02])
    return set_layout(figure, height=140 + 20 * len(shown))


def bars(names: Sequence[str], values: Sequence[float], title: str) -> go.Figure:
    """Plot values as horizontal bars, the first one at the top; `title` is the title of the horizontal axis."""
    places, ticks = list(range(len(names))), [for_plot(name, 28) for name in names]
    figure = go.Figure(go.Bar(x=list(values), y=places, orientation="h", marker_color=COLOURS[0], customdata=ticks,
                              hovertemplate="%{customdata}: %{x}<extra></extra>"))  # fmt: skip
    figure.update_yaxes(tickvals=places, ticktext=ticks, autorange="reversed", automargin=True)
    figure.update_xaxes(title=title)
    figure.update_layout(showlegend=False)
    return set_layout(figure, height=140 + 20 * len(places))


def active_by_margin(margins: Sequence[float], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """Plot the fraction of active triplets by margin.

    Args:
        margins: the margins.
        curves: for each name in the legend, the active fraction at each margin.
    """
    figure = go.Figure()
    for at, (name, values) in enumerate(curves.items()):
        figure.add_scatter(x=list(margins), y=list(values), name=name, mode="lines+markers",
                           line=line_style(at), marker=marker_style(at))  # fmt: skip
    figure.update_xaxes(title="margin")
    figure.update_yaxes(title="active fraction", tickformat=".0%", range=[-0.02, 1.02])
    return set_layout(figure, height=380)


def _map_marker(at: int, num_labels: int) -> dict[str, Any]:
    """Return the marker of a label on a map. Colours repeat, with another symbol, only after all have been used."""
    colours = COLOURS if num_labels <= len(COLOURS) else MORE_COLOURS
    symbol = SYMBOLS[at // len(colours) % len(SYMBOLS)]
    return {"color": colours[at % len(colours)], "symbol": symbol, "size": 7 if num_labels <= len(colours) else 9}
