"""Was it good all along, or once? Sharpe ratio and volatility of the last bars, over time."""

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
    as_dates,
    date_axis,
    new_figure,
    percent,
    style,
    write_caption,
    write_legend,
)
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest
from evolve.market.bars import Floats, Stamps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rolling_moments(returns: Floats, window: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation (ddof 1) of each `window` consecutive returns, shape (returns − window + 1,)."""
    stretches = np.lib.stride_tricks.sliding_window_view(returns, window)
    return stretches.mean(axis=1), stretches.std(axis=1, ddof=1)


def rolling_metrics_figure(
    series: dict[str, Floats],
    time: Stamps,
    caption: Caption,
    *,
    window: int,
    bars_per_year: float,
    theme: ThemeName = "light",
) -> Figure:
    """series: name → net returns per bar, shape (bars,), all over `time` (Unix ms). Raises InvalidRequest for too few bars."""
    if window < 2 or len(time) < window + 1:
        raise InvalidRequest(f"{len(time)} bars are too few for a window of {window}; give a smaller window_bars")
    colours = THEMES[theme]
    figure = new_figure(theme)
    upper, lower = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - LEGEND_ROW, bottom=BOTTOM, hspace=0.1)
    dates = as_dates(time[window - 1 :])
    handles: list[object] = []
    for number, (name, returns) in enumerate(series.items()):
        mean, deviation = rolling_moments(returns, window)
        # No movement is no ratio: a gap, not a division by zero.
        ratio = np.divide(mean, deviation, out=np.full(len(mean), np.nan), where=deviation > 1e-12) * np.sqrt(
            bars_per_year
        )
        look = {"color": colours.lines[number % len(colours.lines)], "linewidth": 2.2 if number == 0 else 1.5}
        handles += upper.plot(dates, ratio, label=name, **look)
        lower.plot(dates, 100 * deviation * np.sqrt(bars_per_year), **look)
    upper.axhline(0, color=colours.muted, linewidth=1)
    upper.set_ylabel("Sharpe ratio a year")
    lower.set_ylabel("Volatility a year")
    lower.set_ylim(bottom=0)
    percent(lower.yaxis)
    date_axis(lower)
    for axes in (upper, lower):
        style(axes, colours)
    figure.align_ylabels((upper, lower))
    write_legend(figure, handles, colours, columns=min(4, len(handles)))
    write_caption(figure, caption, colours)
    return figure
