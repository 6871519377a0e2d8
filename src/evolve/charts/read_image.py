"""What does a picture of a chart say? Its axes, its curves as numbers, and return, drawdown, volatility and trend, with their errors.

Errors come from what was measured: how far the labels lie from their line, how thick the curve is, how much of it is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolve.cards import ImageAnalysis, ReadAxis, ReadCurve
from evolve.charts import trace
from evolve.charts.axis_labels import Label, at_pixels, date_axis_of, given_axis, labels_in, value_axis
from evolve.charts.image_file import Picture
from evolve.charts.reading import Calibration
from evolve.errors import InvalidRequest, MissingExtra
from evolve.evidence import Evidence, EvidenceBook, Unit, render

Floats = NDArray[np.float64]
YEAR_S = 365.25 * 86_400
STRIDE = 10  # columns between the values that volatility is taken from: neighbouring columns lie on one straight piece
MAX_POINTS = 2_000
STRIP = 0.2  # of the width on either side in which the labels of the value axis are looked for
BESIDE_PX = 3  # a curve keeps this far from the labels
HIDDEN = 0.3  # of a pixel that a curve covers, and so is no text
LINE_ERROR_PX = 0.5  # where in its thickness a drawn line's value lies
METHOD = "colours followed by column; labels by RapidOCR; axes by RANSAC"


@dataclass(frozen=True, eq=False)
class _Shape:
    """A curve in pixels: x; y for values; path: rows in the order they were passed, for the drawdown."""

    kind: Literal["line", "candlestick"]
    colour: str
    x: Floats
    y: Floats
    path: Floats
    gaps: float


def read_chart(picture: Picture, analysis: str, calibration: Calibration | None) -> ImageAnalysis:
    """What can be read; `unread` names the rest. Raises InvalidRequest where nothing stands out in colour, MissingExtra without
    the recogniser and without a calibration."""
    stains = trace.stains_of(picture.pixels, trace.ground_of(picture.pixels))
    shapes = _shapes(picture, stains, analysis)
    if not shapes:
        raise InvalidRequest(
            "no curve in a colour of its own stands out in this picture; give one with coloured lines or candles"
        )
    unread: list[str] = []
    y_axis, percentages, frame = _y_axis(picture, stains, shapes, calibration, unread)
    shapes = _within(shapes, frame, unread)
    x_axis = _x_axis(picture, shapes, calibration, unread)
    book = EvidenceBook()
    curves = tuple(
        _curve(shape, f"curve {number}", y_axis, x_axis, percentages, picture, book) for number, shape in enumerate(shapes, 1)
    ) if y_axis is not None else ()  # fmt: skip
    return ImageAnalysis(
        success=bool(curves),
        image_path=picture.path,
        analysis_type=analysis,
        width=picture.width,
        height=picture.height,
        analysis=_in_words(curves, unread),
        curves=curves,
        y_axis=y_axis,
        x_axis=x_axis,
        unread=tuple(unread),
        method=METHOD if calibration is None else "colours followed by column; axes as given",
    )


# --- shapes ---


def _shapes(picture: Picture, stains: trace.Stains, analysis: str) -> list[_Shape]:
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
            return [_of_candles(bodies[many[0]] + bodies[many[1]], colours)]
        if analysis == "candlestick":
            return []
    found = [_Shape("line", line.colour, line.x, line.y, _path(line), line.gaps) for lines in traces for line in lines]
    return found[: trace.MAX_COLOURS]


def _of_candles(bodies: list[trace.Body], colours: list[Floats]) -> _Shape:
    # Volume bars below are shapes of the same colours, and all stand on one row.
    bottoms = np.array([body.low for body in bodies])
    standing = np.abs(bottoms - bottoms.max()) <= 1.5
    if standing.sum() > len(bodies) / 4:
        bodies = [body for body, stands in zip(bodies, standing, strict=True) if not stands]
    candles = trace.candles_from(bodies, colours)
    return _Shape("candlestick", candles.colour, candles.x, candles.close, candles.close, 0.0)


def _path(line: trace.Trace) -> Floats:
    """Rows as a pen passes them: in each column the end nearer to the one before comes first."""
    path = np.empty(2 * len(line.y))
    before = line.y[0]
    for number, (top, bottom) in enumerate(zip(line.top, line.bottom, strict=True)):
        first, second = (top, bottom) if abs(top - before) <= abs(bottom - before) else (bottom, top)
        path[2 * number : 2 * number + 2] = first, second
        before = second
    return path


# --- axes ---


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the panel lies whose axis was read, in pixels."""

    top: float
    bottom: float
    left: float
    right: float


