"""Polygon and Alpaca, whose answers come in pages. Bodies as the services send them."""

from datetime import UTC, datetime

import pytest

from data_services import HTML, KEY, Reply, days, prices, reply, serving, source, starts
from evolve.errors import BadAnswer, DataUnavailable, Forbidden, Truncated, UnknownSymbol
from evolve.market.provenance import Dividend, Split
from evolve.market.sources.base import BarSpec, Span

SPAN = Span.of_days("2023-10-01", "2024-01-09")
WEEK = Span.of_days("2024-01-02", "2024-01-05")
DAYS = days()
NEW_YORK_MIDNIGHT_MS = 5 * 3_600_000  # of a winter day, after midnight UTC
PAGE = 25


def day_ms(day):
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


# ── Polygon ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def aggregates(stamps):
    return [
        {"t": stamp, "o": row[0], "h": row[1], "l": row[2], "c": row[3], "v": row[4], "vw": row[3], "n": 12}
        for stamp, row in zip(stamps, prices(len(stamps)), strict=True)
    ]


class PolygonService:
    """Answers as api.polygon.io does; what a test changes makes it misbehave."""

    def __init__(self, items, *, page=10_000, status="OK"):
        self.items = items
        self.page = page
        self.status = status
        self.url = ""
        self.changed = lambda number, page: page
        self.details = reply({"status": "OK", "results": {"ticker": "AAPL", "active": True, "list_date": "1980-12-12"}})
        self.inactive = []
        self.splits = []
        self.dividends = []

    def __call__(self, asked):
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return reply({"status": "ERROR", "request_id": "1", "error": "Unknown API Key"}, 401)
        if asked.path == "/v3/reference/tickers":
            return reply({"status": "OK", "results": self.inactive})
        if asked.path.startswith("/v3/reference/tickers/"):
            return self.details
        if asked.path.startswith("/v3/reference/"):
            return reply({"status": "OK", "results": getattr(self, asked.path.rsplit("/", 1)[1])})
        number = int(asked.query.get("cursor", "0"))
        items = self.items[number * self.page : (number + 1) * self.page]
        page = {
            "ticker": "AAPL",
            "adjusted": True,
            "queryCount": len(items),
            "resultsCount": len(items),
            "status": self.status,
        }
        if items:
            page["results"] = items
        if (number + 1) * self.page < len(self.items):
            page["next_url"] = f"https://api.polygon.io{asked.path}?cursor={number + 1}"
        return reply(self.changed(number, page))


def polygon(tmp_path, service, spec=None, span=SPAN, **more):
    with serving(service) as server:
        return source("polygon", server.url, tmp_path, **more).load(spec or BarSpec("AAPL", "1d"), span), server


def daily(dates=DAYS, **more):
    return PolygonService(aggregates([day_ms(day) + NEW_YORK_MIDNIGHT_MS for day in dates]), **more)


def test_polygon_follows_its_pages_and_stamps_days_by_date(tmp_path):
    bars, server = polygon(tmp_path, daily(page=PAGE))

    assert [bars.date(bar) for bar in range(len(bars))] == DAYS
    assert bars.close[-1] == prices(len(DAYS))[-1][3]
    pages = [asked for asked in server.asked if asked.path.startswith("/v2/aggs")]
    assert [asked.query.get("cursor") for asked in pages] == [None, "1", "2"]
    assert pages[0].path == "/v2/aggs/ticker/AAPL/range/1/day/2023-10-01/2024-01-09"
    assert pages[0].query == {"adjusted": "true", "sort": "asc", "limit": "50000"}
    assert bars.provenance.adjusted == "splits"
    assert KEY not in bars.provenance.url


def test_following_pages_are_asked_of_our_own_host(tmp_path):
    """`next_url` names another host here; the key must not travel there."""
    bars, _ = polygon(tmp_path, daily(page=PAGE))
    assert len(bars) == len(DAYS)


def test_delayed_is_how_lesser_plans_say_ok(tmp_path):
    assert len(polygon(tmp_path, daily(status="DELAYED"))[0]) == len(DAYS)


