"""Which black, white or grey pixels are a curve? Text, frames and grids have no colour either.

A curve is joined without a gap over a third of the width, and each column holds one stretch of it: letters are not joined, and have holes.
"""

from __future__ import annotations

import numpy as np

from evolve.charts.trace import (
    FILLED,
    LEVEL_PX,
    MIN_CHROMA,
    MIN_SPAN,
    OFF_LINE,
    SHADE,
    Floats,
    Mask,
    Stains,
    Trace,
    followed,
    is_filled,
    widened,
)

CONTRAST = (
    150.0  # RGB distance from the ground; grids are paler (matplotlib's is 137), so that none is taken for a curve
)
SHADES, SHADES_APART = (
    4,
    60.0,
)  # of ink in one picture, and their RGB distance: text and frame, the edges of both, and two more
FEWEST_SHARE = 0.3  # pixels per column of the picture: a shade with fewer draws no curve over a third of it
LEVEL_SHARE = 0.15  # of the width that a straight level line has at least; a curve is level that long only where nothing is traded
UPRIGHT_SHARE = 0.12  # of the height that the sides of a frame have at least, also those of a low panel
CORNER_PX = 4  # within which the sides of a frame end on its level lines
INKED = (
    0.6  # of a pixel: more than a usual grid (#b0b0b0) is of a usual grey line (#707070), which it would join to a net
)
BARS = 40  # columns of upright lines on a level one: more than the grid and frames of any picture have
PURE, PURE_SHARE = (
    0.9,
    0.2,
)  # a line has its own shade along its middle; a grid that is paler is half covered by it everywhere
HOLED = 0.2  # of its columns in which a shape has holes, from which it is text or hollow candles


def ink_traces(stains: Stains, unread: list[str]) -> list[Trace]:
    """The curves without a colour; what looks like one and is none is named in `unread`."""
    from scipy import ndimage

    found: list[Trace] = []
    for shade in _shades(stains):
        share = _cover(stains, shade)
        mask, upright = _without_frames(share >= INKED)
        if upright > BARS:
            unread.append(FILLED)
        # Where a frame or a grid was taken away, the curve that crossed it is in two pieces.
        joined, count = ndimage.label(widened(mask, 5, 5), np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(joined, count), 1):
            if box[1].stop - box[1].start < MIN_SPAN * stains.shape[1]:
                continue
            part = mask & (joined == number)
            if is_filled(part):
                unread.append(FILLED)
                continue
            if _is_holed(part[:, box[1]]) or (share[part] >= PURE).mean() < PURE_SHARE:
                continue
            trace = followed(share, part, shade)
            if trace is not None and float(np.ptp(trace.y)) > LEVEL_PX:  # what is level all along is an axis
                found.append(trace)
    return found


def _shades(stains: Stains) -> list[Floats]:
    """The most frequent ones that stand out from the ground and have no hue."""
    pixels = stains.away + stains.ground
    plain = pixels.max(axis=1) - pixels.min(axis=1) < MIN_CHROMA
    far = np.einsum("nc,nc->n", stains.away, stains.away) > CONTRAST**2
    inked = pixels[plain & far].astype(np.int64)
    codes = (inked // SHADE) @ np.array([121, 11, 1])
    values, counts = np.unique(codes, return_counts=True)
    found: list[Floats] = []
    for code in values[np.argsort(-counts)]:
        shade: Floats = np.median(inked[codes == code], axis=0)
        if (codes == code).sum() < FEWEST_SHARE * stains.shape[1] or len(found) == SHADES:
            break
        if not any(float(np.linalg.norm(shade - other)) < SHADES_APART for other in found):
            found.append(shade)
    return found


def _cover(stains: Stains, shade: Floats) -> Floats:
    """Which part of each pixel the ink covers, 0 … 1; as `trace.cover`, for what has no hue."""
    way, away = shade - stains.ground, stains.away
    share = np.clip(away @ way / float(way @ way), 0.0, 1.0)
    off = away - share[:, None] * way
    plain = away.max(axis=1) - away.min(axis=1) < MIN_CHROMA
    covered = np.zeros(stains.shape[0] * stains.shape[1])
    covered[stains.at] = np.where((np.einsum("nc,nc->n", off, off) < OFF_LINE**2) & plain, share, 0.0)
    return covered.reshape(stains.shape)


def _without_frames(mask: Mask) -> tuple[Mask, int]:
    """Without long level lines, and without upright ones that end on them; and in how many columns there were such."""
    height, width = mask.shape
    level = _runs(mask, max(8, int(LEVEL_SHARE * width)), axis=1)
    upright = _runs(mask & ~level, max(8, int(UPRIGHT_SHARE * height)), axis=0)
    near = widened(level, 2 * CORNER_PX + 1, 2 * CORNER_PX + 1)
    # A side of a frame ends on a level line above or below; a curve that falls steeply does not.
    sides = np.zeros_like(mask)
    for column in np.flatnonzero(upright.any(axis=0)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], upright[:, column].view(np.int8), [0]])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            sides[start:stop, column] = near[start, column] or near[stop - 1, column]
    kept: Mask = mask & ~level & ~sides
    return kept, int(sides.any(axis=0).sum())


def _runs(mask: Mask, length: int, *, axis: int) -> Mask:
    """The pixels that lie in a straight run of at least `length` along the axis."""
    from scipy import ndimage

    part = ndimage.minimum_filter1d(mask.view(np.uint8), length, axis=axis, mode="constant")
    found: Mask = ndimage.maximum_filter1d(part, length, axis=axis, mode="constant", origin=-(1 - length % 2)).view(
        np.bool_
    )
    return found


def _is_holed(part: Mask) -> bool:
    starts = np.diff(np.concatenate([np.zeros((1, part.shape[1]), np.int8), part.view(np.int8)]), axis=0) == 1
    runs = starts.sum(axis=0)
    return bool((runs > 1).sum() > HOLED * max(1, (runs > 0).sum()))
