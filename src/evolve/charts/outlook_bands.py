"""Where may the close be after a model's horizon? Its bands around the median, the narrow inside the wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evolve.charts.picture import LEFT, RIGHT, Caption, new_figure, style, write_caption
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence, render_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (9.6, 3.6)  # inches: three bars need no more
BESIDE = 0.16  # of the widest band, on either side of it, for the figure at its end
STRONGEST, FAINTEST = 0.75, 0.25  # opacity of the narrowest and of the widest band


def outlook_figure(outlook: Sequence[Evidence], caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """One bar a band, with its ends written. outlook: of a model card. Raises InvalidRequest when it holds no band."""
    bands = sorted((item for item in outlook if item.low is not None), key=lambda item: item.level or 0.0)
    if not bands:
        raise InvalidRequest("the outlook holds no band to draw")
    colours = THEMES[theme]
    figure = new_figure(theme, size=SIZE)
    axes = figure.subplots()
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=0.84, bottom=0.23)
    for row, band in enumerate(bands):
        assert band.low is not None
        assert band.high is not None
        share = row / max(1, len(bands) - 1)
        opacity = STRONGEST + share * (FAINTEST - STRONGEST)
        axes.barh(row, band.high - band.low, left=band.low, height=0.55, color=colours.lines[0], alpha=opacity)
        for at, side in ((band.low, "right"), (band.high, "left")):
            axes.annotate(
                render_value(at, band.unit), (at, row), xytext=(-5 if side == "right" else 5, 0), textcoords="offset points",
                ha=side, va="center", fontsize=11, color=colours.text,
            )  # fmt: skip
    median = next((item.value for item in outlook if item.name == "median"), None)
    if isinstance(median, float):
        axes.axvline(median, color=colours.text, linewidth=1.6)
    axes.set_yticks(range(len(bands)), [f"{band.level:.0%}" for band in bands])
    widest = bands[-1]
    assert widest.low is not None
    assert widest.high is not None
    beside = BESIDE * (widest.high - widest.low)
    axes.set_xlim(widest.low - beside, widest.high + beside)
    axes.set_xlabel("Close")
    style(axes, colours)
    axes.grid(False, axis="y")
    write_caption(figure, caption, colours)
    return figure