def test_polygon_tells_splits_and_dividends(tmp_path):
    service = daily()
    service.splits = [{"execution_date": "2023-11-06", "split_from": 1, "split_to": 10, "ticker": "AAPL"}]
    service.dividends = [
        {"ex_dividend_date": "2023-11-10", "cash_amount": 0.24, "ticker": "AAPL"},
        {"ex_dividend_date": "2023-10-10", "cash_amount": 0.23, "ticker": "AAPL"},
    ]
    bars, _ = polygon(tmp_path, service)

    assert bars.provenance.splits == (Split("2023-11-06", 10.0),)
    assert bars.provenance.dividends == (Dividend("2023-10-10", 0.23), Dividend("2023-11-10", 0.24))
    assert any("not for dividends" in note for note in bars.notes)


def test_a_page_that_is_left_out_is_a_truncation(tmp_path):
    service = daily(page=PAGE)
    service.changed = lambda number, page: (
        page | ({"next_url": page["next_url"].replace("cursor=1", "cursor=2")} if number == 0 else {})
    )

    with pytest.raises(Truncated, match="25 sessions without a bar"):
        polygon(tmp_path, service)


def test_a_last_page_that_is_not_announced_is_a_truncation(tmp_path):
    service = daily(page=PAGE)
    service.changed = lambda number, page: {
        name: value for name, value in page.items() if number < 1 or name != "next_url"
    }

    with pytest.raises(Truncated, match=f"bars end on {DAYS[49]}, {len(DAYS) - 50} sessions before 2024-01-09"):
        polygon(tmp_path, service)


def test_half_a_page_is_a_truncation(tmp_path):
    service = daily()
    service.changed = lambda number, page: page | {"results": page["results"][:40]}

    with pytest.raises(Truncated, match=f"announced {len(DAYS)} bars and sent 40"):
        polygon(tmp_path, service)


def test_a_plan_that_gives_two_years_of_ten_is_a_truncation(tmp_path):
    with pytest.raises(Truncated, match=r"listed on 1980-12-12 .20 sessions missing"):
        polygon(tmp_path, daily(DAYS[20:]))


def test_the_same_page_again_and_again_ends(tmp_path):
    service = daily(page=PAGE)
    service.changed = lambda number, page: (
        page | {"results": [], "resultsCount": 0, "next_url": "https://api.polygon.io/v2/aggs?cursor=0"}
    )

    with pytest.raises(BadAnswer, match="again and again"):
        polygon(tmp_path, service)


def test_a_page_that_overlaps_the_one_before_is_a_bad_answer(tmp_path):
    service = daily(page=PAGE)
    last = service.items[PAGE - 1]
    service.changed = lambda number, page: (
        page | ({"results": [last, *page["results"]], "resultsCount": 26} if number == 1 else {})
    )

    with pytest.raises(BadAnswer, match="the same bar twice"):
        polygon(tmp_path, service)


def test_a_delisted_stock_is_found_among_the_inactive(tmp_path):
    service = daily(days(last="2023-11-15"))
    service.details = reply({"status": "NOT_FOUND", "message": "Ticker not found."}, 404)
    service.inactive = [{"ticker": "AAPL", "active": False, "delisted_utc": "2023-11-15T05:00:00Z"}]

    assert polygon(tmp_path, service)[0].provenance.delisted == "2023-11-15"


def test_an_unknown_symbol_has_no_results_and_no_details(tmp_path):
    service = daily([])
    service.details = reply({"status": "NOT_FOUND", "message": "Ticker not found."}, 404)

    with pytest.raises(UnknownSymbol, match="polygon knows no symbol 'NONSENSE'"):
        polygon(tmp_path, service, BarSpec("NONSENSE", "1d"))


def test_a_symbol_without_bars_in_the_span_is_unavailable(tmp_path):
    with pytest.raises(DataUnavailable, match="no finished 1d bars of AAPL"):
        polygon(tmp_path, daily([]))


def test_a_wrong_key_is_forbidden(tmp_path):
    with pytest.raises(Forbidden, match=r"POLYGON_API_KEY .Unknown API Key"):
        polygon(tmp_path, daily(), polygon_api_key="wrong-key-123")


def test_what_the_plan_does_not_give_is_forbidden_in_its_own_words(tmp_path):
    answer = reply({"status": "NOT_AUTHORIZED", "message": "Your plan doesn't include this data timeframe."}, 403)
    with pytest.raises(Forbidden, match=r"plan of this key does not give that .Your plan doesn't"):
        polygon(tmp_path, lambda asked: answer)


def test_polygons_html_page_is_named(tmp_path):
    with pytest.raises(BadAnswer, match="an HTML page"):
        polygon(tmp_path, lambda asked: Reply(HTML, 200, "text/html"))


