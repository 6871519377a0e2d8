"""What is on the page of a report, whatever it is written as? Sections of words, tables and charts, and the page for a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.charts.page import escaped, interactive
from evolve.charts.theme import THEMES, ThemeName

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Section:
    """One heading and what stands below it, in this order. head: of the table's columns; without one its first column is a heading."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    figure: Figure | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """lead: the question and its answer, where there was one. charts: the kinds shown; without: what could not be shown or said, and why."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    charts: tuple[str, ...]
    without: tuple[str, ...]
    theme: ThemeName


def report_html(report: Report) -> str:
    """One page that opens from disk and fetches nothing."""
    colours = THEMES[report.theme]
    css = (
        f"body{{background:{colours.background};color:{colours.text};font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}}"
        f"table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid {colours.grid};vertical-align:top;overflow-wrap:anywhere}}"
        f"th{{color:{colours.muted};font-weight:normal}}h2{{text-transform:capitalize;margin-top:2em}}.lead{{font-size:1.3em}}"
    )
    # Nothing is fetched: the policy says so to the browser, too.
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    lead = "".join(
        f"<p{' class=lead' if number == 0 else ''}>{escaped(text)}</p>" for number, text in enumerate(report.lead)
    )
    body = f"<h1>{escaped(report.title)}</h1>{lead}{''.join(map(_section, report.sections))}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escaped(report.title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{css}</style></head><body>{body}</body></html>\n'
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escaped(section.heading)}</h2>", *(f"<p>{escaped(text)}</p>" for text in section.paragraphs)]
    if section.items:
        parts.append(f"<ol>{''.join(f'<li>{escaped(item)}</li>' for item in section.items)}</ol>")
    if section.rows:
        parts.append(_table(section.head, section.rows))
    if section.figure is not None:
        parts.append(interactive(section.figure))
    return f"<section>{''.join(parts)}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escaped(cell)}</th>" for cell in head)] if head else []
    for row in rows:
        first = "td" if head else "th"
        lines.append(f"<{first}>{escaped(row[0])}</{first}>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row[1:]))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
