"""How does a report get onto paper? The same sections as on the page, as a PDF of A4 pages. Needs the extra `pdf`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve.charts.page import escaped
from evolve.charts.picture import drawn
from evolve.charts.report import Report, Section
from evolve.charts.theme import THEMES
from evolve.errors import MissingExtra

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

FONTS = ("DejaVuSans", "DejaVuSans-Bold")  # matplotlib brings them; those built into PDF know no minus sign and no ≤
MARGIN_POINTS = 48.0


def report_pdf(report: Report) -> bytes:
    """The whole document, the same bytes each time. Raises MissingExtra without reportlab."""
    try:
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate
    except ImportError:
        raise MissingExtra(
            "a PDF needs the extra `pdf`: pip install 'evolve-trading[pdf]'; the HTML page needs none"
        ) from None
    _know_fonts()
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=MARGIN_POINTS, rightMargin=MARGIN_POINTS, topMargin=MARGIN_POINTS, bottomMargin=MARGIN_POINTS,
        title=report.title, author="Evolve", invariant=1,
    )  # fmt: skip
    styles = _Styles(report)
    story: list[Flowable] = [styles.text(report.title, "title"), *(styles.text(each, "lead") for each in report.lead)]
    for section in report.sections:
        story += _section(section, styles, document.width)
    colours = THEMES[report.theme]

    def page(canvas: Any, _: Any) -> None:
        canvas.setFillColor(colours.background)
        canvas.rect(0, 0, *A4, stroke=0, fill=1)
        canvas.setFillColor(colours.muted)
        canvas.setFont(FONTS[0], 8)
        canvas.drawRightString(A4[0] - MARGIN_POINTS, MARGIN_POINTS / 2, str(canvas.getPageNumber()))

    document.build(story, onFirstPage=page, onLaterPages=page)
    return buffer.getvalue()


class _Styles:
    """Paragraphs and tables in the report's colours."""

    def __init__(self, report: Report) -> None:
        from reportlab.lib.styles import ParagraphStyle

        colours = THEMES[report.theme]
        plain: dict[str, Any] = {"fontName": FONTS[0], "textColor": colours.text, "splitLongWords": 1}
        self.colours = colours
        self._styles = {
            "title": ParagraphStyle("title", **{**plain, "fontName": FONTS[1]}, fontSize=18, leading=23, spaceAfter=10),
            "lead": ParagraphStyle("lead", **plain, fontSize=11, leading=15, spaceAfter=6),
            "heading": ParagraphStyle("heading", **{**plain, "fontName": FONTS[1]}, fontSize=13, leading=17, spaceBefore=14, spaceAfter=5),
            "text": ParagraphStyle("text", **plain, fontSize=9, leading=12.5, spaceAfter=4),
            "cell": ParagraphStyle("cell", **plain, fontSize=7.5, leading=10),
        }  # fmt: skip

    def text(self, words: str, style: str) -> Flowable:
        from reportlab.platypus import Paragraph

        # What is written is data: escaped, so that no markup in it is obeyed.
        return Paragraph(escaped(words), self._styles[style])


def _section(section: Section, styles: _Styles, width: float) -> list[Flowable]:
    from reportlab.platypus import Image, KeepTogether

    top = [styles.text(section.heading[:1].upper() + section.heading[1:], "heading")]
    top += [styles.text(each, "text") for each in section.paragraphs]
    top += [styles.text(f"{number}. {item}", "text") for number, item in enumerate(section.items, 1)]
    if section.figure is not None:
        across, high = section.figure.get_size_inches()
        top.append(Image(io.BytesIO(drawn(section.figure, "png")), width, width * high / across))
        return [KeepTogether(top)]
    return [*top, _table(section, styles, width)] if section.rows else top


def _table(section: Section, styles: _Styles, width: float) -> Flowable:
    from reportlab.platypus import Table

    rows = [*([section.head] if section.head else []), *section.rows]
    columns = max(len(row) for row in rows)
    # Two columns are a name and a sentence; more are figures, the last one being how they were computed.
    shares = [0.2, 0.8] if columns == 2 else [0.16, *[0.54 / max(1, columns - 2)] * (columns - 2), 0.3]
    cells = [[styles.text(cell, "cell") for cell in row] for row in rows]
    rule = ("LINEBELOW", (0, 0), (-1, -1), 0.4, styles.colours.grid)
    pads = [
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
    ]
    return Table(
        cells, colWidths=[share * width for share in shares], style=[rule, *pads], repeatRows=1 if section.head else 0
    )


def _know_fonts() -> None:
    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name in FONTS:
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"))
