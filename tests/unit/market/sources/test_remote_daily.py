"""Stooq and Tiingo, whose answers are one piece. Bodies as the services send them."""

import pytest

from data_services import HTML, KEY, Reply, days, prices, reply, serving, source
from evolve.errors import BadAnswer, DataUnavailable, Forbidden, InvalidRequest, RateLimited, Truncated, UnknownSymbol
from evolve.market.provenance import Dividend, Split
from evolve.market.sources.base import BarSpec, Span

SPAN = Span.of_days("2023-10-01", "2024-01-09")
AAPL = BarSpec("AAPL", "1d")
DAYS = days()


# ── Stooq ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def csv_of(dates):
    lines = [",".join([day, *map(str, row)]) for day, row in zip(dates, prices(len(dates)), strict=True)]
    return "\r\n".join(["Date,Open,High,Low,Close,Volume", *lines]) + "\r\n"


def text(content, status=200):
    return Reply(content.encode(), status, "text/plain")


def stooq_says(content, tmp_path, spec=AAPL, **more):
    answer = content if isinstance(content, Reply) else text(content)
    with serving(lambda asked: answer) as service:
        return source("stooq", service.url, tmp_path, **more).load(spec, SPAN), service


def test_stooq_gives_daily_bars_with_their_provenance(tmp_path):
    bars, service = stooq_says(csv_of(DAYS), tmp_path)

    assert [bars.date(bar) for bar in range(len(bars))] == DAYS
    assert bars.close[-1] == prices(len(DAYS))[-1][3]
    assert (bars.symbol, bars.timeframe, bars.source, bars.currency) == ("AAPL", "1d", "stooq", "USD")
    assert service.asked[0].query == {"s": "aapl.us", "i": "d", "d1": "20231001", "d2": "20240109", "apikey": KEY}
    assert bars.provenance.url.endswith("/q/d/l/?d1=20231001&d2=20240109&i=d&s=aapl.us")
    assert bars.provenance.fetched_at == "2024-01-10T12:00:00Z"
    assert bars.provenance.adjusted == "unstated"
    assert not bars.provenance.tells_actions


def test_a_bar_is_available_after_its_close_and_the_services_delay(tmp_path):
    bars, _ = stooq_says(csv_of(DAYS), tmp_path)
    at = DAYS.index("2023-11-24")  # the half day after Thanksgiving: 13:00 New York is 18:00 UTC, plus four hours

    assert bars.available_at[at] - bars.time[at] == (18 + 4) * 3_600_000


def test_weeks_are_made_of_days(tmp_path):
    bars, service = stooq_says(csv_of(DAYS), tmp_path, BarSpec("AAPL", "1w"))

    assert service.asked[0].query["i"] == "d"
    assert bars.timeframe == "1w"
    assert (bars.date(0), bars.date(-1)) == ("2023-10-02", "2024-01-01")  # the week of January 8 is not over


@pytest.mark.parametrize(
    ("symbol", "name", "currency"),
    [
        ("BRK.B", "brk-b.us", "USD"),
        ("EURUSD", "eurusd", "USD"),
        ("USDJPY", "usdjpy", "JPY"),
        ("BTCUSD", "btc.v", "USD"),
    ],
)
def test_stooq_has_its_own_names(tmp_path, symbol, name, currency):
    venue = {"BRK.B": "us_equity", "BTCUSD": "crypto"}.get(symbol, "fx")
    bars, service = stooq_says(csv_of(days(venue=venue)), tmp_path, BarSpec(symbol, "1d"))

    assert service.asked[0].query["s"] == name
    assert bars.currency == currency


def test_a_used_up_allowance_with_status_200_is_throttling(tmp_path):
    with pytest.raises(RateLimited, match="daily allowance is used up"):
        stooq_says("Exceeded the daily hits limit", tmp_path)


def test_stooqs_unknown_symbol_has_status_200_too(tmp_path):
    with pytest.raises(UnknownSymbol, match=r"no daily bars of 'nonsense.us'"):
        stooq_says("No data", tmp_path, BarSpec("NONSENSE", "1d"))


def test_an_html_page_for_csv_is_named(tmp_path):
    """Since July 2026 programs get a page with a puzzle, with status 200."""
    with pytest.raises(BadAnswer, match=r"an HTML page .status 200"):
        stooq_says(Reply(HTML, 200, "text/html"), tmp_path)


def test_a_key_that_stooq_does_not_know_is_forbidden(tmp_path):
    with pytest.raises(Forbidden, match="stooq refuses the key in STOOQ_API_KEY"):
        stooq_says("Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=spy.us&get_apikey", tmp_path)


def test_without_a_key_nobody_is_asked(tmp_path):
    with serving(lambda asked: text(csv_of(DAYS))) as service, pytest.raises(Forbidden, match="set STOOQ_API_KEY"):
        source("stooq", service.url, tmp_path, stooq_api_key="").load(AAPL, SPAN)
    assert service.asked == []


def test_half_a_line_is_a_bad_answer(tmp_path):
    with pytest.raises(BadAnswer, match="line 70 of its CSV cannot be read"):
        stooq_says(csv_of(DAYS).rstrip()[:-30], tmp_path)