def test_five_requests_a_minute_are_kept_to(tmp_path):
    told = []
    polygon(tmp_path, daily(page=15), told=told)  # five pages, then details, splits and dividends
    assert told == ["waiting 60 s: polygon allows no faster requests"]


def test_a_better_plan_may_ask_faster(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLVE_POLYGON_PER_MINUTE", "100")
    told = []
    polygon(tmp_path, daily(page=15), told=told)
    assert told == []


def test_hours_of_stocks_are_cut_by_the_session_and_not_by_the_clock(tmp_path):
    """Polygon's hours begin on the hour and hold the early trading; ours begin at half past nine."""
    regular = starts("30m", "2024-01-02", "2024-01-05")
    early = [stamp - 60 * 60_000 for stamp in regular if (stamp // 60_000) % 1440 == 870]  # 08:30 New York
    service = PolygonService(aggregates(sorted(regular + early)))
    bars, server = polygon(tmp_path, service, BarSpec("AAPL", "1h"), WEEK)

    assert server.asked[0].path.startswith("/v2/aggs/ticker/AAPL/range/30/minute/")
    assert len(bars) == 4 * 7
    assert bars.date(0) == "2024-01-02T14:30Z"
    assert "4 bars outside regular trading hours were left out" in bars.notes


def test_a_session_that_ends_early_is_a_truncation(tmp_path):
    """The last page of minutes was cut at noon; every session is there."""
    stamps = starts("1m", "2024-01-02", "2024-01-05")
    with pytest.raises(Truncated, match="the last session ends 200 minutes early, at 2024-01-05T17:39Z"):
        polygon(tmp_path, PolygonService(aggregates(stamps[:-200])), BarSpec("AAPL", "1m"), WEEK)


def test_minutes_without_a_trade_are_no_truncation(tmp_path):
    stamps = [stamp for stamp in starts("1m", "2024-01-02", "2024-01-05") if stamp // 60_000 % 7]
    bars, _ = polygon(tmp_path, PolygonService(aggregates(stamps)), BarSpec("AAPL", "1m"), WEEK)

    assert len(bars) == len(stamps)
    assert any("are missing, in" in note for note in bars.notes)


def test_crypto_never_closes_and_has_its_own_name(tmp_path):
    stamps = starts("4h", "2024-01-01", "2024-01-09", "crypto")
    bars, server = polygon(
        tmp_path, PolygonService(aggregates(stamps)), BarSpec("BTCUSD", "4h"), Span.of_days("2024-01-01", "2024-01-09")
    )

    assert "/ticker/X:BTCUSD/range/4/hour/" in server.asked[0].path
    assert bars.time.tolist() == stamps
    assert len(server.asked) == 1  # there are no splits of a coin


# ── Alpaca ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def rfc3339(ms):
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class AlpacaService:
    """Answers as data.alpaca.markets does."""

    def __init__(self, stamps, *, symbol="AAPL", page=10_000):
        self.items = [item | {"t": rfc3339(item["t"])} for item in aggregates(stamps)]
        self.symbol = symbol
        self.page = page
        self.actions = {}
        self.changed = lambda number, page: page

    def __call__(self, asked):
        if (asked.headers.get("apca-api-key-id"), asked.headers.get("apca-api-secret-key")) != (KEY, KEY + "-secret"):
            return Reply(b"", 403)
        if asked.path == "/v1/corporate-actions":
            return reply({"corporate_actions": self.actions, "next_page_token": None})
        number = int(asked.query.get("page_token", "p0")[1:])
        items = self.items[number * self.page : (number + 1) * self.page]
        more = (number + 1) * self.page < len(self.items)
        page = {"bars": {self.symbol: items} if items else {}, "next_page_token": f"p{number + 1}" if more else None}
        return reply(self.changed(number, page))


def alpaca(tmp_path, service, spec=None, span=SPAN, **more):
    with serving(service) as server:
        return source("alpaca", server.url, tmp_path, **more).load(spec or BarSpec("AAPL", "1d"), span), server


def alpaca_daily(dates=DAYS, **more):
    return AlpacaService([day_ms(day) + NEW_YORK_MIDNIGHT_MS for day in dates], **more)


def test_alpaca_follows_its_tokens(tmp_path):
    bars, server = alpaca(tmp_path, alpaca_daily(page=PAGE))

    assert [bars.date(bar) for bar in range(len(bars))] == DAYS
    assert bars.provenance.adjusted == "splits and dividends"
    pages = [asked for asked in server.asked if asked.path == "/v2/stocks/bars"]
    assert [asked.query.get("page_token") for asked in pages] == [None, "p1", "p2"]
    assert pages[0].query == {
        "symbols": "AAPL", "timeframe": "1Day", "start": "2023-10-01T00:00:00Z", "end": "2024-01-09T23:59:59Z",
        "limit": "10000", "sort": "asc", "adjustment": "all", "feed": "sip",
    }  # fmt: skip


def test_alpaca_tells_splits_and_dividends(tmp_path):
    service = alpaca_daily()
    service.actions = {
        "forward_splits": [{"symbol": "AAPL", "new_rate": 4, "old_rate": 1, "ex_date": "2023-11-06"}],
        "reverse_splits": [{"symbol": "AAPL", "new_rate": 1, "old_rate": 10, "ex_date": "2023-12-06"}],
        "cash_dividends": [{"symbol": "AAPL", "rate": 0.24, "special": False, "ex_date": "2023-11-10"}],
    }
    bars, _ = alpaca(tmp_path, service)

    assert bars.provenance.splits == (Split("2023-11-06", 4.0), Split("2023-12-06", 0.1))
    assert bars.provenance.dividends == (Dividend("2023-11-10", 0.24),)


def test_alpacas_unknown_symbol_is_an_empty_answer(tmp_path):
    with pytest.raises(DataUnavailable, match="no such symbol, or not traded then"):
        alpaca(tmp_path, alpaca_daily([]))


def test_alpacas_invalid_symbol_is_unknown(tmp_path):
    with pytest.raises(UnknownSymbol, match="invalid symbol: NONSENSE"):
        alpaca(tmp_path, lambda asked: reply({"message": "invalid symbol: NONSENSE"}, 400), BarSpec("NONSENSE", "1d"))


def test_a_page_without_its_token_is_half_a_page(tmp_path):
    service = alpaca_daily(page=PAGE)
    service.changed = lambda number, page: {"bars": page["bars"]} if number == 1 else page

    with pytest.raises(BadAnswer, match="half a page"):
        alpaca(tmp_path, service)


def test_tokens_that_end_too_early_are_a_truncation(tmp_path):
    service = alpaca_daily(page=PAGE)
    service.changed = lambda number, page: page | ({"next_page_token": None} if number == 1 else {})

    with pytest.raises(Truncated, match=f"bars end on {DAYS[49]}"):
        alpaca(tmp_path, service)


def test_alpacas_refusal_names_both_variables_and_neither_key(tmp_path):
    with pytest.raises(Forbidden, match="APCA_API_KEY_ID and APCA_API_SECRET_KEY") as caught:
        alpaca(tmp_path, alpaca_daily(), alpaca_secret_key="wrong-secret-123")
    assert "wrong-secret" not in caught.value.message


def test_recent_bars_that_the_plan_withholds_are_forbidden(tmp_path):
    answer = reply({"message": "subscription does not permit querying recent SIP data"}, 403)
    with pytest.raises(Forbidden, match="does not permit querying recent SIP data"):
        alpaca(tmp_path, lambda asked: answer)


def test_alpacas_coins_have_a_slash_and_no_actions(tmp_path):
    stamps = starts("1h", "2024-01-08", "2024-01-09", "crypto")
    span = Span.of_days("2024-01-08", "2024-01-09")
    bars, server = alpaca(tmp_path, AlpacaService(stamps, symbol="BTC/USD"), BarSpec("BTCUSD", "1h"), span)

    assert bars.time.tolist() == stamps
    assert [asked.path for asked in server.asked] == ["/v1beta3/crypto/us/bars"]
    assert server.asked[0].query["symbols"] == "BTC/USD"


def test_four_hours_of_stocks_agree_with_the_venues_calendar(tmp_path):
    service = AlpacaService(starts("30m", "2023-11-20", "2023-11-24"))
    bars, _ = alpaca(tmp_path, service, BarSpec("AAPL", "4h"), Span.of_days("2023-11-20", "2023-11-24"))

    assert bars.time.tolist() == starts("4h", "2023-11-20", "2023-11-24")  # Thanksgiving is missing, Friday is short
