from datetime import UTC, datetime

import numpy as np
import pytest

from evolve.errors import DataUnavailable, InvalidRequest, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.calendar import bars_per_year
from evolve.market.catalog import Catalog, data_card
from evolve.market.store import BarStore
from evolve.market.types import SPECIFIED_SYMBOLS, TIMEFRAME_SECONDS


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path)


@pytest.fixture
def catalog(store):
    return Catalog(store)


def bars(symbol, timeframe, count=60, price=50.0, first="2024-01-01"):
    start = int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp() * 1000)
    close = np.full(count, price)
    return Bars(
        symbol=symbol,
        timeframe=timeframe,
        time=start + np.arange(count) * 1000 * TIMEFRAME_SECONDS[timeframe],
        open=close,
        high=close,
        low=close,
        close=close,
        volume=close,
        source="imported from prices.csv",
        bars_per_year=bars_per_year(symbol, timeframe),
    )


# Which bars


def test_without_a_timeframe_the_finest_real_bars_are_served(catalog):
    served = catalog.load("aapl")
    assert (served.symbol, served.timeframe, served.source, served.simulated) == (
        "AAPL",
        "1d",
        "bokeh-sampledata",
        False,
    )


def test_imported_bars_come_before_the_sample(store, catalog):
    store.save(bars("AAPL", "1d"))
    assert catalog.load("AAPL", "1d").source == "imported from prices.csv"


def test_the_finest_of_several_imports_is_served(store, catalog):
    store.save(bars("ACME", "1d"))
    store.save(bars("ACME", "1h"))
    assert catalog.load("ACME").timeframe == "1h"


def test_the_sample_answers_a_timeframe_that_the_import_cannot(store, catalog):
    store.save(bars("AAPL", "1w"))
    assert catalog.load("AAPL", "1d").source == "bokeh-sampledata"


def test_a_coarser_timeframe_is_made_from_the_coarsest_finer_import(store, catalog):
    store.save(bars("ACME", "1m", price=1.0))
    store.save(bars("ACME", "1h", price=2.0))

    assert catalog.load("ACME", "4h").close[0] == 2.0
    assert catalog.load("ACME", "5m").close[0] == 1.0


def test_weekly_bars_of_the_sample_are_made_from_daily_ones(catalog):
    weekly = catalog.load("AAPL", "1w")
    assert (weekly.timeframe, weekly.source) == ("1w", "bokeh-sampledata")
    assert any("made from 1d" in note for note in weekly.notes)


def test_a_real_symbols_missing_timeframe_is_never_simulated(catalog):
    with pytest.raises(DataUnavailable) as caught:
        catalog.load("AAPL", "1h")

    assert "no real bars at 1h, only at 1d and 1w" in caught.value.message
    assert "evolve data import FILE --symbol AAPL" in caught.value.message


def test_damaged_imported_bars_are_never_replaced_by_others(store, catalog):
    for symbol in ("NVDA", "AAPL"):
        store.save(bars(symbol, "1d"))
        (store.directory / symbol / "1d" / "manifest.json").write_bytes(b"broken")
        with pytest.raises(DataUnavailable, match="import or fetch them again"):
            catalog.load(symbol)


@pytest.mark.parametrize("symbol", ["NVDA", "TSLA", "AMZN", "BTCUSDT", "ETHUSDT"])
def test_specified_symbols_without_real_bars_are_simulated(catalog, symbol):
    served = catalog.load(symbol)
    assert served.simulated
    assert served.timeframe == "1d"
    assert catalog.load(symbol, "1h").simulated


def test_a_simulated_symbol_becomes_real_with_its_first_import(store, catalog):
    store.save(bars("NVDA", "1d"))

    assert not catalog.load("NVDA").simulated
    with pytest.raises(DataUnavailable, match="only at 1d and 1w"):
        catalog.load("NVDA", "1h")


def test_a_real_symbol_is_simulated_only_when_asked_to(catalog):
    assert catalog.load("AAPL", "1h", simulate=True).simulated
    assert catalog.load("AAPL", simulate=True).simulated
    assert not catalog.load("AAPL").simulated