def _y_axis(
    picture: Picture, stains: trace.Stains, shapes: list[_Shape], calibration: Calibration | None, unread: list[str]
) -> tuple[ReadAxis | None, bool, _Frame]:
    """The value axis, whether it shows percentages, and the panel it belongs to."""
    whole = _Frame(0.0, float(picture.height), 0.0, float(picture.width))
    if calibration is not None:
        _check(calibration)
        return given_axis(calibration.y, "log" if calibration.log else "linear"), False, whole
    hidden = np.zeros(picture.pixels.shape[:2], dtype=bool)
    for colour in {shape.colour for shape in shapes}:
        hidden |= trace.cover(stains, trace.colour_of(colour)) > HIDDEN
    best: tuple[ReadAxis, list[Label], bool] | None = None
    frame = whole
    for on_left in (True, False):
        edges = (0, int(STRIP * picture.width)) if on_left else (int((1 - STRIP) * picture.width), picture.width)
        labels = labels_in(picture.pixels, (edges[0], 0, edges[1], picture.height), gap=3, hidden=hidden)
        axis, kept, percentages = value_axis(labels)
        if axis is None or (best is not None and len(kept) <= len(best[1])):
            continue
        best = axis, kept, percentages
        top, bottom = _panel(kept, labels, picture.height)
        left = max(label.right for label in kept) + BESIDE_PX if on_left else 0.0
        right = min(label.left for label in kept) - BESIDE_PX if not on_left else float(picture.width)
        frame = _Frame(top, bottom, left, right)
    if best is None:
        unread.append("the labels of the value axis: fewer than three could be read and agree; give a calibration")
        return None, False, whole
    return best[0], best[2], frame


def _panel(kept: list[Label], everything: list[Label], height: int) -> tuple[float, float]:
    """Rows that belong to the axis: to half a tick beyond its outer labels, further where no other label follows."""
    rows = sorted(label.y for label in kept)
    tick = float(np.median(np.diff(rows))) if len(rows) > 1 else height / 5
    others = [label.y for label in everything if label not in kept and any(ch.isdigit() for ch in label.text)]
    above = max((y for y in others if y < rows[0]), default=0.0)
    below = min((y for y in others if y > rows[-1]), default=float(height))
    return max(0.0, min(rows[0] - tick, rows[0] - 0.5 * (rows[0] - above))), min(float(height), max(rows[-1] + 0.5 * tick, rows[-1] + 0.5 * (below - rows[-1])))  # fmt: skip


