"""What can be asked about a picture of a chart? The words of it. Light: loads no array library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Len

from evolve.errors import nearest

ANALYSES = ("general", "line", "candlestick")
Points = Annotated[tuple[tuple[float, float], ...], Len(2, 50)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the user knows about the axes: (pixel, value) pairs, pixels counted from the upper left.

    y: two or more, price or growth; x: (pixel, Unix seconds) pairs, or null; log: whether the y axis is logarithmic.
    """

    y: Points
    x: Points | None = None
    log: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


def analysis_kind(name: str) -> str:
    """general: whatever the picture shows. Raises ValueError naming the nearest."""
    word = name.strip().lower()
    word = {
        "equity": "line",
        "equity_curve": "line",
        "line_chart": "line",
        "candles": "candlestick",
        "chart": "general",
    }.get(word, word)
    if word in ANALYSES:
        return word
    raise ValueError(f"there is no analysis {name[:80]!r}; nearest: {', '.join(nearest(word, ANALYSES) or ANALYSES)}")
