"""Planted leaks are all found, honest signals never blamed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evolve.backtest.lookahead import audit_lookahead, settled_after
from evolve.errors import InvalidRequest
from evolve.forecasting import features
from evolve.market.bars import Bars


def market(bars: int = 300, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0003, 0.015, bars)))
    opened = np.concatenate([[100.0], close[:-1]])
    return {
        "time": 1_500_000_000_000 + 86_400_000 * np.arange(bars),
        "open": opened,
        "high": np.maximum(opened, close) * 1.004,
        "low": np.minimum(opened, close) / 1.004,
        "close": close,
        "volume": rng.lognormal(12, 0.5, bars),
    }


def series(columns: Any, name: str = "close") -> pd.Series:
    return pd.Series(columns[name])


LEAKS = {
    "tomorrow's return": lambda c: series(c).pct_change().shift(-1).fillna(0),
    "a centred average": lambda c: series(c).rolling(5, center=True).mean(),
    "a z-score over all bars": lambda c: (series(c) - series(c).mean()) / series(c).std(),
    "scaling by the range of all bars": lambda c: (series(c) - series(c).min()) / (series(c).max() - series(c).min()),
    "filling backwards": lambda c: series(c).where(np.arange(len(c["close"])) % 7 == 0).bfill(),
    "interpolating a gap": lambda c: series(c).where(np.arange(len(c["close"])) % 5 == 0).interpolate(),
    "the rank among all bars": lambda c: series(c, "volume").rank(pct=True),
    "a central difference": lambda c: np.gradient(c["close"]),
    "a low pass by Fourier transform": lambda c: np.fft.irfft(np.fft.rfft(c["close"])[:20], len(c["close"])),
    "the close of the week known on Monday": lambda c: (
        series(c).groupby(np.arange(len(c["close"])) // 5).transform("last")
    ),
    "a threshold at the median of all bars": lambda c: (series(c) > series(c).median()).astype(float),
    "a trend line through all bars": lambda c: np.polyval(
        np.polyfit(np.arange(len(c["close"])), c["close"], 1), np.arange(len(c["close"]))
    ),
}

CLEAN = {
    "a moving average": lambda c: series(c).rolling(20).mean(),
    "an exponential average": lambda c: series(c).ewm(span=10, adjust=False).mean(),
    "an expanding z-score": lambda c: (series(c) - series(c).expanding().mean()) / series(c).expanding().std(),
    "a crossover": lambda c: (series(c).rolling(5).mean() > series(c).rolling(20).mean()).astype(float),
    "the running maximum": lambda c: series(c).cummax(),
    "filling forwards": lambda c: series(c).where(np.arange(len(c["close"])) % 7 == 0).ffill(),
    "the rank within a window": lambda c: series(c, "volume").rolling(30).rank(pct=True),
    "yesterday's return": lambda c: series(c).pct_change().shift(1),
    "the weekday": lambda c: (c["time"] // 86_400_000 % 7).astype(float),
    "the position in the range of a window": lambda c: (
        (series(c) - series(c, "low").rolling(14).min())
        / (series(c, "high").rolling(14).max() - series(c, "low").rolling(14).min())
    ),
    "volatility of a window": lambda c: series(c).pct_change().rolling(21).std(),
    "a median of a window": lambda c: series(c).rolling(11).median(),
    "the return over ten bars": lambda c: series(c).pct_change(10),
    "a z-score of a window": lambda c: (series(c) - series(c).rolling(20).mean()) / series(c).rolling(20).std(),
    "the share of up bars": lambda c: (series(c).diff() > 0).rolling(14).mean(),
    "the gap at the open": lambda c: series(c, "open") / series(c).shift(1) - 1,
    "money flow so far": lambda c: (np.sign(series(c).diff().fillna(0)) * series(c, "volume")).cumsum(),
    "the fall from the highest close so far": lambda c: series(c) / series(c).cummax() - 1,
    "the true range": lambda c: (
        np.maximum(series(c, "high"), series(c).shift(1)) - np.minimum(series(c, "low"), series(c).shift(1))
    ),
    "a breakout": lambda c: (series(c) > series(c, "high").shift(1).rolling(20).max()).astype(float),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_found(name):
    audit = audit_lookahead(LEAKS[name], market(), rng=np.random.default_rng(2))

    assert not audit.passed
    assert audit.leaks
    assert "looks ahead" in audit.reason


@pytest.mark.parametrize("name", CLEAN)
def test_an_honest_signal_is_not_blamed(name):
    audit = audit_lookahead(CLEAN[name], market(), rng=np.random.default_rng(3))

    assert audit.passed, audit.reason
    assert len(audit.cuts) >= 32


def test_there_are_ten_leaks_and_twenty_honest_signals_at_least():
    assert len(LEAKS) >= 10
    assert len(CLEAN) >= 20


def test_a_signal_settles_when_its_window_is_full_and_a_recursive_one_later():
    columns = market(600)
    later = {name: values[300:] for name, values in columns.items()}

    def settled(signal):
        whole, part = (np.asarray(signal(given), dtype=float) for given in (columns, later))
        return settled_after(whole[300:], part)

    assert settled(CLEAN["a moving average"]) == 19  # its first 19 values need bars that the later history lacks
    assert settled(CLEAN["the weekday"]) == 0
    assert 19 < settled(lambda c: series(c).ewm(span=40, adjust=False).mean()) < 200
    assert settled(CLEAN["money flow so far"]) is None


def test_signals_of_two_lengths_cannot_settle():
    with pytest.raises(InvalidRequest, match="one shape"):
        settled_after(np.zeros(5), np.zeros(4))


def test_every_feature_of_ours_is_honest():
    def all_features(columns):
        bars = Bars(symbol="TEST", timeframe="1d", source="a test", bars_per_year=252.0, **columns)
        return features.feature_matrix(bars, features.resolve(()))

    audit = audit_lookahead(
        all_features, market(), kinds=("truncate", "noise", "shuffle"), rng=np.random.default_rng(4)
    )

    assert audit.passed, audit.reason


def test_a_leak_names_the_bar_and_what_it_became():
    audit = audit_lookahead(LEAKS["tomorrow's return"], market(), kinds=("noise",), rng=np.random.default_rng(5))

    leak = audit.leaks[0]
    assert leak.row == leak.cut  # only the last bar before the cut saw the bar after it
    assert leak.before != leak.after


def test_a_leak_that_shows_only_when_the_signal_changes_is_found():
    """It looks ahead in one bar of three hundred: evenly spread cuts alone would mostly miss it."""
    columns = market()
    biggest = int(np.argmax(np.abs(np.diff(np.log(columns["close"])))))

    def knows_the_crash(given):
        moves = np.abs(np.diff(np.log(given["close"]), append=np.log(given["close"][-1])))
        return (moves > 0.999 * np.abs(np.diff(np.log(columns["close"]))[biggest])).astype(float)

    assert not audit_lookahead(knows_the_crash, columns, rng=np.random.default_rng(6)).passed


def test_a_signal_that_differs_from_run_to_run_does_not_pass():
    rng = np.random.default_rng(7)

    audit = audit_lookahead(lambda c: rng.random(len(c["close"])), market(), rng=np.random.default_rng(8))

    assert not audit.passed
    assert not audit.deterministic
    assert "random seed" in audit.reason


def test_a_signal_that_refuses_nan_is_audited_by_the_other_changes():
    def strict(columns):
        if np.isnan(columns["close"]).any():
            raise ValueError("no NaN here")
        return columns["close"]

    audit = audit_lookahead(strict, market(), rng=np.random.default_rng(9))

    assert audit.passed
    assert audit.not_run == {"nan": "it refuses NaN (ValueError)"}


def test_a_signal_that_writes_into_its_input_cannot_hide_a_leak():
    def sly(columns):
        found = series(columns).shift(-1).fillna(0).to_numpy()
        columns["close"][:] = 0
        return found

    assert not audit_lookahead(sly, market(), rng=np.random.default_rng(10)).passed


def test_the_warm_up_is_the_stretch_without_a_signal():
    assert audit_lookahead(CLEAN["a moving average"], market(), rng=np.random.default_rng(11)).warm_up_bars == 19


@pytest.mark.parametrize(
    ("signal", "columns", "said"),
    [
        (lambda c: c["close"][:-1], market(), "one row per bar"),
        (lambda c: c["close"], market(20), "at least 40 bars"),
        (lambda c: c["close"], {"close": np.ones(50), "open": np.ones(49)}, "one length"),
    ],
)
def test_what_cannot_be_audited_is_refused(signal, columns, said):
    with pytest.raises(InvalidRequest, match=said):
        audit_lookahead(signal, columns, rng=np.random.default_rng(12))
