"""Which value lies at which pixel? The tick labels of a picture, read and fitted by a straight line that most of them agree on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.cards import ReadAxis
from evolve.charts.image_file import Pixels
from evolve.errors import MissingExtra

Floats = NDArray[np.float64]
NEEDED = 3  # labels that agree: two always lie on a line
NEAR_PX = 2.5  # a label's middle lies within this of its tick
MAX_BOXES = 60
CONTRAST = 95  # of 255 between text and its ground; grid lines are paler
FRAME_SHARE = 0.4  # of a strip that a straight line fills: text has gaps between its rows
TICK_PX = 8
SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}
_NUMBER = re.compile(r"([-−–+]?)[$€£¥×x]?(\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?)([kKmMbB]?)(%?)")
_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}


@dataclass(frozen=True, slots=True)
class Label:
    """A piece of text and where its middle lies, in pixels from the upper left; left, right: its ends."""

    text: str
    x: float
    y: float
    left: float
    right: float


@cache
def _recogniser() -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        raise MissingExtra(
            "reading labels needs the extra `images`: pip install 'evolve-trading[images]'; or give the calibration yourself"
        ) from None
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)


def labels_in(
    pixels: Pixels, box: tuple[int, int, int, int], *, gap: int, hidden: NDArray[np.bool_] | None = None
) -> list[Label]:
    """The pieces of text within box (left, top, right, bottom). gap: columns of ground that still belong to one piece; hidden: pixels
    that are no text, because they are curves.

    Raises MissingExtra where the recogniser is not installed.
    """
    from scipy import ndimage

    left, top, right, bottom = box
    part = pixels[max(0, top) : bottom, max(0, left) : right]
    if part.shape[0] < 8 or part.shape[1] < 6:
        return []
    shades = part.reshape(-1, 3)
    codes = (shades.astype(np.int64) // 16) @ np.array([256, 16, 1])
    values, counts = np.unique(codes, return_counts=True)
    ground = np.median(shades[codes == values[counts.argmax()]], axis=0)
    ink = np.abs(part.astype(np.float64) - ground).max(axis=2) > CONTRAST
    if hidden is not None:
        ink &= ~hidden[max(0, top) : bottom, max(0, left) : right]
    ink = _without_frame(ink)
    joined, _ = ndimage.label(ndimage.binary_dilation(ink, np.ones((3, 2 * gap + 1))))
    crops: list[Pixels] = []
    places: list[tuple[int, int, float]] = []
    # From below: along the lower edge dates come before what is drawn above them.
    for number, found in reversed(list(enumerate(ndimage.find_objects(joined), 1))):
        shape = ink[found] & (joined[found] == number)
        rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
        if not rows.size:
            continue
        y0, y1 = found[0].start + rows[0], found[0].start + rows[-1] + 1
        x0, x1 = found[1].start + columns[0], found[1].start + columns[-1] + 1
        if not (5 <= y1 - y0 <= 48 and 2 <= x1 - x0 <= 260) or len(crops) == MAX_BOXES:
            continue
        pad = max(3, (y1 - y0) // 4)
        crop = part[max(0, y0 - pad) : y1 + pad, max(0, x0 - 2 * pad) : x1 + 2 * pad]
        crops.append(np.ascontiguousarray(_upright(crop, ground)))
        places.append((max(0, left) + x0, max(0, left) + x1 - 1, max(0, top) + (y0 + y1 - 1) / 2))
    if not crops:
        return []
    read, _ = _recogniser().text_rec(crops)
    return [
        Label(text.strip(), (start + end) / 2, y, float(start), float(end))
        for (text, _), (start, end, y) in zip(read, places, strict=True)
        if text.strip()
    ]


def _without_frame(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Text without the frame of the axes and the ticks on it, which would join the labels to one piece."""
    ink = ink.copy()
    upright = np.flatnonzero(ink.mean(axis=0) > FRAME_SHARE)
    level = np.flatnonzero(ink.mean(axis=1) > FRAME_SHARE)
    for at in upright:
        beside = ink[:, max(0, at - TICK_PX) : at + TICK_PX + 1]
        beside[_runs_of(beside, axis=0) <= 2] = False
        ink[:, at] = False
    for at in level:
        beside = ink[max(0, at - TICK_PX) : at + TICK_PX + 1]
        beside[_runs_of(beside, axis=1) <= 2] = False
        ink[at] = False
    return ink


