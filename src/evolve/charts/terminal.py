"""What would 1 have become, at a glance, in a terminal? Equity curves in braille dots, or in ASCII where those cannot be shown."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import groupby, pairwise

from evolve.cards import Curve
from evolve.charts.equity import SIMULATED, check_curves, moment, wants_log_scale
from evolve.errors import InvalidRequest

MIN_WIDTH, MIN_HEIGHT = 36, 6  # two dates and the widest label fit beside each other
_ASCII_MARKS = "*o+x#@"
_ANSI_COLOURS = (36, 33, 32, 35, 34, 31)  # cyan, yellow, green, magenta, blue, red: the order of the PNG's palette
# Bit of each dot of a braille character, [row][column], offset from U+2800.
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def equity_chart(
    curves: Sequence[Curve], width: int, height: int, *, encoding: str | None = None, colour: bool = False
) -> str:
    """The curves with labelled axes and a legend: `width` columns, `height` rows and one more per curve.

    encoding: of the terminal, standard output's by default; one that lacks braille gets ASCII. colour: with ANSI colours; without
    them braille could not tell curves apart, so several curves are drawn in ASCII marks. Raises InvalidRequest for curves that cannot
    be drawn or fewer than 36 columns or 6 rows.
    """
    check_curves(curves)
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        raise InvalidRequest(
            f"a chart of {width} × {height} characters is too small; give at least {MIN_WIDTH} × {MIN_HEIGHT}"
        )
    unicode = _can_show("⣿×│└─", encoding or sys.stdout.encoding or "ascii")
    braille = unicode and (colour or len(curves) == 1)

    scale = _Scale(curves)
    rows = height - 2  # below the plot: the axis and its dates
    ticks = {row: f"{scale.value(1 - row / (rows - 1)):.3g}" for row in (0, (rows - 1) // 2, rows - 1)}
    margin = max(len(label) for label in ticks.values())
    columns = width - margin - 2

    plot = _braille(curves, scale, columns, rows) if braille else _marks(curves, scale, columns, rows)
    upright, corner, floor = ("│", "└", "─") if unicode else ("|", "+", "-")
    lines = [f"{ticks.get(row, ''):>{margin}} {upright}" + _row(cells, colour) for row, cells in enumerate(plot)]
    lines.append(" " * (margin + 1) + corner + floor * columns)
    lines.append(" " * (margin + 2) + scale.first + scale.last.rjust(columns - len(scale.first)))
    return (
        "\n".join(
            line.rstrip() for line in (*lines, *_legend(curves, scale, unicode=unicode, braille=braille, colour=colour))
        )
        + "\n"
    )


class _Scale:
    """Where a date and a value lie, as fractions of the plot: 0 is left or bottom, 1 right or top."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        stamps = {text: moment(text).timestamp() for curve in curves for text in curve.dates}
        self._stamps = stamps
        self.first, self.last = (pick(stamps, key=lambda text: stamps[text])[:10] for pick in (min, max))
        self._begin, self._end = min(stamps.values()), max(stamps.values())
        self.log = wants_log_scale(curves)
        values = [value for curve in curves for value in curve.equity]
        low, high = self._height(min(values)), self._height(max(values))
        # A flat line still needs a height to lie at.
        self._low, self._high = (low, high) if high > low else (low - 0.05, high + 0.05)

    def x(self, text: str) -> float:
        return (self._stamps[text] - self._begin) / ((self._end - self._begin) or 1.0)

    def y(self, value: float) -> float:
        return (self._height(value) - self._low) / (self._high - self._low)

    def value(self, y: float) -> float:
        height = self._low + y * (self._high - self._low)
        return math.exp(height) if self.log else height

    def _height(self, value: float) -> float:
        return math.log(value) if self.log else value


_Cells = list[list[tuple[str, int]]]  # [row][column]: a character and the curve it belongs to


def _braille(curves: Sequence[Curve], scale: _Scale, columns: int, rows: int) -> _Cells:
    dots = [[0] * columns for _ in range(rows)]
    owner = [[0] * columns for _ in range(rows)]
    # The first curve last: where curves meet, the model that the answer is about is on top.
    for number, curve in reversed(list(enumerate(curves))):
        for x, y in _path(curve, scale, 2 * columns, 4 * rows):
            dots[y // 4][x // 2] |= _BRAILLE[y % 4][x % 2]
            owner[y // 4][x // 2] = number
    return [
        [(chr(0x2800 + dot) if dot else " ", who) for dot, who in zip(*line, strict=True)]
        for line in zip(dots, owner, strict=True)
    ]


def _marks(curves: Sequence[Curve], scale: _Scale, columns: int, rows: int) -> _Cells:
    cells = [[(" ", 0)] * columns for _ in range(rows)]
    for number, curve in reversed(list(enumerate(curves))):
        for x, y in _path(curve, scale, columns, rows):
            cells[y][x] = (_ASCII_MARKS[number % len(_ASCII_MARKS)], number)
    return cells


def _path(curve: Curve, scale: _Scale, width: int, height: int) -> set[tuple[int, int]]:
    """The points that the curve covers on a grid, x to the right and y downwards, without gaps."""
    points = [
        (round(scale.x(when) * (width - 1)), round((1 - scale.y(value)) * (height - 1)))
        for when, value in zip(curve.dates, curve.equity, strict=True)
    ]
    covered = {points[0]}
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        covered |= {
            (x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)) for step in range(1, steps + 1)
        }
    return covered


def _legend(curves: Sequence[Curve], scale: _Scale, *, unicode: bool, braille: bool, colour: bool) -> list[str]:
    times = "×" if unicode else "x"
    lines = []
    for number, curve in enumerate(curves):
        mark = "⠶⠶" if braille else _ASCII_MARKS[number % len(_ASCII_MARKS)] * 2
        simulated = f"  {SIMULATED}" if curve.simulated else ""
        lines.append(f"{_painted(mark, number, colour)} {curve.name} {times}{curve.equity[-1]:.2f}{simulated}")
    lines[0] += "   (growth of 1, log scale)" if scale.log else "   (growth of 1)"
    return lines


def _row(cells: list[tuple[str, int]], colour: bool) -> str:
    runs = groupby(cells, key=lambda cell: (cell[0] == " ", cell[1]))
    return "".join(_painted("".join(mark for mark, _ in run), curve, colour) for (_, curve), run in runs)


def _painted(mark: str, curve: int, colour: bool) -> str:
    if not colour or mark.isspace():
        return mark
    return f"\x1b[{_ANSI_COLOURS[curve % len(_ANSI_COLOURS)]}m{mark}\x1b[0m"


def _can_show(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