def test_simulating_an_unknown_symbol_is_refused(catalog):
    with pytest.raises(UnknownSymbol):
        catalog.load("APPL", simulate=True)


def test_where_simulation_is_off_nothing_is_simulated(store):
    catalog = Catalog(store, allow_simulated=False)

    with pytest.raises(DataUnavailable, match="no real bars of NVDA; import"):
        catalog.load("NVDA")
    with pytest.raises(DataUnavailable, match="switched off"):
        catalog.load("AAPL", simulate=True)
    assert "NVDA" not in catalog.symbols()


def test_an_unknown_symbol_is_answered_with_the_nearest(catalog):
    with pytest.raises(UnknownSymbol) as caught:
        catalog.load("APPL")

    assert "AAPL" in caught.value.details["nearest"]
    assert "did you mean AAPL" in caught.value.message


def test_an_unknown_symbol_like_nothing_is_answered_with_all(catalog):
    with pytest.raises(UnknownSymbol, match="there are AAPL, AMZN"):
        catalog.load("QQQQZZZZ")


@pytest.mark.parametrize(("symbol", "timeframe"), [("A B", "1d"), ("AAPL", "2h"), ("AAPL", "")])
def test_what_is_no_symbol_or_timeframe_is_refused(catalog, symbol, timeframe):
    with pytest.raises(InvalidRequest, match="is not a"):
        catalog.load(symbol, timeframe)


# What there is


def test_the_listing_holds_the_sample_the_specified_symbols_and_imports(store, catalog):
    store.save(bars("ACME", "1h"))
    assert catalog.symbols() == sorted({*SPECIFIED_SYMBOLS, "AAPL", "GOOG", "GOOGL", "IBM", "MSFT", "ACME"})


def test_a_listing_says_where_bars_come_from_and_at_which_timeframes(store, catalog):
    store.save(bars("ACME", "4h"))
    by_symbol = {listing.symbol: listing for listing in catalog.listings()}

    assert by_symbol["AAPL"].origin == "sample"
    assert by_symbol["AAPL"].timeframes == ("1d", "1w")
    assert by_symbol["NVDA"].origin == "simulated"
    assert (by_symbol["ACME"].origin, by_symbol["ACME"].recorded) == ("imported", ("4h",))
    assert by_symbol["ACME"].timeframes == ("4h", "1d", "1w")


def test_everything_listed_can_be_loaded(catalog):
    for listing in catalog.listings():
        for timeframe in listing.timeframes[-2:]:
            assert catalog.load(listing.symbol, timeframe).simulated == (listing.origin == "simulated")


# How fresh


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_sample_is_stale(catalog):
    card = data_card(catalog.load("AAPL"), moment("2024-01-01"))

    assert (card.status, card.first, card.last, card.bars) == ("stale", "2000-03-01", "2013-03-01", 3270)
    assert card.fingerprint == catalog.load("AAPL").fingerprint


def test_simulated_bars_are_neither_current_nor_stale(catalog):
    card = data_card(catalog.load("NVDA"), moment("2024-12-28"))
    assert (card.status, card.simulated, card.source) == ("simulated", True, "SIMULATED")


@pytest.mark.parametrize(
    ("symbol", "timeframe", "now", "status"),
    [
        # The last of 60 daily bars from 2024-01-01 is that of 2024-02-29 and ends at midnight; 7 days for a stock, 3 for crypto.
        ("AAPL", "1d", "2024-03-08T00:00", "current"),
        ("AAPL", "1d", "2024-03-08T00:01", "stale"),
        ("BTCUSDT", "1d", "2024-03-04T00:00", "current"),
        ("BTCUSDT", "1d", "2024-03-04T00:01", "stale"),
        # 60 hourly bars end on 2024-01-03 at 12:00; three hours for crypto.
        ("BTCUSDT", "1h", "2024-01-03T15:00", "current"),
        ("BTCUSDT", "1h", "2024-01-03T15:01", "stale"),
    ],
)
def test_bars_are_stale_after_three_bars_and_the_venues_longest_closure(symbol, timeframe, now, status):
    assert data_card(bars(symbol, timeframe), moment(now)).status == status
