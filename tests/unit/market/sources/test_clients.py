"""ccxt and yfinance, with their own client code, against servers that answer as Binance and Yahoo do.

Part of `make prove`: the packages are extras, and importing them takes longer than all else here.
"""

import sys

import numpy as np
import pytest

from data_services import HTML, Reply, Waits, days, prices, reply, serving, source, starts
from evolve.errors import (
    BadAnswer,
    DataUnavailable,
    InvalidRequest,
    MissingExtra,
    RateLimited,
    Truncated,
    Unavailable,
    UnknownSymbol,
)
from evolve.market.provenance import Dividend, Split
from evolve.market.sources.base import BarSpec, Span


@pytest.mark.parametrize(("name", "symbol"), [("ccxt", "BTCUSDT"), ("yfinance", "AAPL")])
def test_without_its_package_a_source_names_the_command_that_installs_it(tmp_path, monkeypatch, name, symbol):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=f"-m pip install {name}"):
        client_source(name, "http://127.0.0.1:1", tmp_path).load(
            BarSpec(symbol, "1d"), Span.of_days("2024-01-02", "2024-01-05")
        )


def needs_ccxt(test):
    return pytest.mark.prove(pytest.mark.usefixtures("ccxt")(test))


def needs_yfinance(test):
    # Its use of pandas is deprecated in places, which is not for us to mend.
    return pytest.mark.prove(
        pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*inplace")(test)
    )


def client_source(name, url, home, **more):
    return source(name, url, home, yahoo_url=url, **more)


# ── ccxt ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


HOURS = Span.of_days("2023-12-01", "2024-01-09")
MARKET = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "baseAssetPrecision": 8, "quotePrecision": 8,
    "quoteAssetPrecision": 8, "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": True, "permissions": ["SPOT"],
    "permissionSets": [["SPOT"]], "filters": [],
}  # fmt: skip


class Binance:
    """Answers as api.binance.com does: at most `limit` bars from startTime on, prices as text."""

    def __init__(self, timeframe="1h", first="2023-12-01", last="2024-01-10"):
        self.stamps = starts(timeframe, first, last, "crypto")
        self.rows = dict(zip(self.stamps, prices(len(self.stamps)), strict=True))
        self.refusals = []
        self.lost = set()

    def __call__(self, asked):
        if asked.path.endswith("exchangeInfo"):
            return reply(
                {"timezone": "UTC", "serverTime": 1, "rateLimits": [], "exchangeFilters": [], "symbols": [MARKET]}
            )
        if not asked.path.endswith("klines"):
            return reply([])
        if self.refusals:
            return self.refusals.pop()
        since, limit = int(asked.query["startTime"]), int(asked.query["limit"])
        found = [stamp for stamp in self.stamps if stamp >= since and stamp not in self.lost][:limit]
        return reply(
            [[stamp, *(str(value) for value in self.rows[stamp]), stamp + 1, "0", 0, "0", "0", "0"] for stamp in found]
        )


@pytest.fixture
def ccxt():
    return pytest.importorskip("ccxt", reason="the package ccxt is not installed")


def load_ccxt(tmp_path, service, spec=None, span=HOURS, **more):
    with serving(service) as server:
        bars = client_source("ccxt", server.url, tmp_path, **more).load(spec or BarSpec("BTCUSDT", "1h"), span)
        return bars, server


def pages(server):
    return [asked for asked in server.asked if asked.path.endswith("klines")]


@needs_ccxt
def test_ccxt_asks_for_pages_until_the_span_is_covered(tmp_path, monkeypatch):
    monkeypatch.setattr("evolve.market.sources.ccxt.PAGE", 300)
    bars, server = load_ccxt(tmp_path, Binance())

    assert bars.time.tolist() == starts("1h", "2023-12-01", "2024-01-09", "crypto")
    assert len(pages(server)) == 4
    assert (bars.source, bars.currency) == ("ccxt:binance", "USDT")
    assert server.url in bars.provenance.url


@needs_ccxt
def test_an_exchange_that_stops_early_is_a_truncation(tmp_path):
    with pytest.raises(Truncated, match="bars end on 2024-01-05"):
        load_ccxt(tmp_path, Binance(last="2024-01-05"))


