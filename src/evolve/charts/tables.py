"""Numbers in a grid, coloured by their size: the returns of each month, and how alike symbols are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from evolve.charts.picture import BOTTOM, LEFT, RIGHT, TOP, Caption, new_figure, style, write_caption
from evolve.charts.theme import THEMES, Theme, ThemeName
from evolve.errors import InvalidRequest
from evolve.market.bars import Floats, Stamps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MAX_YEARS = 20  # rows that can be read; earlier years are left out, and the title says so
MAX_SYMBOLS = 24


def monthly(returns: Floats, time: Stamps) -> dict[int, dict[int, float]]:
    """year → month (1 … 12) → return of that month, from simple returns per bar at Unix-millisecond stamps (UTC)."""
    table: dict[int, dict[int, float]] = {}
    for value, stamp in zip(returns, time, strict=True):
        moment = datetime.fromtimestamp(int(stamp) / 1000, UTC)
        year = table.setdefault(moment.year, {})
        year[moment.month] = (1 + year.get(moment.month, 0.0)) * (1 + float(value)) - 1
    return table


def monthly_returns_figure(returns: Floats, time: Stamps, caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """One row a year, one column a month, and the year's return at the end. Raises InvalidRequest without returns."""
    table = monthly(returns, time)
    if not table:
        raise InvalidRequest("there is no return to tabulate; give a longer stretch")
    years = sorted(table)[-MAX_YEARS:]
    values = np.full((len(years), 13), np.nan)
    for row, year in enumerate(years):
        for month, value in table[year].items():
            values[row, month - 1] = 100 * value
        values[row, 12] = 100 * (np.prod([1 + value for value in table[year].values()]) - 1)
    limit = float(np.nanquantile(np.abs(values[:, :12]), 0.95)) or 1.0
    figure, axes, colours = _grid(values, limit, theme)
    _write_values(axes, values, limit, colours, digits=1, size=10 if len(years) <= 14 else 8)
    axes.set_xticks(range(13), [*MONTHS, "Year"])
    axes.set_yticks(range(len(years)), [str(year) for year in years])
    axes.axvline(11.5, color=colours.background, linewidth=5)
    axes.set_xlabel("Return of each month, %")
    write_caption(figure, caption, colours)
    return figure


def correlation_figure(
    names: Sequence[str], matrix: Floats, caption: Caption, *, bars: int, theme: ThemeName = "light"
) -> Figure:
    """matrix: correlations, shape (names, names); bars: how many returns went in. Raises InvalidRequest for fewer than two names or more than 24."""
    if not 2 <= len(names) <= MAX_SYMBOLS:
        raise InvalidRequest(f"a correlation needs 2 to {MAX_SYMBOLS} symbols, not {len(names)}")
    figure, axes, colours = _grid(matrix, 1.0, theme)
    _write_values(axes, matrix, 1.0, colours, digits=2, size=13 if len(names) <= 8 else 8)
    axes.set_xticks(range(len(names)), list(names), rotation=0 if len(names) <= 10 else 90)
    axes.set_yticks(range(len(names)), list(names))
    axes.set_xlabel(f"Correlation of daily log returns, {bars:,} common days")
    write_caption(figure, caption, colours)
    return figure


def _grid(values: Floats, limit: float, theme: ThemeName) -> tuple[Figure, Axes, Theme]:
    from matplotlib.colors import LinearSegmentedColormap

    colours = THEMES[theme]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM + 0.03)
    style(axes, colours)
    axes.grid(False)
    scale = LinearSegmentedColormap.from_list("gain and loss", [colours.fall, colours.background, colours.rise])
    axes.imshow(values, cmap=scale, vmin=-limit, vmax=limit, aspect="auto")
    return figure, axes, colours


def _write_values(axes: Axes, values: Floats, limit: float, colours: Theme, *, digits: int, size: int) -> None:
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        if np.isfinite(value):
            shown = f"{value:.{digits}f}".replace("-", "−")
            axes.text(column, row, shown, ha="center", va="center", fontsize=size, color=_ink(value / limit, colours))


def _ink(share: float, colours: Theme) -> str:
    """Black or white, whichever the cell's ground lets stand out (relative luminance, ITU-R BT.709)."""
    from matplotlib.colors import to_rgb

    strength = min(1.0, abs(share))
    full, empty = to_rgb(colours.rise if share > 0 else colours.fall), to_rgb(colours.background)
    red, green, blue = (strength * one + (1 - strength) * none for one, none in zip(full, empty, strict=True))
    return "#ffffff" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 else "#111111"