def test_hours_are_not_to_be_had(tmp_path):
    with pytest.raises(InvalidRequest, match="stooq has no 1h bars, only 1d, 1w"):
        stooq_says(csv_of(DAYS), tmp_path, BarSpec("AAPL", "1h"))


# ── Silent truncation, which all sources share ───────────────────────────────────────────────────────────────────────


def test_a_last_bar_that_is_missing_is_a_truncation(tmp_path):
    with pytest.raises(Truncated, match="bars end on 2024-01-08, 1 sessions before 2024-01-09"):
        stooq_says(csv_of(DAYS[:-1]), tmp_path)


def test_three_missing_sessions_in_a_row_are_a_truncation(tmp_path):
    with pytest.raises(Truncated, match="3 sessions without a bar, the longest stretch 2023-10-30 to 2023-11-01"):
        stooq_says(csv_of([day for day in DAYS if not "2023-10-30" <= day <= "2023-11-01"]), tmp_path)


def test_a_single_hole_is_noted_and_not_refused(tmp_path):
    bars, _ = stooq_says(csv_of([day for day in DAYS if day != "2023-10-30"]), tmp_path)

    assert "1 sessions without a bar, the longest stretch 2023-10-30 to 2023-10-30 (1)" in bars.notes


def test_gaps_can_be_accepted_and_are_noted_then(tmp_path):
    bars, _ = stooq_says(csv_of(DAYS[:-1]), tmp_path, allow_gaps=True)

    assert "bars end on 2024-01-08, 1 sessions before 2024-01-09" in bars.notes


def test_a_late_beginning_is_noted_when_nobody_knows_the_listing(tmp_path):
    bars, _ = stooq_says(csv_of(DAYS[10:]), tmp_path)

    assert any(note.startswith(f"bars begin on {DAYS[10]}, though asked for from 2023-10-02") for note in bars.notes)


def test_todays_unfinished_bar_is_left_out(tmp_path):
    """It is noon on January 10, before New York opens."""
    with serving(lambda asked: text(csv_of([*DAYS, "2024-01-10"]))) as service:
        bars = source("stooq", service.url, tmp_path).load(AAPL, Span.of_days("2023-10-01", "2024-01-10"))

    assert bars.date(-1) == "2024-01-09"
    assert "the unfinished last bar was left out" in bars.notes


def test_the_same_bar_twice_is_a_bad_answer(tmp_path):
    with pytest.raises(BadAnswer, match=r"the same bar twice .at 2024-01-09"):
        stooq_says(csv_of([*DAYS, DAYS[-1]]), tmp_path)


@pytest.mark.parametrize("price", ["0", "-3", "nan"])
def test_impossible_prices_are_refused(tmp_path, price):
    content = csv_of(DAYS).replace(f"{DAYS[5]},{prices(len(DAYS))[5][0]}", f"{DAYS[5]},{price}")
    with pytest.raises(DataUnavailable, match="open of bar 5"):
        stooq_says(content, tmp_path)


def test_a_hundredfold_tick_is_called_bad_data(tmp_path):
    lines = csv_of(DAYS).splitlines()
    cells = lines[20].split(",")
    lines[20] = ",".join([cells[0], *(str(float(cell) * 100) for cell in cells[1:5]), cells[5]])
    bars, _ = stooq_says("\n".join(lines), tmp_path)

    assert any(note.startswith("BAD DATA: ") and "bad tick" in note for note in bars.notes)


def test_answers_on_disk_are_served_as_of_their_own_time(tmp_path):
    """A day later the kept answer lacks that day; it was complete when it was given."""
    with serving(lambda asked: text(csv_of(DAYS))) as service:
        source("stooq", service.url, tmp_path).load(AAPL, SPAN)
        source("stooq", service.url, tmp_path).load(AAPL, SPAN)
        assert len(service.asked) == 1
        source("stooq", service.url, tmp_path, fresh_s=0.0).load(AAPL, SPAN)
        assert len(service.asked) == 2


# ── Tiingo ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def tiingo_prices(dates, splits=(), dividends=()):
    return [
        {
            "date": f"{day}T00:00:00.000Z",
            "close": row[3] * 2, "high": row[1] * 2, "low": row[2] * 2, "open": row[0] * 2, "volume": row[4],
            "adjClose": row[3], "adjHigh": row[1], "adjLow": row[2], "adjOpen": row[0], "adjVolume": row[4],
            "divCash": dict(dividends).get(day, 0.0), "splitFactor": dict(splits).get(day, 1.0),
        }
        for day, row in zip(dates, prices(len(dates)), strict=True)
    ]  # fmt: skip


def tiingo_meta(first="1980-12-12", last="2024-01-09"):
    return {
        "ticker": "AAPL",
        "name": "Apple Inc",
        "exchangeCode": "NASDAQ",
        "startDate": first,
        "endDate": last,
        "description": "",
    }