@needs_ccxt
def test_days_that_an_exchange_lost_are_a_truncation(tmp_path):
    service = Binance()
    service.lost = set(starts("1h", "2023-12-10", "2023-12-13", "crypto"))
    with pytest.raises(Truncated, match=r"4 sessions without a bar, the longest stretch 2023-12-10 to 2023-12-13"):
        load_ccxt(tmp_path, service)


@needs_ccxt
def test_an_exchange_that_throttles_is_asked_again_later(tmp_path):
    service, waits = Binance(), Waits()
    service.refusals = [
        reply({"code": -1003, "msg": "Too much request weight used"}, 429, headers={"Retry-After": "1"})
    ]
    _, server = load_ccxt(tmp_path, service, waits=waits)

    assert len(pages(server)) == 2
    assert 0.5 in waits.seconds


@needs_ccxt
def test_an_exchange_that_throttles_for_ever_is_rate_limited(tmp_path):
    service = Binance()
    service.refusals = [reply({"code": -1003, "msg": "Too many requests"}, 429) for _ in range(9)]
    with pytest.raises(RateLimited, match="refuses more requests"):
        load_ccxt(tmp_path, service)


@needs_ccxt
def test_a_pair_that_an_exchange_does_not_have_is_unknown(tmp_path):
    with pytest.raises(UnknownSymbol, match="ETH/USDT"):
        load_ccxt(tmp_path, Binance(), BarSpec("ETHUSDT", "1h"))


@needs_ccxt
def test_an_exchange_in_maintenance_is_unavailable(tmp_path):
    with pytest.raises((Unavailable, BadAnswer)):
        load_ccxt(tmp_path, lambda asked: Reply(HTML, 503, "text/html"))


@needs_ccxt
def test_pages_at_hand_are_not_asked_for_again(tmp_path):
    service = Binance()
    load_ccxt(tmp_path, service)
    with serving(service) as server:
        # The address is no part of the question: an exchange is one wherever it is reached.
        client_source("ccxt", server.url, tmp_path).load(BarSpec("BTCUSDT", "1h"), HOURS)
    assert server.asked == []


@needs_ccxt
def test_stocks_and_unknown_exchanges_are_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="ccxt serves crypto here"):
        load_ccxt(tmp_path, Binance(), BarSpec("AAPL", "1d"))
    with pytest.raises(InvalidRequest, match="no exchange 'mtgox'"):
        load_ccxt(tmp_path, Binance(), ccxt_exchange="mtgox")


# ── yfinance ─────────────────────────────────────────────────────────────────────────────────────────────────────────


SPAN = Span.of_days("2023-10-01", "2024-01-09")
DAYS = days()
OPEN_S = (14 * 60 + 30) * 60  # a daily bar's stamp is the session's opening


class Yahoo:
    """Answers as query2.finance.yahoo.com does."""

    def __init__(self, dates=DAYS):
        self.dates = dates
        self.events = {}
        self.error = None
        self.listed = 345_479_400  # 1980-12-12
        self.dividend_factor = 1.0

    def __call__(self, asked):
        if "quoteSummary" in asked.path and self.error is not None:
            return self.error
        if not asked.path.startswith("/v8/finance/chart/"):
            return Reply(b"crumb", 200, "text/plain")
        if self.error is not None:
            return self.error
        stamps = [int(np.datetime64(day, "s").astype(int)) + OPEN_S for day in self.dates]
        rows = prices(len(stamps))
        inside = [
            number
            for number, stamp in enumerate(stamps)
            if int(asked.query.get("period1", 0)) <= stamp < int(asked.query.get("period2", 1 << 40))
        ]
        columns = {
            name: [rows[number][place] for number in inside]
            for place, name in enumerate(("open", "high", "low", "close", "volume"))
        }
        meta = {
            "currency": "USD", "symbol": asked.path.rsplit("/", 1)[1], "exchangeName": "NMS", "instrumentType": "EQUITY",
            "firstTradeDate": self.listed, "timezone": "EST", "gmtoffset": -18000, "exchangeTimezoneName": "America/New_York",
            "regularMarketPrice": 1.0, "dataGranularity": "1d", "range": "", "validRanges": ["1d", "1mo", "max"],
            "regularMarketTime": stamps[-1] if stamps else 0,
        }  # fmt: skip
        result = {
            "meta": meta,
            "timestamp": [stamps[number] for number in inside],
            "events": self.events,
            "indicators": {
                "quote": [columns],
                "adjclose": [{"adjclose": [close * self.dividend_factor for close in columns["close"]]}],
            },
        }
        return reply({"chart": {"result": [result], "error": None}})


