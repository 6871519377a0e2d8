"""Which pixels belong to which curve? Colours that stand out from the ground, followed column by column, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolve.charts.image_file import Pixels

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_CHROMA = 55  # of 255: what is paler is grid, text or shade
MAX_COLOURS = 8
SHADE = 24  # levels per step when colours are counted: JPEG blurs by less
APART = 95.0  # RGB distance below which two shades are one colour
OFF_LINE = 48.0  # RGB distance from the straight line between ground and colour that anti-aliasing and JPEG leave
HUE_KEPT = 0.45  # of a colour's chroma that JPEG leaves in a pixel of it
STAIN = 6  # levels from the ground below which a pixel is ground: paper is not quite even in a JPEG
COVERED = 0.5  # of a pixel: more of it is curve than ground
MIN_SPAN = 0.3  # of the width that a curve covers at least; shorter colours are marks and legends
MAX_GAPS = 0.6  # of its columns; with more hidden, what is left is no curve
UNBROKEN = 0.15  # gaps below which a colour is a line, so not that of separate candles
BESIDE_SHARE = 0.12  # of the width on either side, where the labels of the axes stand
LEVEL_PX = 1.5  # rows within which a line is level
THICK_PX = 8  # lines are thinner in any picture of up to 4K; boxes around prices are not
LEVEL_SHARE = (
    0.25  # of the width that one row of a curve's colour covers: a level line, if the curve is elsewhere there
)
FILLED = "bars or an area that stand on one line, such as volume"
CANDLES = 12  # separate bodies from which a picture is one of candlesticks


@dataclass(frozen=True, eq=False)
class Trace:
    """A curve in pixels. x: columns; y: row of its middle, from above; top, bottom: rows of the line's two ends in a column, half a
    line's width taken off, so that a column through which it rises and falls keeps its peak and its trough."""

    colour: str
    x: Floats
    y: Floats
    top: Floats
    bottom: Floats
    gaps: float


@dataclass(frozen=True, eq=False)
class Candles:
    """Bodies and wicks in pixels, left to right; rose: whether the close is the upper end of the body."""

    colour: str
    x: Floats
    close: Floats
    high: Floats
    low: Floats