def tiingo(tmp_path, dates=DAYS, *, meta=None, answer=None, spec=AAPL, span=SPAN, splits=(), dividends=(), **more):
    def said(asked):
        if answer is not None:
            return answer
        return reply(
            tiingo_prices(dates, splits, dividends) if asked.path.endswith("/prices") else meta or tiingo_meta()
        )

    with serving(said) as service:
        return source("tiingo", service.url, tmp_path, **more).load(spec, span), service


def test_tiingo_gives_adjusted_bars_and_tells_splits_and_dividends(tmp_path):
    bars, service = tiingo(tmp_path, splits=[("2023-11-06", 4.0)], dividends=[("2023-11-10", 0.24)])

    assert bars.close[-1] == prices(len(DAYS))[-1][3]  # adjClose, not close
    assert bars.provenance.adjusted == "splits and dividends"
    assert bars.provenance.splits == (Split("2023-11-06", 4.0),)
    assert bars.provenance.dividends == (Dividend("2023-11-10", 0.24),)
    assert service.paths == ["/tiingo/daily/AAPL", "/tiingo/daily/AAPL/prices"]
    assert {asked.headers["authorization"] for asked in service.asked} == {f"Token {KEY}"}
    assert KEY not in str(bars.provenance)
    assert "1 split in the span: 2023-11-06 (4:1)" in bars.notes


def test_a_stock_that_was_listed_later_is_no_truncation(tmp_path):
    bars, _ = tiingo(tmp_path, DAYS[20:], meta=tiingo_meta(first=DAYS[20]))

    assert f"bars begin on {DAYS[20]}: it was listed on {DAYS[20]}" in bars.notes


def test_a_beginning_that_was_cut_off_is_a_truncation(tmp_path):
    with pytest.raises(Truncated, match="but it was listed on 1980-12-12"):
        tiingo(tmp_path, DAYS[20:])


def test_a_delisted_stock_ends_where_it_ended(tmp_path):
    last = days(last="2023-11-15")
    bars, _ = tiingo(tmp_path, last, meta=tiingo_meta(last="2023-11-15"))

    assert bars.provenance.delisted == "2023-11-15"
    assert "DELISTED: trading ended on 2023-11-15" in bars.notes


def test_a_delisted_stock_can_be_truncated_too(tmp_path):
    with pytest.raises(Truncated, match="bars end on 2023-11-14, 1 sessions before 2023-11-15"):
        tiingo(tmp_path, days(last="2023-11-14"), meta=tiingo_meta(last="2023-11-15"))


@pytest.mark.parametrize("status", [401, 403])
def test_tiingos_refusal_of_a_key_names_the_variable_and_not_the_key(tmp_path, status):
    with pytest.raises(Forbidden, match="tiingo refuses the key in TIINGO_API_KEY") as caught:
        tiingo(tmp_path, answer=reply({"detail": f"Invalid token {KEY}."}, status))
    assert KEY not in caught.value.message


def test_tiingos_unknown_symbol(tmp_path):
    with pytest.raises(UnknownSymbol, match="tiingo knows no symbol 'AAPL'"):
        tiingo(tmp_path, answer=reply({"detail": "Not found."}, 404))


def test_tiingos_used_up_allowance_may_come_with_status_200(tmp_path):
    said = {"detail": "Error: You have run over your hourly request allocation. Then upgrade at ..."}
    with pytest.raises(RateLimited, match="allowance is used up"):
        tiingo(tmp_path, answer=reply(said))


def test_tiingos_html_page_is_named(tmp_path):
    with pytest.raises(BadAnswer, match="an HTML page"):
        tiingo(tmp_path, answer=Reply(HTML, 200, "text/html"))


def test_a_missing_price_is_never_filled(tmp_path):
    items = tiingo_prices(DAYS)
    items[3]["adjClose"] = None

    def said(asked):
        return reply(items if asked.path.endswith("/prices") else tiingo_meta())

    with serving(said) as service, pytest.raises(BadAnswer, match="'adjClose' is None"):
        source("tiingo", service.url, tmp_path).load(AAPL, SPAN)


def test_tiingo_serves_no_crypto_here(tmp_path):
    with pytest.raises(InvalidRequest, match="tiingo serves us_equity here, and BTCUSDT is crypto"):
        tiingo(tmp_path, spec=BarSpec("BTCUSDT", "1d"))


def test_tiingo_waits_when_told_to(tmp_path):
    left = [reply({"detail": "slow"}, 429, headers={"Retry-After": "30"})]

    def said(asked):
        return left.pop() if left else reply(tiingo_prices(DAYS) if asked.path.endswith("/prices") else tiingo_meta())

    told = []
    with serving(said) as service:
        source("tiingo", service.url, tmp_path, told=told).load(AAPL, SPAN)
    assert told[0].startswith("waiting 30 s: tiingo refuses more requests")


def test_progress_ends_at_one(tmp_path):
    heard = []
    with serving(
        lambda asked: reply(tiingo_prices(DAYS) if asked.path.endswith("/prices") else tiingo_meta())
    ) as service:
        source("tiingo", service.url, tmp_path).load(AAPL, SPAN, lambda bars, share: heard.append((bars, share)))
    assert heard == [(0, 0.0), (len(DAYS), 1.0)]
