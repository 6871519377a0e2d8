"""Where along each hyperparameter did the good scores lie? One panel each: every trial's value and score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.charts.picture import BOTTOM, LEFT, RIGHT, TOP, Caption, new_figure, style, write_caption
from evolve.charts.theme import THEMES, ThemeName
from evolve.charts.tuning_history import TrialPoint
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 8  # more would be too small to read
IN_A_ROW = 4


@dataclass(frozen=True, slots=True)
class Slice:
    """name: of the hyperparameter; log: its axis is logarithmic; default: marked by a line, where it is a number."""

    name: str
    log: bool
    default: float | str


def tuning_slices_figure(
    trials: Sequence[TrialPoint], slices: Sequence[Slice], caption: Caption, *, theme: ThemeName = "light"
) -> Figure:
    """slices: most important first; at most eight are drawn. Raises InvalidRequest when no trial has a score."""
    scored = [trial for trial in trials if trial.score is not None]
    if not scored or not slices:
        raise InvalidRequest("no trial of this study has a score, so there is nothing to draw")
    colours = THEMES[theme]
    shown = slices[:MAX_PANELS]
    columns = min(IN_A_ROW, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(theme)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM + 0.05, hspace=0.38, wspace=0.12)
    every: list[Axes] = list(panels.flat)
    for axes, each in zip(every, shown, strict=False):
        style(axes, colours)
        for pruned, marker, colour in ((False, "o", colours.lines[0]), (True, "x", colours.muted)):
            chosen = [trial for trial in scored if trial.pruned is pruned and each.name in trial.params]
            axes.scatter(
                [trial.params[each.name] for trial in chosen], [100 * (trial.score or 0.0) for trial in chosen],
                s=20, marker=marker, color=colour, zorder=3,
            )  # fmt: skip
        if isinstance(each.default, int | float):
            axes.axvline(each.default, color=colours.text, linewidth=1.0, linestyle="--")
        if each.log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter("")
        axes.set_xlabel(each.name, fontsize=10)
        axes.tick_params(labelsize=9)
    for axes in every[len(shown) :]:
        axes.set_visible(False)
    for row in range(rows):
        panels[row, 0].set_ylabel("R², %")
    write_caption(figure, caption, colours)
    return figure
