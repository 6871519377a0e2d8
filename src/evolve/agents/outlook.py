"""What does a model expect after the last bar? The distribution a user needs, not a number: bands, odds, volatility.

Bands are made of the model's own out-of-sample errors, so that their share of hits is what it claims; they are priced in the
currency of the bars. Without shown skill the median stays at what past errors say, and the bands are those of the market.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evolve.evidence import Evidence, EvidenceBook
from evolve.forecasting.base import FittedForecaster
from evolve.forecasting.intervals import Bands, conformal_bands
from evolve.forecasting.volatility import fit_volatility
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats

LAST = -1


def bands_out_of_sample(forecasts: OutOfSample, bars: Bars) -> Bands:
    """Bands at every decision bar of the walk-forward, each from what was known there. Log-HAR volatility, refitted by fold."""
    horizon = forecasts.horizon_bars
    log_close = np.log(bars.close)
    realised = np.full(len(bars), np.nan)
    realised[:-horizon] = log_close[horizon:] - log_close[:-horizon]
    std: list[Floats] = []
    earlier = np.empty(0)
    for fold in forecasts.folds:
        known = bars.slice(0, fold.train_stop)
        fitted = fit_volatility(known, horizon_bars=horizon, method="log_har")
        std.append(fitted.std(bars.slice(0, fold.test_stop), fold.test_start))
        if not earlier.size:
            # Before the first forecast there are only errors of "no change".
            before = np.arange(fitted.first_bar, fold.train_stop - horizon)
            earlier = realised[before] / fitted.std(known, fitted.first_bar)[: len(before)]
    return conformal_bands(
        forecasts.mean,
        np.concatenate(std),
        realised[forecasts.start : forecasts.stop],
        horizon_bars=horizon,
        earlier_errors=earlier,
    )


def outlook(model: str, fitted: FittedForecaster, forecasts: OutOfSample, bars: Bars) -> tuple[Evidence, ...]:
    """Median and bands of the close after the horizon, odds of a rise, expected volatility, from the last bar on."""
    horizon, close = forecasts.horizon_bars, float(bars.close[LAST])
    newest = fitted.predict(bars, len(bars) - 1, len(bars)).mean[0]
    mean = np.append(forecasts.mean[:-1], newest)
    bands = bands_out_of_sample(replace(forecasts, mean=mean), bars)
    expected = fit_volatility(bars, horizon_bars=horizon)
    yearly = float(expected.std(bars, len(bars) - 1)[0]) * float(np.sqrt(bars.bars_per_year / horizon))
    book = EvidenceBook()
    as_of, source = bars.date(LAST), bars.source
    ahead = f"{horizon} bar{'s'[: horizon > 1]} ahead"

    def price(log_return: float) -> float:
        return close * float(np.exp(log_return))

    book.add(
        "median", model, price(bands.median[LAST]), "price", as_of=as_of, source=source,
        computed=f"close × exp(forecast + median of the last errors), {ahead}",
    )  # fmt: skip
    for number, level in enumerate(bands.levels):
        book.add(
            f"band_{round(100 * level)}", model, price(bands.median[LAST]), "price", as_of=as_of, source=source,
            low=price(bands.low[number, LAST]), high=price(bands.high[number, LAST]), level=level,
            computed=f"middle {level:.0%} of the last out-of-sample errors over log-HAR volatility, adaptive conformal, {ahead}",
        )  # fmt: skip
    book.add(
        "probability_up", model, float(bands.probability_up[LAST]), "probability", as_of=as_of, source=source,
        computed=f"share of the last errors that leave the close above {close:,.2f}, {ahead}",
    )  # fmt: skip
    book.add(
        "expected_volatility", model, yearly, "fraction", as_of=as_of, source=source,
        computed=f"{expected.method} forecast from the ranges of the bars; standard deviation a year, {ahead}",
    )  # fmt: skip
    return tuple(book)
