"""What would 1 have become? Growth of 1 for models and baselines, and below it how far each fell from its last peak."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.cards import Curve
from evolve.charts.picture import (
    BOTTOM,
    LEFT,
    LEGEND_ROW,
    RIGHT,
    TOP,
    Caption,
    date_axis,
    drawn,
    new_figure,
    style,
    write_atomically,
    write_caption,
    write_legend,
)
from evolve.charts.picture import SIMULATED as SIMULATED
from evolve.charts.theme import THEMES, ThemeName, line_of
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_CHARACTERS = 96  # of 12 points beside each other in one row of the legend, columns' lines and gaps included
LOG_SCALE_RATIO = (
    4.0  # highest ÷ lowest from which equal percentages must look equal: on a linear axis early years vanish
)


def equity_png(curves: Sequence[Curve], *, title: str, source: str, path: Path, theme: ThemeName = "light") -> Path:
    """Draw equity and drawdown of each curve to a PNG and return its path.

    curves: growth of 1, models first; source: which data, shown below. SIMULATED is written across when any curve is. The file is
    there whole or not at all. Raises InvalidRequest for curves that cannot be drawn, Unavailable when the path cannot be written.
    """
    check_curves(curves)
    figure = equity_figure(curves, title=title, source=source, theme=theme)
    return write_atomically(path, drawn(figure, "png"))


def check_curves(curves: Sequence[Curve]) -> None:
    """Raises InvalidRequest naming the curve that cannot be drawn: none at all, fewer than two values, or values that are no growth."""
    if not curves:
        raise InvalidRequest("there is no curve to draw; give at least one model or baseline")
    for curve in curves:
        if len(curve.dates) != len(curve.equity):
            raise InvalidRequest(f"curve {curve.name!r} has {len(curve.dates)} dates but {len(curve.equity)} values")
        if len(curve.equity) < 2:
            raise InvalidRequest(f"curve {curve.name!r} has {len(curve.equity)} values; a line needs at least 2")
        wrong = next((bar for bar, value in enumerate(curve.equity) if not 0 <= value < float("inf")), None)
        if wrong is not None:
            raise InvalidRequest(
                f"curve {curve.name!r} is {curve.equity[wrong]} at {curve.dates[wrong]}; growth of 1 is a number of at least 0"
            )


def drawdown(equity: Sequence[float]) -> list[float]:
    """How far each value lies below the highest before it, as fractions ≤ 0. The start counts as a peak of its own height."""
    fallen, peak = [], 0.0
    for value in equity:
        peak = max(peak, value)
        fallen.append(value / peak - 1.0 if peak > 0 else 0.0)
    return fallen


def wants_log_scale(curves: Sequence[Curve]) -> bool:
    """True when the values span so much that a linear axis would flatten the early ones; never with a value of 0."""
    values = [value for curve in curves for value in curve.equity]
    return min(values) > 0 and max(values) / min(values) >= LOG_SCALE_RATIO


def moment(text: str) -> datetime:
    """A curve's date as a time, UTC where it names no zone. Raises InvalidRequest for what is no ISO date."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is no ISO date; write 2013-03-01 or 2013-03-01T09:30Z") from None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def equity_figure(curves: Sequence[Curve], *, title: str, source: str, theme: ThemeName) -> Figure:
    """The picture as a matplotlib figure, without pyplot: no global state, no window, safe in threads."""
    colours = THEMES[theme]
    figure = new_figure(theme)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    labels = _labels(curves)
    columns = _legend_columns(labels)
    legend_rows = -(-len(labels) // columns)
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - LEGEND_ROW * legend_rows, bottom=BOTTOM, hspace=0.07)

    for number, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        colour, dashes = line_of(number, colours)
        stamps = [moment(text) for text in curve.dates]
        # The first curve is the model that the answer is about: drawn wider and over the others.
        width, order = (2.4, 5) if number == 0 else (1.6, 4)
        upper.plot(stamps, curve.equity, color=colour, linestyle=dashes, linewidth=width, zorder=order, label=label)
        fallen = [100 * value for value in drawdown(curve.equity)]
        lower.plot(stamps, fallen, color=colour, linestyle=dashes, linewidth=width * 0.6, zorder=order)
        if number == 0:
            lower.fill_between(stamps, fallen, 0, color=colour, alpha=0.22, linewidth=0)

    _label_axes(upper, lower, curves)
    for axes in (upper, lower):
        style(axes, colours)
    figure.align_ylabels((upper, lower))
    write_legend(figure, upper.get_lines(), colours, columns=columns)
    write_caption(figure, Caption(title, source, any(curve.simulated for curve in curves)), colours)
    return figure


def _labels(curves: Sequence[Curve]) -> list[str]:
    """Name and final value of each; where real and simulated curves meet, which is which."""
    mixed = len({curve.simulated for curve in curves}) == 2
    names = [
        f"{textwrap.shorten(curve.name, 70)} (simulated)"
        if mixed and curve.simulated
        else textwrap.shorten(curve.name, 70)
        for curve in curves
    ]
    return [f"{name}   ×{curve.equity[-1]:.2f}" for name, curve in zip(names, curves, strict=True)]


def _legend_columns(labels: Sequence[str]) -> int:
    widest = max(map(len, labels)) + 9  # characters that a column's line and gap take
    return max(1, min(3, len(labels), LEGEND_CHARACTERS // widest))


def _label_axes(upper: Axes, lower: Axes, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if wants_log_scale(curves):
        upper.set_yscale("log")
        upper.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        upper.yaxis.set_minor_locator(NullLocator())
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    upper.set_ylabel("Growth of 1" + (" (log)" if wants_log_scale(curves) else ""))
    lower.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %".replace("-", "−")))
    lower.set_ylabel("Drawdown")
    lower.set_ylim(top=0)
    date_axis(lower)
