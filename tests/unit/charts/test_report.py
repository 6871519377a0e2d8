"""A report is one page, or one document, that holds what it was given as data and fetches nothing."""

from __future__ import annotations

import io
import sys

import pytest
from pypdf import PdfReader

from evolve.charts.importance import feature_importance_figure
from evolve.charts.picture import Caption
from evolve.charts.report import Report, Section, report_html
from evolve.charts.report_pdf import report_pdf
from evolve.errors import MissingExtra

HOSTILE = "<script>alert(1)</script> & “−5 %” ≤ $x$"


@pytest.fixture(scope="module")
def report() -> Report:
    figure = feature_importance_figure({"rsi_14": 0.5}, Caption("What moves it", "made for a test"))
    figure.set_dpi(40)
    sections = (
        Section("verdict", rows=(("Because", HOSTILE),)),
        Section("what stands out", items=("first of all", "then this")),
        Section("chart", ("what it shows.",), figure=figure),
        Section(
            "figures", head=("of", "figure", "value"), rows=tuple(("ridge", f"m{n}", f"{n} %") for n in range(120))
        ),
    )
    return Report("A report", ("How is AAPL?", "No edge."), sections, ("chart",), (), "dark")


def test_a_page_holds_every_section_as_data(report):
    page = report_html(report)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.index("How is AAPL?") < page.index("verdict") < page.index("first of all") < page.index("m119")
    assert page.count("<svg") == 1
    assert [word for word in ("src=", "@import", "url(http", "<link") if word in page] == []


def test_a_pdf_says_the_same_on_as_many_pages_as_it_takes(report):
    made = report_pdf(report)

    pages = PdfReader(io.BytesIO(made)).pages
    said = " ".join(" ".join(page.extract_text().split()) for page in pages)
    assert len(pages) >= 3
    assert HOSTILE in said
    assert all(words in said for words in ("How is AAPL?", "1. first of all", "m0", "m119"))
    assert sum(len(page.images) for page in pages) == 1
    assert report_pdf(report) == made


def test_without_the_library_a_pdf_names_the_extra(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "reportlab.lib.pagesizes", None)
    with pytest.raises(MissingExtra, match=r"evolve-trading\[pdf\]"):
        report_pdf(report)
