"""Pictures are written into the plots directory and nowhere else."""

from __future__ import annotations

import pytest

from evolve.charts.plot_path import plot_path, report_path
from evolve.errors import Forbidden, InvalidRequest


@pytest.mark.parametrize("asked", ["plots/x.png", "x.png", "deep/x.svg", "plots/a/b.html"])
def test_a_relative_path_lies_in_the_plots_directory(asked, tmp_path):
    path = plot_path(asked, tmp_path)

    assert path == tmp_path.resolve() / asked.removeprefix("plots/")


def test_an_absolute_path_may_name_the_plots_directory_only(tmp_path):
    assert plot_path(str(tmp_path / "x.png"), tmp_path) == tmp_path.resolve() / "x.png"
    with pytest.raises(Forbidden):
        plot_path(str(tmp_path.parent / "x.png"), tmp_path)


@pytest.mark.parametrize("asked", ["../x.png", "plots/../../x.png", "a/../../x.png", "/etc/x.png"])
def test_no_path_leads_out(asked, tmp_path):
    with pytest.raises(Forbidden):
        plot_path(asked, tmp_path / "plots")


def test_no_link_leads_out(tmp_path):
    plots, outside = tmp_path / "plots", tmp_path / "outside"
    plots.mkdir()
    outside.mkdir()
    (plots / "way").symlink_to(outside)
    (plots / "x.png").symlink_to(outside / "x.png")
    (plots / "d.png").mkdir()

    for asked in ("way/x.png", "x.png", "d.png"):
        with pytest.raises(Forbidden):
            plot_path(asked, plots)


@pytest.mark.parametrize("asked", ["", "x", "x.exe", "x.png\n", "x\0.png", "y" * 2000 + ".png"])
def test_a_name_that_is_no_pictures_is_refused(asked, tmp_path):
    with pytest.raises(InvalidRequest):
        plot_path(asked, tmp_path)


def test_the_ending_must_be_that_of_the_format_asked_for(tmp_path):
    with pytest.raises(InvalidRequest, match=r"\.svg"):
        plot_path("x.png", tmp_path, format="svg")


def test_a_report_is_a_page_or_a_pdf_in_the_same_directory(tmp_path):
    assert report_path("plots/x.pdf", tmp_path) == tmp_path.resolve() / "x.pdf"
    with pytest.raises(InvalidRequest, match=r"\.pdf"):
        report_path("x.png", tmp_path)
    with pytest.raises(Forbidden):
        report_path("../x.pdf", tmp_path)