def _runs_of(ink: NDArray[np.bool_], *, axis: int) -> NDArray[np.int64]:
    """How many pixels of ink lie without a gap along the axis at each pixel; 0 where there is none."""
    from scipy import ndimage

    along = np.zeros((3, 3))
    along[(slice(None), 1) if axis == 0 else (1, slice(None))] = 1
    labels, _ = ndimage.label(ink, along)
    lengths = np.bincount(labels.ravel())
    lengths[0] = 0
    return np.asarray(lengths[labels])


def _upright(crop: Pixels, ground: Floats) -> Pixels:
    """Dark on light, and large enough: what the recogniser was trained on. BGR."""
    from PIL import Image

    shown = 255 - crop if float(ground.mean()) < 110 else crop
    scale = max(1, round(40 / shown.shape[0]))
    if scale > 1:
        size = (shown.shape[1] * scale, shown.shape[0] * scale)
        shown = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BICUBIC))
    return shown[:, :, ::-1]


def number_in(text: str) -> float | None:
    """`1,234.5`, `−12 %`, `$45`, `2.5k`; None for anything else."""
    match = _NUMBER.fullmatch(text.replace(" ", "").replace("O", "0").replace("o", "0").replace("％", "%"))
    if match is None:
        return None
    sign, digits, scale, _ = match.groups()
    plain = re.sub(r"[,' ](?=\d{3}(\D|$))", "", digits).replace(",", ".")
    return (-1.0 if sign and sign in "-−–" else 1.0) * float(plain) * SCALES[scale.lower()]


def value_axis(labels: Sequence[Label]) -> tuple[ReadAxis | None, list[Label], bool]:
    """The axis that most labels agree on, those labels, and whether they are percentages."""
    read = [(label, number_in(label.text)) for label in labels]
    known = _in_one_column([(label, value) for label, value in read if value is not None])
    if len(known) < NEEDED:
        return None, [], False
    at, values = np.array([label.y for label, _ in known]), np.array([value for _, value in known])
    best = _agreed(at, values, "linear")
    # A log axis is taken only where a straight one explains fewer labels.
    logged = _agreed(at, np.log(np.where(values > 0, values, np.nan)), "log")
    if logged is not None and (best is None or len(logged[1]) > len(best[1])):
        best = logged
    if best is None:
        return None, [], False
    axis, inside = best
    kept = [known[index][0] for index in inside]
    return axis, kept, sum("%" in label.text for label in kept) * 2 > len(kept)


def _in_one_column(known: list[tuple[Label, float]]) -> list[tuple[Label, float]]:
    """The labels that stand above each other, as those of one axis do: a year below the picture may lie on their line by chance."""

    def beside(one: Label) -> list[tuple[Label, float]]:
        return [(other, value) for other, value in known if other.left <= one.right and one.left <= other.right]

    return max((beside(label) for label, _ in known), key=len, default=[])


