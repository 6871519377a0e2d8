"""How often did a bar gain or lose how much? The returns as they were, and as a normal distribution would have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evolve.charts.picture import (
    BOTTOM,
    LEFT,
    LEGEND_ROW,
    RIGHT,
    TOP,
    Caption,
    new_figure,
    percent,
    style,
    write_caption,
    write_legend,
)
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest
from evolve.market.bars import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAIL = 0.05
LEAST = 20  # below, a histogram is a row of single bars
EDGE = (
    0.002  # of the returns on each side that lie beyond the axis: one crash must not squeeze the rest into one column
)


def return_distribution_figure(returns: Floats, caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """returns: simple, one fraction per bar, no NaN. Raises InvalidRequest for fewer than 20, or returns that are all equal."""
    if len(returns) < LEAST or float(returns.std()) == 0.0:
        raise InvalidRequest(f"a distribution needs at least {LEAST} returns that differ, not {len(returns)}")
    colours = THEMES[theme]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - 2 * LEGEND_ROW, bottom=BOTTOM + 0.03)
    style(axes, colours)
    low, high = np.quantile(returns, [EDGE, 1 - EDGE]) if len(returns) >= 1 / EDGE else (returns.min(), returns.max())
    edges = np.linspace(100 * low, 100 * high, 61 if len(returns) > 500 else 31)
    mean, deviation = 100 * float(returns.mean()), 100 * float(returns.std(ddof=1))
    counts, _ = np.histogram(np.clip(100 * returns, edges[0], edges[-1]), edges)
    worst = float(np.quantile(returns, TAIL))
    beyond = float(returns[returns <= worst].mean())
    tints = [colours.fall if edge < 100 * worst else colours.lines[0] for edge in edges[:-1]]
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=tints, linewidth=0)
    width = edges[1] - edges[0]
    normal = len(returns) * width / (deviation * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((edges - mean) / deviation) ** 2)
    (bell,) = axes.plot(
        edges, normal, color=colours.text, linewidth=1.8, linestyle="--", label=f"normal, σ {deviation:.2f} %"
    )
    mark = axes.axvline(100 * worst, color=colours.lines[1], linewidth=2, label=f"worst 5 % below {100 * worst:.2f} %, their mean {100 * beyond:.2f} %".replace("-", "−"))  # fmt: skip
    axes.set_ylim(0, 1.05 * max(float(np.max(counts)), float(normal.max())))
    axes.set_ylabel(f"Bars (of {len(returns):,})")
    axes.set_xlabel("Return of a bar; the outermost columns hold what lies beyond")
    percent(axes.xaxis)
    write_legend(figure, [mark, bell], colours, columns=1)
    write_caption(figure, caption, colours)
    return figure
