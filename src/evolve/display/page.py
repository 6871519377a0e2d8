"""Which pieces is a shown value made of? Headings, facts, tables, verdicts and pictures as HTML that any notebook shows alike."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from evolve.errors import EvolveError
from evolve.evidence import Evidence, render_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolve.charts.theme import ThemeName

WIDTH = 680  # pixels: fits beside a notebook's margins, and a chart's labels can still be read
PALETTE = 128  # colours, the steps at the edges of lines and letters included
DOTS_PER_INCH = 100  # half as many pixels again as are shown, for screens that have them
LINE = "rgba(128,128,128,.35)"  # on white and on black
# Ground and ink: contrast of at least 4.5 to 1 (WCAG AA), whatever lies around.
VERDICTS = {
    "edge": ("EDGE", "#0b6e4f"),
    "no_edge": ("NO EDGE", "#8a5a00"),
    "insufficient_data": ("INSUFFICIENT DATA", "#5a5f66"),
}
SIMULATED = "SIMULATED DATA: invented prices; nothing here is a view on the real market"


def escaped(text: object) -> str:
    return html.escape(str(text), quote=True)


def card(*parts: str) -> str:
    """A whole shown value."""
    inner = "".join(part for part in parts if part)
    return f'<div style="font:13px/1.45 system-ui,sans-serif;max-width:{WIDTH}px;margin:.3em 0">{inner}</div>'


def heading(text: str, beside: str = "") -> str:
    dimmed = f' <span style="opacity:.7;font-weight:400">{escaped(beside)}</span>' if beside else ""
    return f'<div style="font-size:15px;font-weight:600;margin:.2em 0">{escaped(text)}{dimmed}</div>'


def paragraph(text: str, *, dim: bool = False) -> str:
    return f'<div style="margin:.25em 0{";opacity:.75" if dim else ""}">{escaped(text)}</div>' if text else ""


def points(sentences: Sequence[str], *, summary: str = "") -> str:
    """Sentences as a list; with a summary, folded away behind it."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)
    found = f'<ul style="margin:.25em 0;padding-left:1.3em">{items}</ul>'
    return f"<details><summary>{escaped(summary)}</summary>{found}</details>" if summary else found


def badge(words: str, ground: str) -> str:
    return (
        f'<span style="background:{ground};color:#fff;border-radius:3px;padding:.1em .5em;font-weight:600;'
        f'letter-spacing:.02em;white-space:nowrap">{escaped(words)}</span>'
    )


def verdict(kind: str, reason: str) -> str:
    words, ground = VERDICTS[kind]
    return f'<div style="margin:.45em 0">{badge(words, ground)} {escaped(reason)}</div>'


def simulated(is_so: bool) -> str:
    return f'<div style="margin:.35em 0">{badge(SIMULATED, "#b00020")}</div>' if is_so else ""


def facts(pairs: Mapping[str, object]) -> str:
    """Names and values beside each other; what is empty is left out."""
    rows = "".join(
        f'<tr><td style="text-align:left;opacity:.7;padding:.1em 1.2em .1em 0;border:0">{escaped(name)}</td>'
        f'<td style="text-align:left;padding:.1em 0;border:0">{escaped(value)}</td></tr>'
        for name, value in pairs.items()
        if value not in (None, "")
    )
    return f'<table style="border-collapse:collapse;border:0;margin:.3em 0;background:none">{rows}</table>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, quiet: Sequence[int] = ()) -> str:
    """The first column is text, the others are figures. Cells are escaped here. quiet: rows that stand back."""
    head = "".join(f"<th {_cell(place, head=True)}>{escaped(name)}</th>" for place, name in enumerate(columns))
    body = "".join(
        f'<tr style="background:none{";opacity:.65" if number in quiet else ""}">'
        + "".join(f"<td {_cell(place)}>{escaped(cell)}</td>" for place, cell in enumerate(row))
        + "</tr>"
        for number, row in enumerate(rows)
    )
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:.3em 0;font-variant-numeric:tabular-nums;background:none">'
        f'<thead><tr style="background:none">{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(place: int, *, head: bool = False) -> str:
    side = "left" if place == 0 else "right"
    weight = "600" if head else "400"
    return f'style="text-align:{side};font-weight:{weight};padding:.15em .7em .15em 0;border:0;border-bottom:1px solid {LINE};white-space:nowrap"'


def figure_cell(item: Evidence | None, *, interval: bool = True) -> str:
    """A figure as a table shows it, with its interval where it has one and there is room."""
    if item is None or item.value is None:
        return "–"
    bounds = render_interval(item) if interval else ""
    return f"{item} ({bounds.replace(' … ', '…')})" if bounds else str(item)


def picture(draw: Callable[[ThemeName], Figure], words: str) -> str:
    """A small chart inside the page, light or dark as its reader's screen is. What cannot be drawn is said instead. words: for who cannot see it."""
    try:
        light, dark = _png(draw("light")), _png(draw("dark"))
    except EvolveError as error:
        return paragraph(f"no chart: {error.message}", dim=True)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img alt="{escaped(words)}" width="{WIDTH}" style="max-width:100%;height:auto;border-radius:4px;margin:.3em 0" src="{light}"></picture>'
    )


def _png(figure: Figure) -> str:
    from io import BytesIO

    from PIL import Image

    from evolve.charts.picture import drawn

    figure.set_dpi(DOTS_PER_INCH)
    # Lines and labels on one ground have few colours: with a palette the two pictures are smaller than one was.
    small = BytesIO()
    with Image.open(BytesIO(drawn(figure, "png"))) as image:
        image.convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
