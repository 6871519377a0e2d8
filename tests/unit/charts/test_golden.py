"""Each kind of chart looks as it looked when somebody last looked at it. Made anew by `python tests/unit/charts/test_golden.py`, then look."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evolve.cards import Curve
from evolve.charts.candlestick import Signals, candlestick_figure
from evolve.charts.drift_board import BoardLine, Measure, drift_board_figure
from evolve.charts.equity import equity_figure
from evolve.charts.forecast_fan import Fan, forecast_fan_figure
from evolve.charts.importance import feature_importance_figure, tuning_importance_figure
from evolve.charts.model_comparison import Candidate, model_comparison_figure
from evolve.charts.page import interactive_page
from evolve.charts.picture import Caption, drawn, save
from evolve.charts.return_distribution import return_distribution_figure
from evolve.charts.rolling_metrics import rolling_metrics_figure
from evolve.charts.tables import correlation_figure, monthly, monthly_returns_figure
from evolve.charts.theme import THEMES
from evolve.charts.tuning_history import TrialPoint, tuning_history_figure
from evolve.charts.tuning_slices import Slice, tuning_slices_figure
from evolve.charts.walk_forward import FoldSpan, walk_forward_figure
from evolve.errors import InvalidRequest
from evolve.market.bars import Bars

GOLDEN = Path(__file__).with_name("golden")
CAPTION = Caption("A golden picture", "made for a test, 2010-01-01 to 2011-12-31", simulated=True)
SMALL_DPI = 40  # 384 × 240: a thumbnail, and small in the repository
# Another build of FreeType moves edges of letters; a curve, a colour or a label that is gone moves more.
MEAN_OFF, FAR_OFF, SHARE_OFF = 2.5, 60, 0.02


@cache
def bars() -> Bars:
    random = np.random.default_rng(11)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.015, 700)))
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.006, np.minimum(open_, close) * 0.994
    time = 1_262_304_000_000 + 86_400_000 * np.arange(700)
    return Bars("TEST", "1d", time, open_, high, low, close, random.uniform(1e6, 4e6, 700), "made for a test", 252.0)


def returns() -> np.ndarray:
    return bars().close[1:] / bars().close[:-1] - 1


def curves() -> tuple[Curve, ...]:
    dates = tuple(bars().date(bar) for bar in range(0, 700, 7))
    growth = bars().close[::7] / bars().close[0]
    return (Curve("ridge", dates, tuple(growth), True), Curve("buy and hold", dates, tuple(growth[::-1] / growth[-1]), True))  # fmt: skip


def fan() -> Fan:
    close = bars().close[-60:]
    outcome = np.append(close[1:], np.nan)
    return Fan(bars().time[-60:], close, np.full(60, 0.015), outcome, 1, "USD")


def trials() -> list[TrialPoint]:
    random = np.random.default_rng(2)
    points = [{"learning_rate": float(10 ** random.uniform(-2, -0.5)), "members": "ab"[n % 2]} for n in range(30)]
    scores = [0.01 - 0.01 * (np.log10(point["learning_rate"]) + 1.5) ** 2 for point in points]
    return [
        TrialPoint(n, None if n == 7 else score, n % 5 == 4, point)
        for n, (point, score) in enumerate(zip(points, scores, strict=True))
    ]


BOARD = [
    BoardLine("AAPL 1d", "ridge-aapl-1", "steady", False, "240 outcomes since training", (Measure("losses", 0.3, False), Measure("gain", 0.7, True), Measure("coverage", 0.5, True))),
    BoardLine("MSFT 1d", "xgboost-msft-2", "drift", True, "losses, coverage", (Measure("losses", 4.0, True), Measure("gain", 0.9, False), Measure("coverage", 1.3, True))),
    BoardLine("IBM 1d", "lstm-ibm-3", "too early", False, "20 outcomes since training"),
]  # fmt: skip
SLICES = [Slice("learning_rate", True, 0.05), Slice("members", False, "a")]
MATRIX = np.array([[1.0, 0.4, -0.2], [0.4, 1.0, 0.7], [-0.2, 0.7, 1.0]])
FIGURES = {
    "equity_curve": lambda theme: equity_figure(curves(), title=CAPTION.title, source=CAPTION.source, theme=theme),
    "candlestick": lambda theme: candlestick_figure(bars(), CAPTION, shown=80, signals=Signals((10, 40), (25,)), theme=theme),
    "forecast_fan": lambda theme: forecast_fan_figure(fan(), CAPTION, theme=theme),
    "return_distribution": lambda theme: return_distribution_figure(returns(), CAPTION, theme=theme),
    "rolling_metrics": lambda theme: rolling_metrics_figure(
        {"ridge": returns(), "held": -returns()}, bars().time[1:], CAPTION, window=60, bars_per_year=252, theme=theme
    ),
    "correlation_heatmap": lambda theme: correlation_figure(["A", "B", "C"], MATRIX, CAPTION, bars=699, theme=theme),
    "monthly_returns": lambda theme: monthly_returns_figure(returns(), bars().time[1:], CAPTION, theme=theme),
    "feature_importance": lambda theme: feature_importance_figure({"rsi_14": 0.5, "return_5": 0.2}, CAPTION, theme=theme),
    "walk_forward": lambda theme: walk_forward_figure(
        [FoldSpan(200, 200, 450, 0.1), FoldSpan(450, 450, 700, -0.05)], bars().close[200:] / bars().close[200], bars().time, CAPTION, theme=theme
    ),
    "tuning_history": lambda theme: tuning_history_figure(trials(), CAPTION, theme=theme),
    "tuning_importance": lambda theme: tuning_importance_figure({"learning_rate": 0.8, "members": 0.2}, CAPTION, theme=theme),
    "tuning_slices": lambda theme: tuning_slices_figure(trials(), SLICES, CAPTION, theme=theme),
    "drift_board": lambda theme: drift_board_figure(BOARD, CAPTION, theme=theme),
    "model_comparison": lambda theme: model_comparison_figure(
        [Candidate("ridge", 0.5, -0.1, 1.1, True), Candidate("buy and hold", 0.3, None, None, False)], CAPTION, unit="Sharpe ratio a year", theme=theme
    ),
}  # fmt: skip


def small(kind: str, theme: str) -> bytes:
    figure = FIGURES[kind](theme)
    figure.set_dpi(SMALL_DPI)
    return drawn(figure, "png")


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int16)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", FIGURES)
def test_a_chart_looks_as_it_did(kind, theme):
    then, now = pixels((GOLDEN / f"{kind}_{theme}.png").read_bytes()), pixels(small(kind, theme))

    assert now.shape == then.shape
    off = np.abs(now - then)
    assert off.mean() < MEAN_OFF
    assert (off.max(axis=2) > FAR_OFF).mean() < SHARE_OFF


def test_the_tolerance_tells_two_charts_and_two_themes_apart():
    one, other = pixels(small("forecast_fan", "light")), pixels(small("return_distribution", "light"))
    assert np.abs(one - other).mean() > MEAN_OFF


@pytest.mark.parametrize("kind", FIGURES)
def test_a_chart_says_its_source_and_that_it_is_simulated(kind):
    figure = FIGURES[kind]("light")
    said = " ".join(text.get_text() for text in figure.texts)
    assert "Source: made for a test" in said
    assert "SIMULATED" in said


def test_a_chart_is_the_same_each_time():
    assert drawn(FIGURES["equity_curve"]("light"), "svg") == drawn(FIGURES["equity_curve"]("light"), "svg")


def test_an_interactive_page_fetches_nothing():
    page = interactive_page(FIGURES["equity_curve"]("dark"))

    loads = [word for word in ("src=", "@import", "fetch(", "url(http", "<link", "XMLHttp") if word in page]
    assert loads == []
    assert page.count("<svg") == 1


def test_a_picture_is_saved_as_its_ending_says(tmp_path):
    figure = FIGURES["feature_importance"]("light")
    assert save(figure, tmp_path / "x.svg").read_bytes().startswith(b"<?xml")
    assert save(figure, tmp_path / "x.html").read_text().startswith("<!doctype html>")
    with pytest.raises(InvalidRequest, match=r"\.png"):
        save(figure, tmp_path / "x.gif")


def test_months_compound_their_bars():
    """By hand: 1.1 × 1.1 − 1 = 0.21 in January, −0.5 in February."""
    days = np.array([0, 1, 40]) * 86_400_000
    assert monthly(np.array([0.1, 0.1, -0.5]), days) == {1970: {1: pytest.approx(0.21), 2: -0.5}}


if __name__ == "__main__":
    for each in FIGURES:
        for look in THEMES:
            (GOLDEN / f"{each}_{look}.png").write_bytes(small(each, look))
