"""Which panels has a picture, and which values lie at which of their pixels? Each with a value axis of its own, over one axis of dates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evolve.cards import ReadAxis
from evolve.charts import trace
from evolve.charts.axis_labels import Label, date_axis_of, given_axis, labels_in, value_axis
from evolve.charts.image_file import Picture
from evolve.charts.reading import Calibration
from evolve.charts.shapes import Shape
from evolve.errors import InvalidRequest, MissingExtra

Floats = NDArray[np.float64]
STRIP = 0.2  # of the width on either side in which the labels of the value axis are looked for
BESIDE_PX = 3  # a curve keeps this far from the labels
HIDDEN = 0.3  # of a pixel that a curve covers, and so is no text
ENOUGH = 4  # labels on the left that agree: then the axis is there, and the right need not be read
EDGE = 0.12  # of the height, at the bottom, in which dates are looked for first
MOST_PANELS = 4
BEYOND_TICKS = 2.0  # a panel ends within a tick of its outer labels, or two where the last one could not be read


@dataclass(frozen=True, slots=True)
class Panel:
    """One value axis and where its panel lies, in pixels. percentages: whether its labels are."""

    axis: ReadAxis
    percentages: bool
    top: float
    bottom: float
    left: float
    right: float


def panels_of(
    picture: Picture, stains: trace.Stains, shapes: list[Shape], calibration: Calibration | None, unread: list[str]
) -> list[Panel]:
    """From above; a calibration is about the whole picture. Empty where no axis could be read."""
    if calibration is not None:
        _check(calibration)
        axis = given_axis(calibration.y, "log" if calibration.log else "linear")
        return [Panel(axis, False, 0.0, float(picture.height), 0.0, float(picture.width))]
    hidden = _hidden(picture, stains, shapes)
    best: list[Panel] = []
    for on_left in (True, False):
        edges = (0, int(STRIP * picture.width)) if on_left else (int((1 - STRIP) * picture.width), picture.width)
        labels = labels_in(picture.pixels, (edges[0], 0, edges[1], picture.height), gap=3, hidden=hidden)
        panels = stacked(labels, (picture.width, picture.height), on_left=on_left)
        if most_labels(panels) > most_labels(best):
            best = panels
        if most_labels(best) >= ENOUGH:
            break
    if not best:
        unread.append("the labels of the value axis: fewer than three could be read and agree; give a calibration")
    return sorted(best, key=lambda panel: panel.top)


def most_labels(panels: list[Panel]) -> int:
    return max((panel.axis.labels for panel in panels), default=0)


def stacked(labels: list[Label], size: tuple[int, int], *, on_left: bool) -> list[Panel]:
    """The panels whose labels stand in one strip: what agrees on an axis, then what is left of the labels outside of its rows.

    size: of the picture, width and height.
    """
    found: list[Panel] = []
    rest = labels
    while len(found) < MOST_PANELS:
        axis, kept, percentages = value_axis(rest)
        if axis is None:
            break
        top, bottom = _rows(kept, labels, size[1])
        left = max(label.right for label in kept) + BESIDE_PX if on_left else 0.0
        right = float(size[0]) if on_left else min(label.left for label in kept) - BESIDE_PX
        found.append(Panel(axis, percentages, top, bottom, left, right))
        rest = [label for label in rest if label not in kept and not top <= label.y <= bottom]
    return found


def _hidden(picture: Picture, stains: trace.Stains, shapes: list[Shape]) -> NDArray[np.bool_]:
    """Pixels that are curves, and so no text; ink only along its curve, for text is as black."""
    hidden = np.zeros(picture.pixels.shape[:2], dtype=bool)
    for colour in {shape.colour for shape in shapes if not shape.is_ink}:
        hidden |= trace.cover(stains, trace.colour_of(colour)) > HIDDEN
    for shape in shapes:
        if shape.is_ink:
            ends = np.sort(shape.path.reshape(-1, 2), axis=1)
            for column, (top, bottom) in zip(shape.x.astype(int), ends, strict=True):
                hidden[max(0, int(top) - BESIDE_PX) : int(bottom) + BESIDE_PX + 1, column] = True
    return hidden


def _rows(kept: list[Label], everything: list[Label], height: int) -> tuple[float, float]:
    """Rows that belong to the axis: to half a tick beyond its outer labels, further where no other label follows."""
    rows = sorted(label.y for label in kept)
    tick = float(np.median(np.diff(rows))) if len(rows) > 1 else height / 5
    others = [label.y for label in everything if label not in kept and any(ch.isdigit() for ch in label.text)]
    above = max((y for y in others if y < rows[0]), default=-np.inf)
    below = min((y for y in others if y > rows[-1]), default=np.inf)
    reach = BEYOND_TICKS * tick
    top = min(rows[0] - 0.5 * tick, max(rows[0] - reach, rows[0] - 0.5 * (rows[0] - above)))
    bottom = max(rows[-1] + 0.5 * tick, min(rows[-1] + reach, rows[-1] + 0.5 * (below - rows[-1])))
    return max(0.0, top), min(float(height), bottom)


def in_panels(shapes: list[Shape], panels: list[Panel], unread: list[str]) -> list[tuple[Shape, Panel]]:
    """Each curve with the panel it lies in; without what lies in none: marks beside the axis, bars of volume, panels without an axis."""
    found = [(placed, panel) for panel in panels for shape in shapes if (placed := _within(shape, panel)) is not None]
    lost = len(shapes) - len(found)
    if lost > 0:
        unread.append(f"{lost} curves in another panel, whose axis was not read")
    return found


def _within(shape: Shape, panel: Panel) -> Shape | None:
    kept = (shape.x > panel.left) & (shape.x < panel.right)
    if shape.kind == "candlestick":
        kept &= (shape.y >= panel.top) & (shape.y <= panel.bottom)
    if kept.sum() < trace.CANDLES // 2 or not panel.top <= float(np.median(shape.y[kept])) <= panel.bottom:
        return None
    path = shape.path[np.repeat(kept, len(shape.path) // len(shape.y))]
    return replace(shape, x=shape.x[kept], y=shape.y[kept], path=path)


def date_axis_below(
    picture: Picture, shapes: list[Shape], calibration: Calibration | None, unread: list[str]
) -> ReadAxis | None:
    """The dates below the lowest curve, which all panels share; None, and why, where they cannot be read."""
    if calibration is not None:
        if calibration.x is None:
            unread.append("the dates: the calibration gives none, so volatility and trend are not a year's")
            return None
        return given_axis(calibration.x, "dates")
    if not shapes:
        return None
    lowest = int(max(shape.y.max() for shape in shapes)) + 2
    edge = int((1 - EDGE) * picture.height)
    axis = None
    try:
        # First along the edge, where they mostly stand: recognising the bars of a panel of volume as text takes longer than all the rest.
        for top in sorted({max(lowest, edge), lowest}, reverse=True):
            axis = axis or date_axis_of(labels_in(picture.pixels, (0, top, picture.width, picture.height), gap=6))
    except MissingExtra:
        pass
    if axis is None:
        unread.append("the dates: fewer than three could be read and agree, so volatility and trend are not a year's")
    return axis


def _check(calibration: Calibration) -> None:
    for name, points in (("y", calibration.y), ("x", calibration.x)):
        if points is not None and len({round(pixel, 3) for pixel, _ in points}) < 2:
            raise InvalidRequest(f"calibration.{name} needs two different pixels")
        if points is not None and not np.isfinite(np.array(points)).all():
            raise InvalidRequest(f"calibration.{name} holds a number that is not finite")
    if len({value for _, value in calibration.y}) < 2:
        raise InvalidRequest("calibration.y needs two different values")
    if calibration.log and min(value for _, value in calibration.y) <= 0:
        raise InvalidRequest("a logarithmic axis has positive values only; calibration.y has one that is not")
