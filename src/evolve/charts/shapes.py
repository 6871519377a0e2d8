"""Which curves and candles are in a picture, in pixels? By colour first, and then what is drawn in black, white or grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolve.charts import trace
from evolve.charts.image_file import Picture
from evolve.charts.ink import ink_traces

Floats = NDArray[np.float64]
SAME_PX = 3.5  # beside the other curve in most columns: curves cross, but do not run on each other


@dataclass(frozen=True, eq=False)
class Shape:
    """A curve in pixels: x; y for values; path: rows in the order they were passed, for the drawdown; is_ink: it has no hue."""

    kind: Literal["line", "candlestick"]
    colour: str
    x: Floats
    y: Floats
    path: Floats
    gaps: float
    is_ink: bool = False


def shapes_of(picture: Picture, stains: trace.Stains, analysis: str, unread: list[str]) -> list[Shape]:
    """analysis: as in `reading.ANALYSES`. unread gets what is seen and cannot be read."""
    colours = trace.colours_of(picture.pixels, stains.ground)
    shares = [trace.cover(stains, colour) for colour in colours]
    traces = [trace.line_traces(share, colour) for share, colour in zip(shares, colours, strict=True)]
    if analysis != "line":
        area = [float((share >= trace.COVERED).sum()) for share in shares]
        broken = [
            number
            for number, lines in enumerate(traces)
            if area[number] > 0.2 * max(area) and all(line.gaps > trace.UNBROKEN for line in lines)
        ]
        bodies = {number: trace.bodies_of(shares[number], number) for number in broken}
        many = [number for number in broken if len(bodies[number]) >= trace.CANDLES // 2][:2]
        if len(many) == 2:
            return [_of_candles(bodies[many[0]] + bodies[many[1]], colours, unread)]
        if analysis == "candlestick":
            return []
    found: list[Shape] = []
    for line, is_ink in [
        *((line, False) for lines in traces for line in lines),
        *((line, True) for line in ink_traces(stains, unread)),
    ]:
        # The halo that JPEG leaves around a line, and the black that is half of a grey, are the line once more.
        if not any(_same(line, other) for other in found):
            found.append(_of_line(line, is_ink=is_ink))
    return found[: trace.MAX_COLOURS]


def _same(line: trace.Trace, other: Shape) -> bool:
    common, here, there = np.intersect1d(line.x, other.x, return_indices=True)
    if len(common) < 0.5 * len(line.x):
        return False
    ends = np.sort(other.path.reshape(-1, 2), axis=1)[there]
    on_it = (line.y[here] > ends[:, 0] - SAME_PX) & (line.y[here] < ends[:, 1] + SAME_PX)
    return bool(on_it.mean() > 0.5)


def _of_line(line: trace.Trace, *, is_ink: bool) -> Shape:
    return Shape("line", line.colour, line.x, line.y, _path(line), line.gaps, is_ink)


def _of_candles(bodies: list[trace.Body], colours: list[Floats], unread: list[str]) -> Shape:
    # Volume bars below are shapes of the same colours, and all stand on one row.
    bottoms = np.array([body.low for body in bodies])
    standing = np.abs(bottoms - bottoms.max()) <= 1.5
    if standing.sum() > len(bodies) / 4:
        bodies = [body for body, stands in zip(bodies, standing, strict=True) if not stands]
        unread.append(trace.FILLED)
    candles = trace.candles_from(bodies, colours)
    return Shape("candlestick", candles.colour, candles.x, candles.close, candles.close, 0.0)


def _path(line: trace.Trace) -> Floats:
    """Rows as a pen passes them: in each column the end nearer to the one before comes first."""
    path = np.empty(2 * len(line.y))
    before = line.y[0]
    for number, (top, bottom) in enumerate(zip(line.top, line.bottom, strict=True)):
        first, second = (top, bottom) if abs(top - before) <= abs(bottom - before) else (bottom, top)
        path[2 * number : 2 * number + 2] = first, second
        before = second
    return path
