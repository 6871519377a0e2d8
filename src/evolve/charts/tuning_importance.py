"""Which hyperparameters mattered? The share of the scores' variance that each explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evolve.charts.picture import BOTTOM, RIGHT, TOP, Caption, new_figure, style, write_caption
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tuning_importance_figure(shares: Mapping[str, float], caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """shares: hyperparameter → share of the variance, 0 … 1. Raises InvalidRequest without any."""
    if not shares:
        raise InvalidRequest(
            "this study has fewer than ten scores, or none that differ: no hyperparameter can be said to matter"
        )
    colours = THEMES[theme]
    rows = sorted(shares.items(), key=lambda item: item[1])
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.25, right=RIGHT, top=TOP, bottom=BOTTOM + 0.03)
    style(axes, colours)
    axes.barh([name for name, _ in rows], [100 * share for _, share in rows], color=colours.lines[0])
    axes.margins(x=0.12)
    axes.grid(False, axis="y")
    for row, (_, share) in enumerate(rows):
        axes.text(100 * share, row, f" {100 * share:.1f} %", va="center", color=colours.text, fontsize=11)
    axes.set_xlabel("Share of the scores' variance, %")
    write_caption(figure, caption, colours)
    return figure