def ground_of(pixels: Pixels) -> Floats:
    """The most frequent colour of the middle of the picture."""
    height, width = pixels.shape[:2]
    middle = pixels[height // 5 : 4 * height // 5, width // 5 : 4 * width // 5].reshape(-1, 3)
    codes = (middle.astype(np.int64) // 8) @ np.array([1024, 32, 1])
    values, counts = np.unique(codes, return_counts=True)
    found: Floats = np.median(middle[codes == values[counts.argmax()]], axis=0)
    return found


def colours_of(pixels: Pixels, ground: Floats) -> list[Floats]:
    """Colours that stand out, the most frequent first; shades between one of them and the ground are no colour of their own."""
    flat = pixels.reshape(-1, 3).astype(np.int64)
    chroma = flat.max(axis=1) - flat.min(axis=1)
    vivid = flat[chroma >= MIN_CHROMA]
    if not len(vivid):
        return []
    codes = (vivid // SHADE) @ np.array([121, 11, 1])
    values, first, counts = np.unique(codes, return_inverse=True, return_counts=True)
    # Chroma counts too: the pure shade in the middle of a line, not the many mixed ones at its edges.
    strength = np.bincount(first, weights=chroma[chroma >= MIN_CHROMA])
    found: list[Floats] = []
    for code in values[np.argsort(-strength * np.sqrt(strength / counts))]:
        shade = np.median(vivid[codes == code], axis=0)
        if (codes == code).sum() >= 20 and not any(_alike(shade, other, ground) for other in found):
            found.append(shade)
        if len(found) == 2 * MAX_COLOURS:
            break
    return found


def _alike(shade: Floats, other: Floats, ground: Floats) -> bool:
    way = other - ground
    share = float(np.clip((shade - ground) @ way / (way @ way), 0.0, 1.0))
    return bool(np.linalg.norm(shade - other) < APART or np.linalg.norm(shade - ground - share * way) < OFF_LINE)


@dataclass(frozen=True, eq=False)
class Stains:
    """The pixels that differ from the ground, a tenth of a picture and all that holds curves. away: their distance from it, shape (n, 3)."""

    shape: tuple[int, int]
    at: NDArray[np.int64]
    away: Floats
    ground: Floats


def stains_of(pixels: Pixels, ground: Floats) -> Stains:
    flat = pixels.reshape(-1, 3)
    level = np.rint(ground).astype(np.int16)
    at = np.flatnonzero((np.abs(flat.astype(np.int16) - level) > STAIN).any(axis=1))
    return Stains((pixels.shape[0], pixels.shape[1]), at, flat[at] - ground, ground)


def cover(stains: Stains, colour: Floats) -> Floats:
    """Which part of each pixel the colour covers, 0 … 1; 0 where the pixel is no mixture of it and the ground."""
    way, away = colour - stains.ground, stains.away
    share = np.clip(away @ way / float(way @ way), 0.0, 1.0)
    off = away - share[:, None] * way
    # Grey is near the line between a dark ground and a dull colour, but has no hue.
    hue = away.max(axis=1) - away.min(axis=1) >= HUE_KEPT * share * float(np.ptp(way))
    covered = np.zeros(stains.shape[0] * stains.shape[1])
    covered[stains.at] = np.where((np.einsum("nc,nc->n", off, off) < OFF_LINE**2) & hue, share, 0.0)
    return covered.reshape(stains.shape)


def widened(mask: Mask, rows: int, columns: int) -> Mask:
    """What lies within a box of rows × columns (odd numbers) around a pixel of the mask. One pass per side, whatever the box's size."""
    from scipy import ndimage

    wide = ndimage.maximum_filter1d(mask.view(np.uint8), columns, axis=1, mode="constant")
    found: Mask = ndimage.maximum_filter1d(wide, rows, axis=0, mode="constant").view(np.bool_)
    return found


def solid(mask: Mask, side: int) -> Mask:
    """What is left of the mask where a square of `side` pixels fits into it: filled areas without the lines that touch them."""
    from scipy import ndimage

    part = mask.view(np.uint8)
    for axis in (0, 1):
        part = ndimage.minimum_filter1d(part, side, axis=axis, mode="constant")
    for axis in (0, 1):
        # The mirrored origin: a square of an even side has no middle.
        part = ndimage.maximum_filter1d(part, side, axis=axis, mode="constant", origin=-(1 - side % 2))
    found: Mask = part.view(np.bool_)
    return found


def line_traces(share: Floats, colour: Floats) -> list[Trace]:
    """The curves of one colour, one per panel; empty where none is long enough to be one."""
    from scipy import ndimage

    mask = _thin(share >= COVERED)
    # Dashes and crossings leave gaps; what is farther apart in height is another panel or a legend.
    reach = max(3, share.shape[1] // 60)
    joined, count = ndimage.label(widened(mask, 5, 2 * reach + 1))
    if not count:
        return []
    widths = [box[1].stop - box[1].start for box in ndimage.find_objects(joined)]
    long = [number for number, width in enumerate(widths, 1) if width >= MIN_SPAN * share.shape[1]]
    found = [followed(share, mask & (joined == number), colour) for number in long]
    return [each for each in found if each is not None]


def _thin(mask: Mask) -> Mask:
    """Without filled areas (boxes of labels), and without a level line where the curve runs elsewhere (the dashes of a last price)."""
    from scipy import ndimage

    thick, _ = ndimage.label(solid(mask, THICK_PX))
    for number, box in enumerate(ndimage.find_objects(thick), 1):
        part = thick[box] == number
        middle = (box[1].start + box[1].stop) / 2 / mask.shape[1]
        # A box is filled to its corners, but for the price that is written in it; a curve that goes up and down within few columns
        # is less so, and seldom beside the axis.
        filled = 0.45 if min(middle, 1 - middle) < BESIDE_SHARE else 0.8
        if part.mean() > filled and part.shape[1] > 2 * THICK_PX:
            mask = mask.copy()
            mask[:, max(0, box[1].start - 3) : box[1].stop + 3][max(0, box[0].start - 3) : box[0].stop + 3] = False
    level = np.flatnonzero(mask.sum(axis=1) > LEVEL_SHARE * mask.shape[1])
    for row in level:
        near = slice(max(0, row - 1), row + 2)
        along = mask[near].any(axis=0)
        elsewhere = along & (mask.sum(axis=0) > mask[near].sum(axis=0))
        if elsewhere.sum() > along.sum() / 2:
            mask = mask.copy()
            mask[near] = False
    return mask


def is_filled(part: Mask) -> bool:
    """Whether a shape is an area or a row of bars: its columns are high, and most of them stand, or hang, on one line."""
    columns = part[:, part.any(axis=0)]
    heights = columns.sum(axis=0)
    if float(np.median(heights)) <= THICK_PX:
        return False
    top, bottom = columns.argmax(axis=0), len(columns) - 1 - columns[::-1].argmax(axis=0)
    stand, hang = bottom >= bottom.max() - LEVEL_PX, top <= top.min() + LEVEL_PX
    return bool(max(stand.mean(), hang.mean()) > 0.5)


def followed(share: Floats, mask: Mask, colour: Floats) -> Trace | None:
    """The curve that the mask holds, to a fraction of a pixel; None where it is too short or mostly hidden."""
    columns = np.flatnonzero(mask.any(axis=0))
    if len(columns) < 20:
        return None
    first, last = _runs(mask, columns)
    rows = np.arange(len(mask))[:, None]
    # The weights of the edge pixels, which the mask leaves out, place the line between pixels.
    weights = np.where((rows >= first - 1) & (rows <= last + 1), share[:, columns], 0.0)
    total = weights.sum(axis=0)
    centre = (rows * weights).sum(axis=0) / total
    kept = _without_dashes(columns, centre)
    columns, total = columns[:kept], total[:kept]
    first, last, centre = first[:kept], last[:kept], centre[:kept]
    thickness = float(np.percentile(total, 15))
    steep = last - first + 1 > 1.6 * max(1.0, thickness)
    top = np.where(steep, first - 0.5 + thickness / 2, centre)
    bottom = np.where(steep, last + 0.5 - thickness / 2, centre)
    whole = np.arange(columns[0], columns[-1] + 1)
    gaps = 1 - len(columns) / len(whole)
    if gaps > MAX_GAPS:
        return None
    middle = np.where(steep, (top + bottom) / 2, centre)
    y, top, bottom = (np.interp(whole, columns, values) for values in (middle, top, bottom))
    return Trace(hex_of(colour), whole.astype(np.float64), y, top, bottom, gaps)


def _without_dashes(columns: NDArray[np.int64], centre: Floats) -> int:
    """How many columns are left without a broken level line at the right end: the last price is drawn on to its label in dashes."""
    moving = np.flatnonzero(np.abs(centre - centre[-1]) > LEVEL_PX)
    tail = int(moving[-1]) + 1 if moving.size else len(columns)
    breaks = np.flatnonzero(np.diff(columns[tail:]) > 1)
    return tail + int(breaks[0]) + 1 if len(breaks) >= 2 else len(columns)


def _runs(mask: Mask, columns: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """First and last row of the stretch of pixels in each column that carries the curve on from the column before."""
    first, last = np.empty(len(columns)), np.empty(len(columns))
    before: tuple[int, int] | None = None
    for number, column in enumerate(columns):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask[:, column].astype(np.int8), [0]])))
        runs = list(zip(edges[::2], edges[1::2] - 1, strict=True))
        if before is None:
            chosen = max(runs, key=lambda run: run[1] - run[0])
        else:
            above, below = before
            # The nearest; of several that touch the one before, the longest.
            chosen = min(runs, key=lambda run: (max(0, run[0] - below - 1, above - run[1] - 1), run[0] - run[1]))
        before = (int(chosen[0]), int(chosen[1]))
        first[number], last[number] = before
    return first, last


def hex_of(colour: Floats) -> str:
    return "#" + "".join(f"{round(float(value)):02x}" for value in colour)


def colour_of(text: str) -> Floats:
    return np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Body:
    """One candle in pixels: its middle column, ends of body and wick, from above, and which colour it has."""

    x: float
    top: float
    bottom: float
    high: float
    low: float
    kind: int


def bodies_of(share: Floats, kind: int) -> list[Body]:
    """The separate upright shapes of one colour; empty unless there are enough to be candles."""
    from scipy import ndimage

    mask = share >= COVERED
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count < CANDLES // 2:
        return []
    bodies = []
    width = share.shape[1]
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        shape = labels[box] == number
        across = shape.sum(axis=1)
        if shape.shape[1] > 0.04 * width or shape.sum() < 4 or shape.shape[0] < 2:
            continue
        wide = np.flatnonzero(across >= max(2, 0.6 * shape.shape[1])) if shape.shape[1] > 2 else np.arange(len(across))
        if not wide.size:
            wide = np.array([int(across.argmax())])
        top = box[0].start
        bodies.append(
            Body(
                (box[1].start + box[1].stop - 1) / 2, top + wide[0] - 0.5, top + wide[-1] + 0.5, top - 0.5, box[0].stop - 0.5, kind
            )
        )  # fmt: skip
    return bodies


def candles_from(bodies: list[Body], colours: list[Floats]) -> Candles:
    """Candles left to right. Which colour means a gain is found from the data: opens lie near the close before."""
    order = _whole(sorted(bodies, key=lambda body: body.x))
    kinds = np.array([body.kind for body in order])
    top, bottom = (np.array([getattr(body, name) for body in order]) for name in ("top", "bottom"))

    def jumps(gain: int) -> float:
        close, open_ = np.where(kinds == gain, top, bottom), np.where(kinds == gain, bottom, top)
        return float(np.abs(open_[1:] - close[:-1]).sum())

    gain = min(set(kinds.tolist()), key=jumps) if len(set(kinds.tolist())) > 1 else int(kinds[0])
    return Candles(
        hex_of(colours[gain]),
        np.array([body.x for body in order]),
        np.where(kinds == gain, top, bottom),
        np.array([body.high for body in order]),
        np.array([body.low for body in order]),
    )


def _whole(bodies: list[Body]) -> list[Body]:
    """Candles that a line drawn over them has cut in pieces, put together: pieces of one colour in one column."""
    steps = np.diff([body.x for body in bodies])
    apart = 0.4 * float(np.median(steps[steps > 1])) if (steps > 1).any() else 0.0
    whole: list[Body] = []
    for body in bodies:
        last = whole[-1] if whole else None
        if last is not None and body.kind == last.kind and body.x - last.x < apart:
            ends = (
                min(last.top, body.top),
                max(last.bottom, body.bottom),
                min(last.high, body.high),
                max(last.low, body.low),
            )
            whole[-1] = Body((last.x + body.x) / 2, *ends, body.kind)
        elif last is None or body.x - last.x >= apart:
            whole.append(body)
    return whole
