"""How wide did the model think the next bars could go, and did they? Its bands around the outcomes, and the share they held."""

from __future__ import annotations

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
    as_dates,
    date_axis,
    new_figure,
    style,
    write_caption,
    write_legend,
)
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest
from evolve.market.bars import Floats, Stamps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Two-sided standard normal quantiles of each band.
BANDS = ((0.90, 1.6448536269514722), (0.50, 0.6744897501960817))


@dataclass(frozen=True, eq=False)
class Fan:
    """Forecasts made `horizon_bars` before each stamp, in prices.

    time: Unix milliseconds of the bars forecast, the last one beyond the data where the outcome is open; centre: the forecast
    price; log_std: standard deviation of its log return; outcome: the price that came, NaN while open; all of shape (bars,).
    """

    time: Stamps
    centre: Floats
    log_std: Floats
    outcome: Floats
    horizon_bars: int
    currency: str

    def band(self, z: float) -> tuple[Floats, Floats]:
        return self.centre * np.exp(-z * self.log_std), self.centre * np.exp(z * self.log_std)

    def held(self, z: float) -> tuple[int, int]:
        """(outcomes inside the band, outcomes known)."""
        low, high = self.band(z)
        known = np.isfinite(self.outcome)
        inside = known & (self.outcome >= low) & (self.outcome <= high)
        return int(inside.sum()), int(known.sum())


def forecast_fan_figure(fan: Fan, caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """Raises InvalidRequest for fewer than two forecasts."""
    if len(fan.time) < 2:
        raise InvalidRequest("a fan needs at least 2 forecasts; ask for more bars")
    colours = THEMES[theme]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - 2 * LEGEND_ROW, bottom=BOTTOM)
    style(axes, colours)
    dates = as_dates(fan.time)
    handles: list[object] = []
    for number, (level, z) in enumerate(BANDS):
        low, high = fan.band(z)
        held, known = fan.held(z)
        share = f"{100 * held / known:.0f} % of {known} outcomes" if known else "no outcome yet"
        handles.append(
            axes.fill_between(dates, low, high, color=colours.lines[0], alpha=(0.18, 0.34)[number], linewidth=0, label=f"{100 * level:.0f} % band: held {share}")
        )  # fmt: skip
    handles += axes.plot(dates, fan.centre, color=colours.lines[0], linewidth=1.6, label="forecast")
    (came,) = axes.plot(dates, fan.outcome, color=colours.text, linewidth=1.8, label="what came")
    handles.append(came)
    for bar in np.flatnonzero(~np.isfinite(fan.outcome)):
        low, high = fan.band(BANDS[0][1])
        axes.plot([dates[bar]] * 2, [low[bar], high[bar]], color=colours.lines[1], linewidth=4, solid_capstyle="butt")
    bars = "bar" if fan.horizon_bars == 1 else "bars"
    axes.set_ylabel(f"Price ({fan.currency}), {fan.horizon_bars} {bars} ahead")
    date_axis(axes)
    write_legend(figure, handles, colours, columns=2)
    write_caption(figure, caption, colours)
    return figure
