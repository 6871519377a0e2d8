"""Expected counts are hand arithmetic: sessions × bars per session."""

import subprocess
import sys

import pytest

from evolve.market.calendar import VENUES, bars_per_year, default_costs, stale_after_s, venue_of
from evolve.market.types import TIMEFRAMES


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "BTC-USD", "ETHBTC", "BTCEUR", "DOGEUSDC", "SOLUSD"])
def test_crypto_pairs_are_recognised(symbol):
    assert venue_of(symbol) == "crypto"


@pytest.mark.parametrize("symbol", ["EURUSD", "USDJPY", "GBPCHF"])
def test_currency_pairs_are_recognised(symbol):
    assert venue_of(symbol) == "fx"


@pytest.mark.parametrize("symbol", ["AAPL", "GOOGL", "BRK.B", "A", "USD", "ETH", "USDT", "LINK", "DAI"])
def test_anything_else_is_a_us_stock(symbol):
    assert venue_of(symbol) == "us_equity"


@pytest.mark.parametrize(
    ("symbol", "timeframe", "bars"),
    [
        ("AAPL", "1d", 252),
        ("AAPL", "1h", 252 * 7),  # 6.5 h: six whole hours and a half one
        ("AAPL", "30m", 252 * 13),
        ("AAPL", "1m", 252 * 390),
        ("AAPL", "4h", 252 * 2),
        ("AAPL", "1w", 52),
        ("BTCUSDT", "1d", 365),
        ("BTCUSDT", "1h", 8760),
        ("BTCUSDT", "1m", 525_600),
        ("EURUSD", "1h", 260 * 24),
    ],
)
def test_a_year_holds_this_many_bars(symbol, timeframe, bars):
    assert bars_per_year(symbol, timeframe) == bars


def test_a_venue_may_be_named_instead_of_a_symbol():
    assert bars_per_year("crypto", "1d") == bars_per_year("BTCUSDT", "1d") == 365


def test_every_venue_has_costs_and_bars_at_every_timeframe():
    for venue in VENUES:
        assert default_costs(venue).fee_bps > 0
        assert default_costs(venue).slippage_bps > 0
        assert all(bars_per_year(venue, timeframe) > 0 for timeframe in TIMEFRAMES)


def test_daily_stock_bars_outlast_a_long_weekend_and_crypto_bars_do_not():
    assert stale_after_s("AAPL", "1d") == 7 * 86_400  # four days closed and three bars
    assert stale_after_s("BTCUSDT", "1d") == 3 * 86_400
    assert stale_after_s("BTCUSDT", "1m") == 3600


def test_the_calendar_loads_no_array_library():
    code = "import sys, evolve.market.calendar; print(sorted({'numpy', 'pyarrow', 'pandas'} & sys.modules.keys()))"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"