def _agreed(at: Floats, values: Floats, scale: str) -> tuple[ReadAxis, list[int]] | None:
    """RANSAC over all pairs: the line with the most labels within `NEAR_PX`, refitted on them."""
    best: list[int] = []
    for one, other in combinations(np.flatnonzero(np.isfinite(values)), 2):
        if abs(at[one] - at[other]) < 8 or values[one] == values[other]:
            continue
        step = (values[other] - values[one]) / (at[other] - at[one])
        if scale != "dates" and step > 0:  # values grow upwards, rows downwards
            continue
        off = np.abs(values - values[one] - step * (at - at[one])) / abs(step)
        inside = [int(index) for index in np.flatnonzero(off < NEAR_PX * (3 if scale == "dates" else 1))]
        if len({round(float(at[index])) for index in inside}) > len({round(float(at[index])) for index in best}):
            best = inside
    if len({round(float(at[index])) for index in best}) < NEEDED:
        return None
    step, start = np.polyfit(at[best], values[best], 1)
    residual = float(np.sqrt(np.mean((values[best] - start - step * at[best]) ** 2))) / abs(float(step))
    return ReadAxis(scale, float(start), float(step), len(best), residual, "labels"), best  # type: ignore[arg-type]


def given_axis(points: Sequence[tuple[float, float]], scale: str) -> ReadAxis:
    """The axis through points that the user gave. Two pixels must differ; a logarithmic axis has positive values only."""
    at, values = np.array([pixel for pixel, _ in points]), np.array([value for _, value in points])
    if scale == "log":
        values = np.log(values)
    step, start = np.polyfit(at, values, 1)
    residual = float(np.sqrt(np.mean((values - start - step * at) ** 2))) / max(abs(float(step)), 1e-300)
    return ReadAxis(scale, float(start), float(step), len(points), residual, "given")  # type: ignore[arg-type]


def at_pixels(axis: ReadAxis, pixels: Floats) -> Floats:
    values: Floats = axis.start + axis.step * pixels
    return np.exp(values) if axis.scale == "log" else values


def date_axis_of(labels: Sequence[Label]) -> ReadAxis | None:
    """Unix seconds along x, from labels such as `2013`, `Jan 2013`, `2013-03-01`, or months around a year."""
    stamped = [(label.x, stamp) for label, stamp in zip(labels, _stamps(labels), strict=True) if stamp is not None]
    if len(stamped) < NEEDED:
        return None
    found = _agreed(np.array([x for x, _ in stamped]), np.array([stamp for _, stamp in stamped]), "dates")
    return found[0] if found is not None and found[0].step > 0 else None


def _stamps(labels: Sequence[Label]) -> list[float | None]:
    order = sorted(range(len(labels)), key=lambda index: labels[index].x)
    parts = [_date_parts(labels[index].text) for index in order]
    months_shown = any(part is not None and part[0] is None for part in parts)
    found: list[float | None] = [None] * len(labels)
    # Bare months belong to the year that a neighbour names: a bare year among them is its January.
    year = None
    for place, part in enumerate(parts):
        if part is not None and part[0] is not None:
            year = part[0] - (1 if months_shown and part[1] is None and place else 0)
            break
    last_month = 0
    for index, part in zip(order, parts, strict=True):
        if part is None:
            continue
        named, month, day = part
        if named is not None:
            year, last_month = named, month or 1
        elif year is not None and month is not None:
            year, last_month = year + (1 if month < last_month else 0), month
        if year is not None:
            found[index] = datetime(year, month or 1, day or 1, tzinfo=UTC).timestamp()
    return found


def _date_parts(text: str) -> tuple[int | None, int | None, int | None] | None:
    """(year, month, day), each None where the label does not name it."""
    word = text.strip().lower().replace(".", "-").replace("/", "-").rstrip("-")
    iso = re.fullmatch(r"((?:19|20)\d\d)-(\d\d)(?:-(\d\d))?", word)
    if iso and 1 <= int(iso[2]) <= 12 and 1 <= int(iso[3] or 1) <= 28 + 3 * (int(iso[2]) != 2):
        return int(iso[1]), int(iso[2]), min(int(iso[3] or 1), 28 if int(iso[2]) == 2 else 30)
    if re.fullmatch(r"(19|20)\d\d", word):
        return int(word), None, None
    named = re.fullmatch(r"([a-z]{3})[a-z]*'?\s*((?:19|20)\d\d)?", word)
    if named and named[1] in _MONTHS:
        return (int(named[2]) if named[2] else None), _MONTHS[named[1]], None
    return None
