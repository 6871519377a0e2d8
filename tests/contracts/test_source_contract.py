"""What every source of bars keeps, near or far: one suite over files, sample, store, simulated bars and the services."""

import csv

import numpy as np
import pytest

from data_services import Reply, days, prices, reply, serving, source
from evolve.errors import DataUnavailable
from evolve.market.bars import FIELDS
from evolve.market.sources.base import BarSpec, Span
from evolve.market.sources.files import FileSource
from evolve.market.sources.sample import SampleSource
from evolve.market.sources.simulated import SimulatedSource
from evolve.market.store import BarStore

DAYS = days()
WHOLE, PART = Span.of_days("2023-10-01", "2024-01-09"), Span.of_days("2023-11-01", "2023-11-30")
ROWS = [[day, *row] for day, row in zip(DAYS, prices(len(DAYS)), strict=True)]


def stooq(asked):
    inside = [row for row in ROWS if asked.query["d1"] <= row[0].replace("-", "") <= asked.query["d2"]]
    lines = ["Date,Open,High,Low,Close,Volume", *(",".join(map(str, row)) for row in inside)]
    return Reply("\n".join(lines).encode(), content_type="text/csv")


def tiingo(asked):
    if not asked.path.endswith("/prices"):
        return reply({"startDate": "1980-12-12", "endDate": "2024-01-09"})
    names = ("adjOpen", "adjHigh", "adjLow", "adjClose", "adjVolume")
    inside = [row for row in ROWS if asked.query["startDate"] <= row[0] <= asked.query["endDate"]]
    return reply([{"date": row[0], **dict(zip(names, row[1:], strict=True))} for row in inside])


def alpaca(asked):
    if asked.path.startswith("/v1/"):
        return reply({"corporate_actions": {}, "next_page_token": None})
    inside = [row for row in ROWS if asked.query["start"][:10] <= row[0] <= asked.query["end"][:10]]
    items = [{"t": f"{row[0]}T05:00:00Z", **dict(zip("ohlcv", row[1:], strict=True))} for row in inside]
    return reply({"bars": {"AAPL": items}, "next_page_token": None})


def polygon(asked):
    if asked.path.startswith("/v3/reference/tickers/"):
        return reply({"status": "OK", "results": {"list_date": "1980-12-12"}})
    if asked.path.startswith("/v3/"):
        return reply({"status": "OK", "results": []})
    first, last = asked.path.split("/")[-2:]
    inside = [row for row in ROWS if first <= row[0] <= last]
    items = [
        {"t": Span.of_days(row[0], row[0]).start + 5 * 3_600_000, **dict(zip("ohlcv", row[1:], strict=True))}
        for row in inside
    ]
    return reply({"status": "OK", "resultsCount": len(items), "results": items})


@pytest.fixture(params=["sample", "simulated", "file", "store", "stooq", "tiingo", "alpaca", "polygon"])
def offered(request, tmp_path):
    """A source, what to ask it for, and a span that it covers and one inside."""
    spec = BarSpec("AAPL", "1d")
    spans = {
        "sample": (Span.of_days("2010-01-04", "2012-12-31"), Span.of_days("2011-03-01", "2011-03-31")),
        "simulated": (Span.of_days("2018-01-02", "2020-12-31"), Span.of_days("2019-03-01", "2019-03-29")),
    }.get(request.param, (WHOLE, PART))
    path = tmp_path / "bars.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["date", "open", "high", "low", "close", "volume"], *ROWS])
    if request.param in ("stooq", "tiingo", "alpaca", "polygon"):
        with serving(globals()[request.param]) as service:
            yield source(request.param, service.url, tmp_path), spec, *spans
        return
    store = BarStore(tmp_path)
    store.save(FileSource(path).load(spec))
    near = {"sample": SampleSource(), "simulated": SimulatedSource(), "file": FileSource(path), "store": store}
    yield near[request.param], spec, *spans


def test_bars_are_those_of_the_span_and_nothing_else(offered):
    found, spec, whole, part = offered
    bars, inside = found.load(spec, whole), found.load(spec, part)

    assert (bars.symbol, bars.timeframe) == (spec.symbol, spec.timeframe)
    assert part.start <= inside.time[0]
    assert inside.time[-1] < part.end
    at = np.searchsorted(bars.time, [part.start, part.end])
    for name in ("time", *FIELDS):
        np.testing.assert_array_equal(getattr(inside, name), getattr(bars, name)[at[0] : at[1]])


def test_asking_twice_gives_the_same(offered):
    found, spec, whole, _ = offered
    assert found.load(spec, whole).fingerprint == found.load(spec, whole).fingerprint


def test_a_bar_is_known_after_it_began_and_before_the_next_one(offered):
    found, spec, whole, _ = offered
    bars = found.load(spec, whole)

    assert np.all(bars.available_at > bars.time)
    assert np.all(bars.available_at[:-1] < bars.time[1:] + 86_400_000)
    assert np.all(np.diff(bars.available_at) > 0)


def test_a_span_without_bars_is_unavailable(offered):
    found, spec, _, _ = offered
    with pytest.raises(DataUnavailable):
        found.load(spec, Span.of_days("2024-01-06", "2024-01-07"))  # a weekend


def test_a_source_has_a_name(offered):
    assert offered[0].name
