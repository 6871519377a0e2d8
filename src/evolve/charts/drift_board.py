"""Which models still meet the world they were tested in? Each model's statistics of drift as shares of their alarm limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.charts.picture import (
    BOTTOM,
    LEGEND_ROW,
    TOP,
    Caption,
    new_figure,
    style,
    write_caption,
    write_legend,
)
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 12
FARTHEST = (
    300.0  # % of a limit: three times over is an alarm however much farther it lies, and the others must stay legible
)
MARKERS = ("o", "s", "D", "^")
NAMES, STATES = 0.23, 0.76  # of the width: between them lie the axes, the names left and the states right of them


@dataclass(frozen=True, slots=True)
class Measure:
    """One statistic. share: of its alarm limit, 1.0 is the limit; agrees: whether its significance test, where it has one, says so too."""

    name: str
    share: float
    agrees: bool


@dataclass(frozen=True, slots=True)
class BoardLine:
    """One model. name, under: two lines on the left; state: in a word; alarm: whether it calls for somebody; about: below the state."""

    name: str
    under: str
    state: str
    alarm: bool
    about: str
    measures: tuple[Measure, ...] = ()


def drift_board_figure(lines: Sequence[BoardLine], caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """Alarms first. A filled mark counts, a hollow one is not significant. Raises InvalidRequest without lines."""
    from matplotlib.lines import Line2D

    if not lines:
        raise InvalidRequest("there is no model on the board; `evolve watch add MODEL` puts one there")
    colours = THEMES[theme]
    rows = sorted(lines, key=lambda line: not line.alarm)[:MAX_ROWS]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=NAMES, right=STATES, top=TOP - LEGEND_ROW, bottom=BOTTOM + 0.03)
    style(axes, colours)
    names = list(dict.fromkeys(measure.name for line in rows for measure in line.measures))
    widest = max((100 * measure.share for line in rows for measure in line.measures), default=0.0)
    right = min(FARTHEST, max(130.0, 1.12 * widest))
    axes.axvspan(100, right, color=colours.fall, alpha=0.13, linewidth=0)
    axes.axvline(100, color=colours.fall, linewidth=2)
    for row, line in enumerate(rows):
        for measure in line.measures:
            number = names.index(measure.name)
            colour = colours.lines[number % len(colours.lines)]
            beyond = 100 * measure.share > right
            axes.plot(
                min(100 * measure.share, right), row + 0.22 * (number - (len(names) - 1) / 2),
                marker=">" if beyond else MARKERS[number % len(MARKERS)], markersize=10, linestyle="none", color=colour,
                markerfacecolor=colour if measure.agrees else colours.background, markeredgewidth=2, clip_on=False,
            )  # fmt: skip
        _words(axes, row, line, colours.watermark if line.alarm else colours.text, colours.muted)
    axes.set_yticks(range(len(rows)), [])
    axes.set_xlim(0, right)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("Share of the alarm limit, %   (filled: significant)")
    marks = [
        Line2D([], [], color=colours.lines[number % len(colours.lines)], marker=MARKERS[number % len(MARKERS)], markersize=10, linestyle="none", label=name)
        for number, name in enumerate(names)
    ]  # fmt: skip
    if marks:
        write_legend(figure, marks, colours, columns=len(marks))
    write_caption(figure, caption, colours)
    return figure


def _words(axes: Axes, row: int, line: BoardLine, colour: str, muted: str) -> None:
    """Name and model on the left, state and what it rests on on the right; as far apart in every board, however many lines it has."""
    sides = ((-0.02, "right", line.name, line.under, "normal"), (1.03, "left", line.state, line.about, "bold"))
    for x, ends, upper, lower, weight in sides:
        words = ((upper, 12, 7, colour, weight), (lower, 9, -8, muted, "normal"))
        for text, points, above, shade, thickness in words:
            axes.annotate(
                text, (x, row), xycoords=axes.get_yaxis_transform(), xytext=(0, above), textcoords="offset points", ha=ends, va="center",
                fontsize=points, color=shade, weight=thickness, parse_math=False, annotation_clip=False,
            )  # fmt: skip
