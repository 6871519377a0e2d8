"""What did the price do, bar by bar? Candles with averages, volume, RSI, and where a model bought and sold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    style,
    write_caption,
    write_legend,
)
from evolve.charts.theme import THEMES, Theme, ThemeName
from evolve.errors import InvalidRequest
from evolve.market import indicators
from evolve.market.bars import Bars, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

RSI_BARS = 14
RSI_LOW, RSI_HIGH = 30.0, 70.0  # Wilder's marks of a market that fell or rose fast
BODY = 0.7  # of a bar's width
MAX_BODIES = (
    400  # beyond, a body is thinner than the line around it: high-low strokes in the body's colour say the same
)
LABELS = 6


@dataclass(frozen=True, slots=True)
class Signals:
    """Bars at whose close a target position was raised (buys) or lowered (sells), as indices into the bars drawn."""

    buys: Sequence[int] = ()
    sells: Sequence[int] = ()


def candlestick_figure(
    bars: Bars,
    caption: Caption,
    *,
    shown: int,
    averages: Sequence[int] = (20, 50),
    signals: Signals | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """The last `shown` bars. averages: windows in bars; they and RSI use the bars before, so that they begin at the first candle.

    Bars stand side by side without gaps for nights and weekends. Raises InvalidRequest for fewer than two bars.
    """
    if len(bars) < 2 or shown < 2:
        raise InvalidRequest("candlesticks need at least 2 bars; ask for a longer stretch")
    colours = THEMES[theme]
    shown = min(shown, len(bars))
    figure = new_figure(theme)
    price, volume, strength = figure.subplots(3, 1, sharex=True, height_ratios=(4, 1, 1))
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - LEGEND_ROW, bottom=BOTTOM, hspace=0.09)
    part = bars.slice(len(bars) - shown, len(bars))
    for axes in (price, volume, strength):
        style(axes, colours)

    _candles(price, part, colours)
    handles = []
    for number, window in enumerate(averages):
        mean = indicators.sma(bars.close, window=window)[-shown:]
        colour = colours.lines[(3, 2)[number % 2]]  # neither of the candles' colours
        handles += price.plot(mean, color=colour, linewidth=1.8, label=f"mean of {window} bars")
    handles += _signals(price, part, signals or Signals(), colours)
    _volume(volume, part, colours)
    _rsi(strength, indicators.rsi(bars.close, window=RSI_BARS)[-shown:], colours)

    price.set_ylabel(f"Price ({bars.currency})")
    _bar_axis(strength, part)
    figure.align_ylabels((price, volume, strength))
    if handles:
        write_legend(figure, handles, colours, columns=4)
    write_caption(figure, caption, colours)
    return figure


def _candles(axes: Axes, bars: Bars, colours: Theme) -> None:
    # Told apart by brightness too, not by hue alone: blue gains, orange losses (Okabe & Ito).
    for rose, colour in ((True, colours.rise), (False, colours.fall)):
        at = np.flatnonzero((bars.close >= bars.open) == rose)
        if len(bars) > MAX_BODIES:
            _strokes(axes, at, bars.low[at], bars.high[at], colour)
        else:
            axes.vlines(at, bars.low[at], bars.high[at], color=colour, linewidth=1.2)
            least = 0.0005 * float(bars.high.max() - bars.low.min())  # an unchanged bar is a line, not nothing
            axes.bar(
                at,
                np.maximum(np.abs(bars.close - bars.open)[at], least),
                bottom=np.minimum(bars.close, bars.open)[at],
                width=BODY,
                color=colour,
                linewidth=0,
            )


def _strokes(axes: Axes, at: NDArray[np.intp], low: Floats, high: Floats, colour: str) -> None:
    """Upright strokes as one line with gaps: thousands at the price of one."""
    levels = np.column_stack([low, high, np.full(len(at), np.nan)]).ravel()
    axes.plot(np.repeat(at, 3), levels, color=colour, linewidth=0.9, solid_capstyle="butt")


def _signals(axes: Axes, bars: Bars, signals: Signals, colours: Theme) -> list[object]:
    handles: list[object] = []
    gap = 0.035 * float(bars.high.max() - bars.low.min())
    for label, at, marker, levels in (
        ("buys", signals.buys, "^", bars.low - gap),
        ("sells", signals.sells, "v", bars.high + gap),
    ):
        if len(at):
            where = np.asarray(at)
            handles += axes.plot(
                where,
                levels[where],
                marker,
                color=colours.text,
                markersize=7,
                markeredgecolor=colours.background,
                label=label,
            )
    return handles


def _volume(axes: Axes, bars: Bars, colours: Theme) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    known = np.where(np.isfinite(bars.volume), bars.volume, 0.0)
    rose = bars.close >= bars.open
    if len(bars) > MAX_BODIES:  # two lines of strokes: a rectangle of its own for each bar takes seconds
        for side, colour in ((rose, colours.rise), (~rose, colours.fall)):
            at = np.flatnonzero(side)
            _strokes(axes, at, np.zeros(len(at)), known[at], colour)
        axes.set_ylim(0, 1.05 * float(known.max()) or 1.0)
    else:
        axes.bar(np.arange(len(bars)), known, width=BODY, color=np.where(rose, colours.rise, colours.fall), linewidth=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylabel("Volume" if known.any() else "No volume")


def _rsi(axes: Axes, strength: Floats, colours: Theme) -> None:
    axes.plot(strength, color=colours.text, linewidth=1.5)
    for level in (RSI_LOW, RSI_HIGH):
        axes.axhline(level, color=colours.muted, linewidth=0.9, linestyle="--")
    axes.set_ylim(0, 100)
    axes.set_yticks([RSI_LOW, RSI_HIGH])
    axes.set_ylabel(f"RSI {RSI_BARS}")


def _bar_axis(axes: Axes, bars: Bars) -> None:
    picks = np.unique(np.linspace(0, len(bars) - 1, min(LABELS, len(bars))).astype(int))
    axes.set_xticks(picks, [bars.date(int(pick)).replace("T", "\n").removesuffix("Z") for pick in picks])
    axes.set_xlim(-1, len(bars))
    # The outer dates grow inwards, or they would leave the picture.
    outer = axes.get_xticklabels()
    outer[0].set_horizontalalignment("left")
    outer[-1].set_horizontalalignment("right")
