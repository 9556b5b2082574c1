"""Define the colours, symbols, dashes and the layout that all plots have.

The colours are those of Okabe and Ito 2008, which colour-blind people can distinguish. A brown replaces their yellow,
which is too light for lines. Lines also differ in their dashes, and points in their symbols.
"""

from typing import Any

import plotly.colors
import plotly.graph_objects as go

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6000", "#000000")
# More colours for maps with more labels than `COLOURS`: Plotly's "Dark24".
MORE_COLOURS = tuple(plotly.colors.qualitative.Dark24)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "cross", "pentagon")
DASHES = ("solid", "dash", "dot", "dashdot")


def line_style(at: int) -> dict[str, Any]:
    """Return the colour and the dash of the line with this number."""
    return {"color": COLOURS[at % len(COLOURS)], "dash": DASHES[at % len(DASHES)], "width": 2}


def marker_style(at: int) -> dict[str, Any]:
    """Return a colour and a symbol. 8 colours and 9 symbols repeat independently, which gives 72 combinations."""
    return {"color": COLOURS[at % len(COLOURS)], "symbol": SYMBOLS[at % len(SYMBOLS)]}


def set_layout(figure: go.Figure, height: int) -> go.Figure:
    """Set the height, the margins and the font of a plot, and return it."""
    return figure.update_layout(
        template="plotly_white", height=height, margin={"l": 50, "r": 20, "t": 50, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1a1a1a"},
        hoverlabel={"align": "left"},
    )  # fmt: skip