@pytest.fixture
def yahoo(tmp_path):
    data = pytest.importorskip("yfinance.data", reason="the package yfinance is not installed")
    data.YfData.cache_get.cache_clear()  # kept for the whole process otherwise
    return Yahoo()


def load_yahoo(tmp_path, service, symbol="AAPL", span=SPAN, timeframe="1d", **more):
    with serving(service) as server:
        bars = client_source("yfinance", server.url, tmp_path, **more).load(BarSpec(symbol, timeframe), span)
        return bars, server


@needs_yfinance
def test_yahoos_days_are_adjusted_and_tell_splits_and_dividends(tmp_path, yahoo):
    at = {day: int(np.datetime64(day, "s").astype(int)) + OPEN_S for day in DAYS}
    yahoo.dividend_factor = 0.5
    yahoo.events = {
        "dividends": {str(at["2023-11-10"]): {"amount": 0.24, "date": at["2023-11-10"]}},
        "splits": {
            str(at["2023-11-06"]): {"date": at["2023-11-06"], "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
        },
    }
    bars, _ = load_yahoo(tmp_path, yahoo)

    assert [bars.date(bar) for bar in range(len(bars))] == DAYS
    assert bars.close[-1] == pytest.approx(prices(len(DAYS))[-1][3] / 2)
    assert bars.provenance.splits == (Split("2023-11-06", 4.0),)
    assert bars.provenance.dividends == (Dividend("2023-11-10", 0.24),)
    assert bars.provenance.adjusted == "splits and dividends"
    assert bars.currency == "USD"


@needs_yfinance
def test_yahoos_missing_days_are_a_truncation(tmp_path, yahoo):
    yahoo.dates = DAYS[:-2]
    with pytest.raises(Truncated, match="bars end on 2024-01-05, 2 sessions before 2024-01-09"):
        load_yahoo(tmp_path, yahoo)


@needs_yfinance
def test_yahoos_missing_beginning_is_a_truncation_because_it_tells_the_listing(tmp_path, yahoo):
    yahoo.dates = DAYS[5:]
    with pytest.raises(Truncated, match="listed on 1980-12-12"):
        load_yahoo(tmp_path, yahoo)


@needs_yfinance
def test_yahoos_throttling_is_rate_limited_after_patience(tmp_path, yahoo):
    waits = Waits()
    yahoo.error = Reply(b"Too Many Requests", 429, "text/plain")
    with pytest.raises(RateLimited, match="Yahoo refuses more requests"):
        load_yahoo(tmp_path, yahoo, waits=waits)
    assert len([pause for pause in waits.seconds if pause]) >= 4


@needs_yfinance
def test_yahoos_unknown_symbol_is_no_data(tmp_path, yahoo):
    answer = {
        "chart": {
            "result": None,
            "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"},
        }
    }
    yahoo.error = reply(answer, 404)
    with pytest.raises((UnknownSymbol, DataUnavailable), match=r"Yahoo (has|knows) no such"):
        load_yahoo(tmp_path, yahoo, "NONSENSE")


@needs_yfinance
def test_yahoos_html_page_is_a_typed_error(tmp_path, yahoo):
    yahoo.error = Reply(HTML, 200, "text/html")
    with pytest.raises((BadAnswer, UnknownSymbol)):
        load_yahoo(tmp_path, yahoo, "HTMLX")


@needs_yfinance
def test_minutes_of_last_year_are_refused_before_asking(tmp_path, yahoo):
    with serving(yahoo) as server, pytest.raises(DataUnavailable, match="1m bars of the last 7 days only"):
        client_source("yfinance", server.url, tmp_path).load(BarSpec("AAPL", "1m"), SPAN)
    assert server.asked == []


@pytest.mark.parametrize(
    ("symbol", "name"), [("BRK.B", "BRK-B"), ("BTCUSD", "BTC-USD"), ("EURUSD", "EURUSD=X"), ("SIE.DE", "SIE.DE")]
)
def test_yahoo_has_its_own_names(symbol, name):
    from evolve.market.sources.yfinance import ticker

    assert ticker(symbol) == name
