"""What do all charts share? Their size, their axes, title, source and SIMULATED mark around them, and how they get onto a disk."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evolve.charts.theme import THEMES, Theme, ThemeName
from evolve.errors import InvalidRequest, Unavailable
from evolve.files import write_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from numpy.typing import NDArray

SIZE_INCHES = (9.6, 6.0)
DOTS_PER_INCH = 125  # 1200 × 750: crisp on a page, and at a quarter of it the lines are still 1 pixel wide
LEFT, RIGHT = 0.095, 0.975  # of the width: where axes, title, legend and source begin and end
TOP, BOTTOM = 0.885, 0.14  # of the height: axes lie between, title and legend above, dates and source below
LEGEND_ROW = 0.042  # of the height that one row of a legend takes
SMALLEST_POINTS = 5.0
SIMULATED = "SIMULATED"
ENCODED = {"compress_level": 3}  # of PNGs: 6 % larger than the default 6 and encoded in 26 instead of 42 ms

Format = Literal["png", "svg", "html"]
FORMATS: tuple[Format, ...] = ("png", "svg", "html")


@dataclass(frozen=True, slots=True)
class Caption:
    """What is written around a chart. source: which data, in words; simulated: whether SIMULATED is written across."""

    title: str
    source: str
    simulated: bool = False


def new_figure(theme: ThemeName, *, size: tuple[float, float] = SIZE_INCHES) -> Figure:
    """An empty figure, without pyplot: no global state, no window, safe in threads."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor=THEMES[theme].background)
    FigureCanvasAgg(figure)
    return figure


def style(axes: Axes, colours: Theme) -> None:
    """Ground, grid and labels as in every chart of the theme."""
    axes.set_facecolor(colours.background)
    axes.grid(True, color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=colours.text, labelsize=11, length=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(colours.text)
        axis.label.set_fontsize(12)
    axes.xaxis.get_offset_text().set_color(colours.text)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(colours.muted)


def date_axis(axes: Axes) -> None:
    """Dates below, as few and as short as they can be read."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=10)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


def percent(axis: Axis) -> None:
    """Values that are percent already, written with their sign and unit."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %".replace("-", "−")))


def as_dates(time: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Unix milliseconds as the dates that matplotlib draws, UTC."""
    return time.astype("datetime64[ms]")


def write_caption(figure: Figure, caption: Caption, colours: Theme) -> None:
    """Title above, source below, SIMULATED across."""
    # Text is data here: a "$" in a title is a dollar, not the start of a formula.
    plain: dict[str, Any] = {"parse_math": False, "ha": "left", "va": "center"}
    size = 16 if len(caption.title) <= 68 else 12
    lines = textwrap.fill(caption.title, 80)
    fit(figure.text(LEFT, 0.948, lines, color=colours.text, fontsize=size, fontweight="bold", **plain), size)
    lines = textwrap.fill(f"Source: {caption.source}", 115)
    fit(figure.text(LEFT, 0.045, lines, color=colours.muted, fontsize=10, **plain), 10)
    if caption.simulated:
        figure.text(
            0.53, 0.52, SIMULATED, color=colours.watermark, alpha=0.28, fontsize=88, fontweight="bold", rotation=24, ha="center", va="center", zorder=10
        )  # fmt: skip


def write_legend(figure: Figure, handles: Sequence[Any], colours: Theme, *, columns: int) -> None:
    """Above the axes, never over them; filled row by row, in the order given."""
    order = [index for column in range(columns) for index in range(column, len(handles), columns)]
    legend = figure.legend(
        handles=[handles[index] for index in order],
        loc="upper left",
        bbox_to_anchor=(LEFT, 0.898),
        ncols=columns,
        fontsize=12,
        frameon=False,
        labelcolor=colours.text,
        handlelength=1.8,
        borderpad=0,
        borderaxespad=0,
        columnspacing=2.5,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def fit(text: Text, points: float) -> None:
    """Make a text smaller until it ends before the right edge; in steps, since hinting makes widths jump."""
    figure = text.get_figure()
    assert figure is not None
    while text.get_window_extent().x1 > RIGHT * figure.bbox.width and points > SMALLEST_POINTS:
        points -= 0.5
        text.set_fontsize(points)


def format_of(path: Path) -> Format:
    """The format that a path's ending names. Raises InvalidRequest naming those there are."""
    ending = path.suffix.lower().removeprefix(".")
    for known in FORMATS:
        if ending == known:
            return known
    raise InvalidRequest(f"{path.name!r} names no picture's format; end it with .png, .svg or .html")


def save(figure: Figure, path: Path) -> Path:
    """Write the figure in the format of the path's ending. The file is there whole or not at all.

    Equal figures give equal bytes. Raises InvalidRequest for another ending, Unavailable when the path cannot be written.
    """
    if format_of(path) == "html":
        from evolve.charts.page import interactive_page

        return write_atomically(path, interactive_page(figure).encode())
    return write_atomically(path, drawn(figure, "svg" if format_of(path) == "svg" else "png"))


def drawn(figure: Figure, format: Literal["png", "svg"]) -> bytes:
    """The picture's bytes, without date or software inside."""
    import io

    import matplotlib

    buffer = io.BytesIO()
    how: dict[str, Any] = {"metadata": {"Date": None, "Creator": None}}
    if format == "png":
        how = {"metadata": {"Software": None}, "pil_kwargs": ENCODED}
    # The salt makes the ids inside an SVG the same each time.
    with matplotlib.rc_context({"svg.hashsalt": "evolve"}):
        figure.savefig(buffer, format=format, dpi=figure.dpi, facecolor=figure.get_facecolor(), **how)
    return buffer.getvalue()


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all. Raises Unavailable when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, mode=0o644)
    except OSError as error:
        raise Unavailable(
            f"cannot write {path}: {error.strerror}; give a path in a directory that you can write"
        ) from None
    return path
