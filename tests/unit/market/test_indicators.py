"""Hand arithmetic, pandas' recursive EMA, and the causality law: a changed future leaves the past bit-equal."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.errors import InvalidRequest
from evolve.market import indicators


def close_of(*values):
    return np.array(values, dtype=float)


def walk(count, seed=0):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, count)))


def test_a_log_return_is_the_log_of_the_price_ratio():
    np.testing.assert_allclose(indicators.log_returns(close_of(1, np.e, 1)), [np.nan, 1, -1])


def test_a_simple_mean_is_unknown_until_the_window_is_full():
    np.testing.assert_array_equal(indicators.sma(close_of(1, 2, 3, 7), window=3), [np.nan, np.nan, 2, 4])


def test_a_nan_spoils_only_the_windows_that_hold_it():
    np.testing.assert_array_equal(indicators.sma(close_of(1, np.nan, 3, 5, 7), window=2), [np.nan] * 3 + [4, 6])


def test_an_exponential_mean_begins_at_the_simple_one():
    # weight 2 / (3 + 1) = 0.5: 2, then 2 + 0.5 × (6 − 2) = 4, then 4 + 0.5 × (0 − 4) = 2
    np.testing.assert_array_equal(indicators.ema(close_of(1, 2, 3, 6, 0), window=3), [np.nan, np.nan, 2, 4, 2])


def test_an_exponential_mean_recurs_as_pandas_does():
    close = walk(200)
    own = indicators.ema(close, window=10)

    oracle = pd.Series(np.concatenate([[close[:10].mean()], close[10:]])).ewm(span=10, adjust=False).mean()

    np.testing.assert_allclose(own[9:], oracle, rtol=1e-12)


def test_leading_nans_only_delay_the_warm_up():
    np.testing.assert_array_equal(indicators.ema(close_of(np.nan, 1, 2, 3), window=3), [np.nan] * 3 + [2])


def test_rsi_follows_wilders_smoothing():
    # window 2, changes +1 −1 +2: means 0.5 / 0.5 → 50; then (0.5 + 2) / 2 = 1.25 and 0.25 → 100 × 1.25 / 1.5
    np.testing.assert_allclose(
        indicators.rsi(close_of(10, 11, 10, 12), window=2), [np.nan, np.nan, 50, 100 * 1.25 / 1.5]
    )


def test_rsi_is_100_when_prices_only_rise_0_when_they_only_fall_and_50_when_nothing_moves():
    assert indicators.rsi(close_of(1, 2, 3, 4), window=3)[-1] == 100
    assert indicators.rsi(close_of(4, 3, 2, 1), window=3)[-1] == 0
    assert indicators.rsi(close_of(2, 2, 2, 2), window=3)[-1] == 50


def test_rsi_equals_pandas_wilder_smoothing():
    close = walk(300)
    change = np.diff(close)

    def wilder(moves):
        seeded = np.concatenate([[moves[:14].mean()], moves[14:]])
        return pd.Series(seeded).ewm(alpha=1 / 14, adjust=False).mean().to_numpy()

    gains, losses = wilder(np.clip(change, 0, None)), wilder(np.clip(-change, 0, None))

    np.testing.assert_allclose(indicators.rsi(close)[14:], 100 - 100 / (1 + gains / losses), rtol=1e-10)


def test_macd_is_fast_less_slow_and_its_signal_a_mean_of_it():
    close = walk(100)

    line, signal, histogram = indicators.macd(close)

    np.testing.assert_array_equal(line, indicators.ema(close, window=12) - indicators.ema(close, window=26))
    assert np.isnan(line[:25]).all()
    assert signal[33] == pytest.approx(line[25:34].mean())  # the first nine values of the line
    np.testing.assert_array_equal(histogram, line - signal)


def test_macd_of_a_straight_line_is_the_difference_of_lags():
    """An EMA of window w trails a line of slope 1 by (w − 1) / 2: 26 and 12 differ by 7."""
    assert indicators.macd(np.arange(1.0, 400.0)).line[-1] == pytest.approx(7)


def test_realised_volatility_annualises_the_root_mean_square():
    # squares 9e-4 and 16e-4, mean 12.5e-4, × 252
    volatility = indicators.realised_volatility(close_of(np.nan, 0.03, -0.04), window=2, bars_per_year=252)

    np.testing.assert_allclose(volatility, [np.nan, np.nan, np.sqrt(252 * 12.5e-4)])


def test_true_range_reaches_back_to_the_close_before():
    # bar 1 gaps up: |12 − 9| = 3 beats 12 − 11; bar 2 gaps down: |8 − 11.5| = 3.5; mean 3.25; bar 3: 1 → (3.25 + 1) / 2
    atr = indicators.atr(close_of(10, 12, 9, 9), close_of(8, 11, 8, 8), close_of(9, 11.5, 8.5, 8.5), window=2)

    np.testing.assert_allclose(atr, [np.nan, np.nan, 3.25, 2.125])


def test_fewer_bars_than_the_window_are_all_unknown():
    assert np.isnan(indicators.sma(walk(5), window=6)).all()
    assert np.isnan(indicators.rsi(walk(5), window=6)).all()
    assert indicators.ema(np.empty(0), window=3).shape == (0,)


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_below_one_bar_is_refused(window):
    for indicator in (indicators.sma, indicators.ema, indicators.rsi):
        with pytest.raises(InvalidRequest, match="at least 1"):
            indicator(walk(5), window=window)


ALL = {
    "log_returns": indicators.log_returns,
    "sma": lambda close: indicators.sma(close, window=7),
    "ema": lambda close: indicators.ema(close, window=7),
    "rsi": lambda close: indicators.rsi(close, window=7),
    "macd": lambda close: indicators.macd(close, fast=3, slow=7, signal=4).histogram,
    "realised_volatility": lambda close: indicators.realised_volatility(
        indicators.log_returns(close), window=7, bars_per_year=252
    ),
    "atr": lambda close: indicators.atr(close * 1.01, close * 0.99, close, window=7),
}


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40)
@given(cut=st.integers(0, 119), how=st.sampled_from(["truncate", "noise", "nan"]), seed=st.integers(0, 1000))
def test_a_changed_future_leaves_the_past_bit_equal(name, cut, how, seed):
    close = walk(120, seed)
    changed = close.copy()
    if how == "truncate":
        changed = close[: cut + 1].copy()
    elif how == "noise":
        changed[cut + 1 :] *= np.random.default_rng(seed + 1).uniform(0.5, 2, 119 - cut)
    else:
        changed[cut + 1 :] = np.nan

    before, after = ALL[name](close), ALL[name](changed)

    assert before[: cut + 1].tobytes() == after[: cut + 1].tobytes()
