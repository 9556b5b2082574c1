"""Draw the plots of classified evaluation rows: accuracy before and after training, and a confusion matrix."""

import textwrap

import numpy as np
import plotly.colors
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tercet.catalogue import CLASSIFIERS
from tercet.records import TrainingGain
from tercet.report.plot_style import COLOURS, set_layout
from tercet.report.text import names_for_plot

# The outcomes as titles that are understood without the method.
TITLES = {
    "worth it": "Training was worth it",
    "no difference": "Training made no difference to the accuracy beyond noise",
    "worse": "Training made the accuracy worse",
    "already separated": "The encoder already separates the labels",
    "at chance": "Training was not worth it: accuracy is at chance",
}
# Scales that leave a dark number readable.
_RIGHT, _WRONG = ("#dcebf7", "#7fb8e0"), ("#fde3cf", "#f0803c")
_NAME_PIXELS = 190


def accuracy_bars(gain: TrainingGain) -> go.Figure:
    """Plot the accuracy of each classifier on both encoders, and below it the difference of the best ones.

    The title is the outcome. The difference is a point on a line that is its 95% confidence interval: training made a
    difference beyond noise if the line does not cross 0.
    """
    figure = make_subplots(
        2, 1, row_heights=[0.8, 0.2], vertical_spacing=0.3,
        subplot_titles=["", "Change, in points"],
    )  # fmt: skip
    keys = list(CLASSIFIERS)
    for at, (name, side) in enumerate((("untouched encoder", gain.untouched), ("trained model", gain.trained))):
        shown = [key for key in keys if key in side.classifiers]
        values = [side.classifiers[key].accuracy for key in shown]
        texts = [
            f"<b>{value:.1%}</b>" if key == side.best else f"{value:.1%}"
            for key, value in zip(shown, values, strict=True)
        ]
        figure.add_bar(
            x=values, y=[CLASSIFIERS[key] for key in shown], orientation="h", name=name, text=texts,
            textposition="outside", cliponaxis=False, marker_color=("#9a9a9a", COLOURS[0])[at],
            hovertemplate="%{y}: %{x:.1%}<extra>" + name + "</extra>", row=1, col=1,
        )  # fmt: skip
    figure.add_vline(gain.most_frequent_accuracy, row=1, col=1, line={"dash": "dot", "color": "#1a1a1a", "width": 1})
    found = gain.accuracy
    low, high, middle = (100 * value for value in (found.low, found.high, found.difference))
    # The difference may be outside of its interval, which corrects the bias of choosing the best on the same rows.
    figure.add_scatter(
        x=[low, high], y=[0, 0], mode="lines", line={"color": COLOURS[0], "width": 4}, showlegend=False,
        hoverinfo="skip", row=2, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=[middle], y=[0], mode="markers+text", marker={"size": 13, "color": COLOURS[0]}, showlegend=False,
        text=[f"{middle:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "−")], textposition="top center",
        hovertemplate="%{text}<extra></extra>", cliponaxis=False, row=2, col=1,
    )  # fmt: skip
    figure.add_vline(0, row=2, col=1, line={"color": "#1a1a1a", "width": 1})
    widest = 1.3 * max(abs(low), abs(high), abs(middle), 1)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.2], tickvals=[0, 0.5, 1], title="accuracy", row=1, col=1)
    figure.update_xaxes(range=[-widest, widest], zeroline=False, row=2, col=1)
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix=" ", row=1, col=1)
    figure.update_yaxes(visible=False, range=[-1, 2], row=2, col=1)
    figure.update_layout(
        title="<br>".join(textwrap.wrap(TITLES[gain.outcome], 34)), barmode="group", bargap=0.25,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.06, "xanchor": "right", "x": 1},
    )  # fmt: skip
    set_layout(figure, height=480)
    return figure.update_layout(margin_t=110)


def confusion_matrix(label_ids: np.ndarray, predicted: np.ndarray, order: np.ndarray, names: list[str]) -> go.Figure:
    """Plot how often each label is predicted for the sentences of each label. Cells without a sentence are not drawn.

    The figure has a fixed width that grows with the number of labels, so the page scrolls.

    Args:
        label_ids: the given label ids `(n,)`.
        predicted: the predicted label ids `(n,)`.
        order: the label ids to draw `(k,)`, the first at the top and at the left.
        names: the names of all labels.
    """
    place = np.full(len(names), -1)
    place[order] = np.arange(len(order))
    used = (place[label_ids] >= 0) & (place[predicted] >= 0)
    cells, counts = np.unique(np.stack([place[label_ids[used]], place[predicted[used]]]), axis=1, return_counts=True)
    sizes = np.bincount(label_ids, minlength=len(names))[order]
    short = names_for_plot([names[label_id] for label_id in order])
    cell = int(np.clip(640 // max(len(order), 1), 18, 44))
    figure = go.Figure()
    for name, scale, mine in (("right", _RIGHT, cells[0] == cells[1]), ("wrong", _WRONG, cells[0] != cells[1])):
        rows, columns, number = cells[0][mine], cells[1][mine], counts[mine]
        fractions = number / sizes[rows]
        hover = [
            f"given: {short[row]}<br>predicted: {short[column]}<br>{count:,} of {sizes[row]:,} sentences"
            for row, column, count in zip(rows, columns, number, strict=True)
        ]
        figure.add_scatter(
            x=columns.tolist(), y=rows.tolist(), mode="markers+text", name=name, text=[f"{n}" for n in number],
            textfont={"size": 10 if cell < 26 else 12, "color": "#1a1a1a"}, customdata=hover,
            hovertemplate="%{customdata}<extra></extra>",
            marker={
                "symbol": "square", "size": cell - 1, "line": {"width": 0}, "opacity": 1,
                "color": plotly.colors.sample_colorscale(list(scale), np.sqrt(fractions).tolist()),
            },
        )  # fmt: skip
    places = list(range(len(order)))
    axis = {"tickvals": places, "ticktext": short, "showgrid": False, "zeroline": False, "tickfont": {"size": 11}}
    ends = -0.5, len(order) - 0.5
    figure.update_xaxes(**axis, range=ends, side="top", tickangle=-90, title="predicted label")
    figure.update_yaxes(**axis, range=ends[::-1], title="given label")
    set_layout(figure, height=_NAME_PIXELS + 20 + cell * len(order))
    return figure.update_layout(
        width=_NAME_PIXELS + 20 + cell * len(order), showlegend=False, hovermode="closest",
        margin={"l": _NAME_PIXELS, "t": _NAME_PIXELS, "r": 20, "b": 20},
    )  # fmt: skip
