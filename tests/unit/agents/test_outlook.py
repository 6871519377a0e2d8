"""What a card says about the time after its last bar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from desks import Desk, noise

from evolve.agents.outlook import bands_out_of_sample
from evolve.agents.track_record import FOLDS
from evolve.forecasting.base import forecaster
from evolve.forecasting.walk_forward import out_of_sample
from evolve.market.bars import Bars
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from evolve.statistics.splits import walk_forward

Import = Callable[[Bars], Bars]


@pytest.mark.parametrize("horizon_bars", [1, 5])
def test_a_card_gives_median_bands_odds_and_volatility(desk: Desk, import_bars: Import, horizon_bars: int) -> None:
    bars = import_bars(noise(420))

    card = desk.build("ridge", "NOISE", horizon_bars=horizon_bars).card
    found = {item.name: item for item in card.outlook}

    assert set(found) == {"median", "band_50", "band_80", "band_90", "probability_up", "expected_volatility"}
    lows = [found[name].low or 0 for name in ("band_90", "band_80", "band_50")]
    highs = [found[name].high or 0 for name in ("band_50", "band_80", "band_90")]
    middle = found["median"].value
    assert isinstance(middle, float)
    assert sorted([*lows, middle, *highs]) == [*lows, middle, *highs]
    assert lows[0] < bars.close[-1] < highs[-1]
    assert 0.4 < float(found["probability_up"].value or 0) < 0.6
    moves = np.log(bars.close[horizon_bars:] / bars.close[:-horizon_bars])
    yearly = moves.std() * np.sqrt(252 / horizon_bars)
    assert float(found["expected_volatility"].value or 0) == pytest.approx(yearly, rel=0.25)


def test_90_percent_bands_hold_on_a_real_stock() -> None:
    bars = SampleSource().load(BarSpec("AAPL", "1d"))

    share, worst = coverage(bars)

    assert 0.88 <= share <= 0.92
    assert worst >= 0.80


@pytest.mark.prove
def test_90_percent_bands_hold_on_every_real_stock_and_in_its_worst_half_year() -> None:
    for symbol in ("AAPL", "MSFT", "GOOG", "IBM"):
        share, worst = coverage(SampleSource().load(BarSpec(symbol, "1d")))
        assert 0.88 <= share <= 0.92
        assert worst >= 0.80


def coverage(bars: Bars) -> tuple[float, float]:
    """Share of hits of the 90 % band out of sample, and that of the worst 126 bars in a row."""
    folds = walk_forward(len(bars), folds=FOLDS, first_train_bars=1000, embargo_bars=0)
    forecasts = out_of_sample(forecaster("ridge"), bars, folds)
    bands = bands_out_of_sample(forecasts, bars)
    realised = np.diff(np.log(bars.close))[forecasts.start :]
    hit = (bands.low[2, :-1] <= realised) & (realised <= bands.high[2, :-1])
    rolling = np.convolve(hit, np.ones(126) / 126, mode="valid")
    return float(hit.mean()), float(rolling.min())
