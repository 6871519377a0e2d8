"""A curve read from a picture is the curve that was drawn, within what its error says; the long proof has 60 pictures."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from chart_pictures.drawn import (
    Scene,
    candles_of,
    drawdown_of,
    picture_of,
    scenes,
    scenes_in_ink,
    scenes_with_panels,
    values_of,
)
from chart_pictures.plotly_browser import drawn_by_plotly
from evolve.charts.axis_labels import Label, date_axis_of, number_in, value_axis
from evolve.charts.image_file import open_picture
from evolve.charts.read_image import read_chart
from evolve.charts.reading import Calibration
from evolve.errors import EvolveError, InvalidRequest


def read(scene: Scene, place, calibration: Calibration | None = None, picture: bytes | None = None):
    path = place / f"chart.{'jpg' if scene.quality else 'png'}"
    path.write_bytes(picture or picture_of(scene))
    return read_chart(open_picture(str(path), (place,)), "general", calibration)


def errors(scene: Scene, found) -> tuple[float, float]:
    """(mean distance of the curve as a share of its range, distance of the maximum drawdown), both fractions."""
    truth = values_of(scene)
    curve = found.curves[0]
    even = np.linspace(0, 1, len(curve.values))
    drawn = np.interp(even, np.linspace(0, 1, len(truth)), truth)
    drawdown = float((truth / np.maximum.accumulate(truth) - 1).min())
    got = next(item.value for item in curve.figures if item.name == "drawdown")
    return float(np.mean(np.abs(np.array(curve.values) - drawn)) / np.ptp(truth)), abs(got - drawdown)


def given(scene: Scene) -> Calibration:
    """What a user would measure: two rows of the matplotlib axes and their values."""
    truth = values_of(scene)
    margin = 0.05 * float(np.ptp(truth))  # matplotlib's own
    height = scene.size[1]
    top, bottom = height * (1 - 0.89), height * (1 - 0.12)
    return Calibration(y=((top, float(truth.max()) + margin), (bottom, float(truth.min()) - margin)))


def test_a_calibration_of_the_users_needs_no_labels(tmp_path):
    scene = Scene("matplotlib", "line", False, (900, 500), None, 100, 250)

    found = read(scene, tmp_path, given(scene))

    error, drawdown = errors(scene, found)
    assert error < 0.01
    assert drawdown < 0.01
    assert any("dates" in what for what in found.unread)


@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_a_return_of_many_times_lies_within_its_interval_where_a_row_is_worth_much_at_the_start(log, tmp_path):
    """The start of a curve that rises forty-fold is read to within a tenth on a linear axis: the interval says so."""
    inside, widths = 0, []
    for seed in range(6):
        walk = np.random.default_rng(seed).normal(0, 0.01, 500)
        truth = np.exp(np.linspace(0, np.log(40), 500) + np.cumsum(walk) - np.linspace(0, walk.sum(), 500))
        found = read_chart(*_rising(truth, log, tmp_path))

        figure = next(item for item in found.curves[0].figures if item.name == "total_return")
        inside += figure.low <= truth[-1] / truth[0] - 1 <= figure.high
        widths.append(float((figure.high - figure.low) / figure.value))

    assert inside >= 5
    assert max(widths) < (0.1 if log else 0.5)


def _rising(truth: np.ndarray, log: bool, place):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=100)
    axes = figure.add_subplot()
    axes.plot(truth)
    axes.set_yscale("log" if log else "linear")
    figure.savefig(place / "rising.png")
    rows = [400 - float(axes.transData.transform((0, value))[1]) for value in (2.0, 30.0)]
    given = Calibration(y=((rows[0], 2.0), (rows[1], 30.0)), log=log)
    return open_picture("rising.png", (place,)), "general", given


@pytest.mark.parametrize(("ink", "dark"), [("#000000", False), ("#a0a0a0", True)], ids=["black", "grey on black"])
def test_a_line_without_a_colour_is_told_from_text_frame_and_grid(ink, dark, tmp_path):
    scene = Scene("matplotlib", "line", dark, (900, 500), 80, 100, 250, ink)

    found = read(scene, tmp_path, given(scene))

    assert len(found.curves) == 1
    error, drawdown = errors(scene, found)
    assert error < 0.01
    assert drawdown < 0.01


def test_bars_of_volume_are_named_and_not_taken_for_a_curve(tmp_path):
    scene = Scene("matplotlib", "line", False, (900, 500), None, 100, 250, "#000000", "volume")
    found = read(scene, tmp_path, given(scene))

    assert len(found.curves) == 1
    assert any("volume" in what for what in found.unread)


def test_a_frame_with_labels_and_no_curve_is_no_curve(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    axes.set_title("A long title over a picture that shows nothing at all but its frame")
    axes.grid(True)
    figure.savefig(tmp_path / "empty.png")
    with pytest.raises(InvalidRequest, match="no curve"):
        read_chart(open_picture("empty.png", (tmp_path,)), "general", None)


def test_a_picture_without_a_curve_is_refused(tmp_path):
    from PIL import Image

    Image.new("RGB", (300, 200), "white").save(tmp_path / "blank.png")
    with pytest.raises(InvalidRequest, match="no curve"):
        read_chart(open_picture("blank.png", (tmp_path,)), "general", None)


@pytest.mark.parametrize(
    ("calibration", "said"),
    [
        (Calibration(y=((10, 1), (10, 2))), "two different pixels"),
        (Calibration(y=((10, 1), (20, 1))), "two different values"),
        (Calibration(y=((10, -1), (20, 1)), log=True), "positive"),
        (Calibration(y=((10, float("nan")), (20, 1))), "finite"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(calibration, said, tmp_path):
    with pytest.raises(InvalidRequest, match=said):
        read(Scene("matplotlib", "line", False, (720, 420), None, 100, 250), tmp_path, calibration)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,234.5", 1234.5), ("−12 %", -12), ("$45", 45), ("2.5k", 2500), ("1O0", 100), ("abc", None), ("2004-03", None), ("0,5", 0.5)],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text, value):
    assert number_in(text) == value


def label(text: str, x: float, y: float) -> Label:
    return Label(text, x, y, x - 10, x + 10)


def test_the_axis_is_what_most_labels_agree_on():
    labels = [label(str(100 - row // 10), 20, row) for row in (100, 200, 300, 400)] + [label("7", 20, 350)]

    axis, kept, percentages = value_axis(labels)

    assert axis is not None
    assert (axis.scale, len(kept), percentages) == ("linear", 4, False)
    assert axis.start + axis.step * 250 == pytest.approx(75)


def test_a_year_below_the_picture_is_no_value_though_it_lies_on_the_line():
    labels = [label(str(100 - row // 10), 20, row) for row in (100, 200, 300)] + [label("50", 150, 500)]
    _, kept, _ = value_axis(labels)
    assert [each.text for each in kept] == ["90", "80", "70"]


def test_labels_of_two_axes_above_each_other_make_two_panels():
    """The lower one shows percentages; a curve belongs to the panel that its rows lie in."""
    from evolve.charts.panels import stacked

    labels = [
        label(text, 20, row)
        for text, row in (("300", 100), ("200", 150), ("100", 200), ("0%", 290), ("-10%", 320), ("-20%", 350))
    ]
    upper, lower = stacked(labels, (600, 400), on_left=True)

    assert (upper.percentages, lower.percentages) == (False, True)
    assert upper.top < 100 < 200 < upper.bottom < 290 < 350 < lower.bottom
    assert lower.axis.start + lower.axis.step * 305 == pytest.approx(-5)


def test_labels_that_grow_by_a_factor_make_a_logarithmic_axis():
    axis, _, _ = value_axis([label(text, 20, y) for text, y in (("1000", 100), ("100", 200), ("10", 300), ("1", 400))])
    assert axis is not None
    assert axis.scale == "log"


def test_months_take_their_year_from_the_label_that_names_it():
    axis = date_axis_of([label(text, x, 0) for text, x in (("Nov", 100), ("Dec", 130), ("2013", 161), ("Feb", 192))])
    assert axis is not None
    assert np.datetime64(int(axis.start + axis.step * 161), "s").astype("datetime64[M]") == np.datetime64("2013-01")


# --- with the recogniser of the extra `images` ---


@pytest.mark.prove  # the extra is not part of the developers' environment: it brings 200 MB
@pytest.mark.parametrize("number", [0, 7, 9])
def test_a_curve_is_recovered_from_its_picture(number, tmp_path):
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `images` is not installed")
    scene = scenes(10)[number]

    found = read(scene, tmp_path)

    error, drawdown = errors(scene, found)
    assert found.curves[0].kind == scene.kind
    assert error < 0.015
    assert drawdown < 0.02


@pytest.mark.prove
@pytest.mark.parametrize(
    "drawn",
    [scenes(60), scenes_in_ink(24), scenes_with_panels(24)],
    ids=["sixty pictures", "black and grey", "two panels"],
)
def test_half_of_the_pictures_are_read_within_a_hundredth_and_a_half(drawn, tmp_path):
    """Median error of the curve ≤ 1.5 % of its range, of the maximum drawdown ≤ 2 points; what is not read at all counts as wrong."""
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `images` is not installed")
    found = []
    for scene in drawn:
        try:
            seen = read(scene, tmp_path)
            found.append(errors(scene, seen) if seen.curves else (1.0, 1.0))
        except EvolveError:
            found.append((1.0, 1.0))
    curve, drawdown = np.median(np.array(found), axis=0)
    assert curve <= 0.015
    assert drawdown <= 0.02


@pytest.mark.prove
def test_what_plotly_itself_draws_in_a_browser_is_read_as_well(tmp_path):
    """Not our imitation of its look: its templates, its script, a screenshot."""
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `images` is not installed")
    browser = shutil.which("chromium") or pytest.skip("needs a browser: apt-get install chromium")
    wanted = [scene for scene in scenes(60) if scene.look == "plotly"]
    found = []
    for scene, picture in zip(wanted, drawn_by_plotly(wanted, tmp_path, browser), strict=True):
        try:
            seen = read(scene, tmp_path, picture=picture)
            found.append(errors(scene, seen) if seen.curves else (1.0, 1.0))
        except EvolveError:
            found.append((1.0, 1.0))
    print(np.array(found).round(4).tolist())
    curve, drawdown = np.median(np.array(found), axis=0)
    assert len(found) == 20
    assert curve <= 0.015
    assert drawdown <= 0.02


@pytest.mark.prove
def test_a_panel_of_drawdowns_is_read_beside_the_curve_it_belongs_to(tmp_path):
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `images` is not installed")
    scene = Scene("matplotlib", "line", False, (1200, 700), 92, 7, 900, "", "drawdown")

    found = read(scene, tmp_path)

    assert [curve.name for curve in found.curves] == ["curve 1", "curve 2 (panel 2)"]
    deepest = [next(item for item in curve.figures if item.name == "drawdown").value for curve in found.curves]
    assert deepest == pytest.approx([float(drawdown_of(scene).min()) / 100] * 2, abs=0.02)


def test_the_pictures_of_candles_show_the_closes_they_were_made_of():
    scene = Scene("trading", "candlestick", False, (720, 420), None, 7, 90)
    open_, high, low, close = candles_of(scene)
    assert (high >= np.maximum(open_, close)).all()
    assert (low <= np.minimum(open_, close)).all()
    assert np.array_equal(close, values_of(scene))
