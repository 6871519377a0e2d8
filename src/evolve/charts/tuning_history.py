"""How did a search go? Each trial's score by its number, and the best so far beside the defaults."""

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
    new_figure,
    style,
    write_caption,
    write_legend,
)
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class TrialPoint:
    """One trial. score: R² (0.01 is 1 %); of a pruned one an estimate; None for a failed one. params: what it tried."""

    number: int
    score: float | None
    pruned: bool
    params: dict[str, float | str]


def tuning_history_figure(trials: Sequence[TrialPoint], caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """trials: by number, the defaults first. Raises InvalidRequest when none has a score."""
    scored = [trial for trial in trials if trial.score is not None]
    whole = [trial for trial in scored if not trial.pruned]
    if not whole:
        raise InvalidRequest("no trial of this study has a score, so there is nothing to draw")
    colours = THEMES[theme]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP - LEGEND_ROW, bottom=BOTTOM + 0.03)
    style(axes, colours)
    handles: list[object] = []

    def dots(chosen: Sequence[TrialPoint], label: str, marker: str, colour: str) -> None:
        if chosen:
            numbers, values = [each.number for each in chosen], [100 * (each.score or 0.0) for each in chosen]
            handles.append(axes.scatter(numbers, values, s=34, marker=marker, color=colour, label=label, zorder=3))

    dots(whole, "trial", "o", colours.lines[0])
    dots([each for each in scored if each.pruned], "given up (estimate)", "x", colours.muted)
    failed = [each.number for each in trials if each.score is None]
    lowest = min(100 * (each.score or 0.0) for each in scored)
    if failed:
        handles.append(
            axes.scatter(failed, [lowest] * len(failed), s=34, marker="v", color=colours.fall, label="failed")
        )
    best, steps = float("-inf"), []
    for each in whole:
        best = max(best, 100 * (each.score or 0.0))
        steps.append(best)
    handles += axes.step(
        [each.number for each in whole], steps, where="post", color=colours.rise, linewidth=2.2, label="best so far"
    )
    handles.append(
        axes.axhline(
            100 * (whole[0].score or 0.0), color=colours.text, linewidth=1.2, linestyle="--", label="the defaults"
        )
    )
    axes.set_xlabel("Trial")
    axes.set_ylabel("R² against no change, %")
    write_legend(figure, handles, colours, columns=len(handles))
    write_caption(figure, caption, colours)
    return figure
