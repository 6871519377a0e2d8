"""Is one better than another, or only luckier? Each candidate's figure with its interval, models beside baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.charts.picture import (
    BOTTOM,
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

MAX_ROWS = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """low, high: its interval; None where it has none."""

    name: str
    value: float
    low: float | None
    high: float | None
    is_model: bool


def model_comparison_figure(
    candidates: Sequence[Candidate], caption: Caption, *, unit: str, theme: ThemeName = "light"
) -> Figure:
    """Best on top. unit: what is compared, in words. Raises InvalidRequest without candidates."""
    if not candidates:
        raise InvalidRequest("there is nothing to compare; give at least one model")
    colours = THEMES[theme]
    rows = sorted(candidates, key=lambda each: -each.value)[:MAX_ROWS]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.29, right=RIGHT, top=TOP - LEGEND_ROW, bottom=BOTTOM + 0.03)
    style(axes, colours)
    axes.axvline(0, color=colours.muted, linewidth=1.4)
    handles: dict[str, object] = {}
    for row, each in enumerate(rows):
        colour, marker = (colours.lines[0], "o") if each.is_model else (colours.lines[1], "s")
        if each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [row, row], color=colour, linewidth=3.2, alpha=0.55, solid_capstyle="butt")
        label = "model" if each.is_model else "baseline"
        (dot,) = axes.plot(each.value, row, marker, color=colour, markersize=9, label=label, linestyle="none")
        handles.setdefault(label, dot)
        axes.text(
            each.value,
            row - 0.22,
            f"{each.value:.2f}".replace("-", "−"),
            ha="center",
            va="bottom",
            color=colours.text,
            fontsize=11,
        )
    axes.set_yticks(range(len(rows)), [each.name for each in rows])
    axes.set_ylim(len(rows) - 0.5, -0.75)
    axes.grid(False, axis="y")
    axes.set_xlabel(unit)
    write_legend(figure, list(handles.values()), colours, columns=2)
    write_caption(figure, caption, colours)
    return figure
