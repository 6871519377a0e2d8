"""What was each fold trained on, tested on, and what did it earn there? The folds along time, and the growth in each test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, slots=True)
class FoldSpan:
    """train_stop, test_start, test_stop: bar numbers, as in `statistics.splits.Fold`; result: net return over the test stretch."""

    train_stop: int
    test_start: int
    test_stop: int
    result: float


def walk_forward_figure(
    folds: Sequence[FoldSpan], equity: Floats, time: Stamps, caption: Caption, *, theme: ThemeName = "light"
) -> Figure:
    """equity: growth of 1 from the first test bar on; time: Unix ms of all bars. Raises InvalidRequest without folds."""
    import numpy as np

    if not folds:
        raise InvalidRequest("this model has no folds: it was not walked forward")
    colours = THEMES[theme]
    figure = new_figure(theme)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - LEGEND_ROW, bottom=BOTTOM, hspace=0.08)
    dates = as_dates(time)
    first = folds[0].test_start
    for axes in (upper, lower):
        style(axes, colours)
    upper.plot(dates[first : first + len(equity)], equity, color=colours.text, linewidth=1.6)
    upper.axhline(1, color=colours.muted, linewidth=1, linestyle="--")
    upper.set_ylabel("Growth of 1, net")
    handles: list[object] = []
    for row, fold in enumerate(folds):
        train, test = dates[fold.train_stop - 1], dates[fold.test_stop - 1]
        start = dates[fold.test_start]
        trained = lower.barh(row, train - dates[0], left=dates[0], color=colours.grid, height=0.62, label="trained on")
        tested = lower.barh(row, test - start, left=start, color=colours.lines[0], height=0.62, label="tested on")
        middle = start + (test - start) / 2
        shown = f"{100 * fold.result:+.1f} %".replace("-", "−")
        lower.text(
            middle.astype("datetime64[ms]"), row + 0.5, shown, ha="center", va="center", color=colours.text, fontsize=11
        )
        upper.axvspan(start, test, color=colours.lines[0], alpha=0.06 + 0.08 * (row % 2), linewidth=0)
        if row == 0:
            handles = [trained, tested]
    lower.set_yticks(np.arange(len(folds)), [f"fold {number + 1}" for number in range(len(folds))])
    lower.set_ylim(len(folds) - 0.1, -0.6)
    lower.set_ylabel("Net return of each test")
    lower.grid(False, axis="y")
    date_axis(lower)
    write_legend(figure, handles, colours, columns=2)
    write_caption(figure, caption, colours)
    return figure