def _within(shapes: list[_Shape], frame: _Frame, unread: list[str]) -> list[_Shape]:
    """Without what lies outside of the panel: marks beside the axis, bars of volume, other panels."""
    inside = []
    for shape in shapes:
        kept = (shape.x > frame.left) & (shape.x < frame.right)
        if shape.kind == "candlestick":
            kept &= (shape.y >= frame.top) & (shape.y <= frame.bottom)
        if kept.sum() < trace.CANDLES // 2 or not frame.top <= float(np.median(shape.y[kept])) <= frame.bottom:
            continue
        path = shape.path[np.repeat(kept, len(shape.path) // len(shape.y))]
        inside.append(replace(shape, x=shape.x[kept], y=shape.y[kept], path=path))
    if len(inside) < len(shapes):
        unread.append(f"{len(shapes) - len(inside)} curves in another panel, whose axis was not read")
    return inside


def _x_axis(
    picture: Picture,
    shapes: list[_Shape],
    calibration: Calibration | None,
    unread: list[str],
) -> ReadAxis | None:
    if calibration is not None:
        if calibration.x is None:
            unread.append("the dates: the calibration gives none, so volatility and trend are not a year's")
            return None
        return given_axis(calibration.x, "dates")
    if not shapes:
        return None
    lowest = int(max(shape.y.max() for shape in shapes))
    try:
        axis = date_axis_of(labels_in(picture.pixels, (0, lowest + 2, picture.width, picture.height), gap=6))
    except MissingExtra:
        axis = None
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


# --- figures ---


def _curve(
    shape: _Shape,
    name: str,
    axis: ReadAxis,
    dates: ReadAxis | None,
    percentages: bool,
    picture: Picture,
    book: EvidenceBook,
) -> ReadCurve:
    values, path = at_pixels(axis, shape.y), at_pixels(axis, shape.path)
    row_error = float(np.hypot(LINE_ERROR_PX, axis.residual_px / np.sqrt(max(1, axis.labels - 2))))
    per_row = float(np.median(np.abs(at_pixels(axis, shape.y + 1) - values)))
    error = row_error * per_row * (1 + shape.gaps)
    seconds = at_pixels(dates, shape.x) if dates is not None else None
    figures = _figures(name, shape, values, path, error, seconds, percentages, picture, book)
    picks = np.unique(np.linspace(0, len(values) - 1, min(MAX_POINTS, len(values))).astype(int))
    if seconds is None:
        x = tuple(f"{shape.x[pick]:g}" for pick in picks)
    else:
        x = tuple(datetime.fromtimestamp(float(seconds[pick]), UTC).strftime("%Y-%m-%d") for pick in picks)
    return ReadCurve(name, shape.kind, shape.colour, x, tuple(float(values[pick]) for pick in picks), error, figures)


def _figures(
    name: str, shape: _Shape, values: Floats, path: Floats, error: float, seconds: Floats | None, percentages: bool, picture: Picture, book: EvidenceBook
) -> tuple[Evidence, ...]:  # fmt: skip
    as_of = datetime.fromtimestamp(float(seconds[-1]), UTC).strftime("%Y-%m-%d") if seconds is not None else "unknown"

    def add(what: str, value: float | None, unit: Unit, computed: str, off: float = 0.0, note: str = "") -> Evidence:
        low, high = (value - 2 * off, value + 2 * off) if value is not None and off > 0 else (None, None)
        return book.add(what, name, value, unit, as_of=as_of, source=f"read from {picture.path}", computed=computed, low=low, high=high, level=0.95 if low is not None else None, note=note)  # fmt: skip

    # A chart of percentages shows returns since its start: growth is one more than they are.
    growth, walked, off = (1 + values / 100, 1 + path / 100, error / 100) if percentages else (values, path, error)
    found = [
        add("first_value", float(values[0]), "ratio", "value at the left end", error),
        add("last_value", float(values[-1]), "ratio", "value at the right end", error),
    ]
    if walked.min() <= 0:
        why = "the curve reaches zero or less, where a return has no meaning"
        return (*found, *(add(each, None, "fraction", "", note=why) for each in ("total_return", "drawdown", "volatility", "trend")))  # fmt: skip
    relative = off / float(np.median(growth))
    found.append(add("total_return", float(growth[-1] / growth[0] - 1), "fraction", "right end over left end, less one", 1.5 * relative * float(growth[-1] / growth[0])))  # fmt: skip
    fall = float((walked / np.maximum.accumulate(walked) - 1).min())
    found.append(
        add("drawdown", fall, "fraction", "deepest fall from a peak along the line", 1.5 * relative * (1 + fall))
    )
    if seconds is None:
        why = "the dates could not be read"
        return (*found, add("volatility", None, "fraction", "", note=why), add("trend", None, "fraction", "", note=why))
    stride = STRIDE if shape.kind == "line" else 1
    steps = np.diff(np.log(growth[::stride]))
    years = float(np.median(np.diff(seconds[::stride]))) / YEAR_S
    whole = float(seconds[-1] - seconds[0]) / YEAR_S
    if len(steps) < 8 or years <= 0 or whole <= 0:
        why = "the curve is too short"
        return (*found, add("volatility", None, "fraction", "", note=why), add("trend", None, "fraction", "", note=why))
    volatility = float(np.sqrt(np.mean(steps**2) / years))
    noise = 2 * (relative**2) / years  # reading errors add to the variance of each step
    found.append(add("volatility", volatility, "fraction", f"root mean square of changes over {stride} columns or candles, annualised", max(volatility / np.sqrt(2 * len(steps)), abs(volatility - float(np.sqrt(max(0.0, volatility**2 - noise)))))))  # fmt: skip
    slope = float(np.polyfit((seconds - seconds[0]) / YEAR_S, np.log(growth), 1)[0])
    found.append(
        add(
            "trend",
            float(np.exp(slope) - 1),
            "fraction",
            "growth a year along the straight line through the logarithms",
        )
    )
    return tuple(found)


def _in_words(curves: tuple[ReadCurve, ...], unread: list[str]) -> str:
    said = []
    for curve in curves:
        by_name = {figure.name: figure for figure in curve.figures}
        parts = [f"{word} {render(by_name[name])}" for word, name in (("return", "total_return"), ("deepest fall", "drawdown"), ("volatility a year", "volatility"), ("trend a year", "trend")) if by_name[name].value is not None]  # fmt: skip
        said.append(f"{curve.name} ({curve.kind}, {curve.colour}): {', '.join(parts) or 'no figures'}.")
    return " ".join([*said, *(f"Not read: {what}." for what in unread)])
