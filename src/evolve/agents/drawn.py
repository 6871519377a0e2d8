"""What is a chart that has been drawn, before it is saved? Its figure, what is written around it, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.charts.picture import Caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Drawn:
    """about: the model, symbol or study shown; notes: what could not be shown, and why."""

    figure: Figure
    caption: Caption
    about: str
    notes: tuple[str, ...] = ()
