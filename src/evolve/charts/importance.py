"""What matters how much? Bars, longest on top: the features that a model listens to, or the hyperparameters that made a search's scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evolve.charts.picture import BOTTOM, RIGHT, TOP, Caption, new_figure, style, write_caption
from evolve.charts.theme import THEMES, ThemeName
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 20  # more names than that cannot be read beside each other


def feature_importance_figure(
    importance: Mapping[str, float], caption: Caption, *, theme: ThemeName = "light"
) -> Figure:
    """importance: feature → share of the forecast's spread that shuffling it moves, ≥ 0. Raises InvalidRequest without any."""
    if not importance:
        raise InvalidRequest("this model uses no features, so none is more important than another")
    return _bars(importance, "Change of the forecast when shuffled, % of its own spread", caption, theme)


def tuning_importance_figure(shares: Mapping[str, float], caption: Caption, *, theme: ThemeName = "light") -> Figure:
    """shares: hyperparameter → share of the variance, 0 … 1. Raises InvalidRequest without any."""
    if not shares:
        raise InvalidRequest(
            "this study has fewer than ten scores, or none that differ: no hyperparameter can be said to matter"
        )
    return _bars(shares, "Share of the scores' variance, %", caption, theme)


def _bars(shares: Mapping[str, float], unit: str, caption: Caption, theme: ThemeName) -> Figure:
    colours = THEMES[theme]
    rows = sorted(shares.items(), key=lambda item: item[1])[-MAX_ROWS:]
    figure = new_figure(theme)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.25, right=RIGHT, top=TOP, bottom=BOTTOM + 0.03)
    style(axes, colours)
    axes.barh([name for name, _ in rows], [100 * value for _, value in rows], color=colours.lines[0])
    axes.margins(x=0.12)
    axes.grid(False, axis="y")
    for row, (_, value) in enumerate(rows):
        axes.text(100 * value, row, f" {100 * value:.1f} %", va="center", color=colours.text, fontsize=11)
    axes.set_xlabel(unit)
    write_caption(figure, caption, colours)
    return figure
