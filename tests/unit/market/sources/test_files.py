"""Every way a user's file can be wrong is one sentence with file, row and column; what is right comes through unchanged."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest, TooLarge
from evolve.market.sources import files
from evolve.market.sources.base import BarSpec
from evolve.market.sources.files import import_file, read_file
from evolve.market.store import BarStore

GOOD = """Date,Open,High,Low,Close,Volume
2024-01-02,10,12,9,11,100
2024-01-03,11,13,10,12,200
2024-01-04,12,14,11,13,300
"""


def read(tmp_path, text, *, symbol="ACME", timeframe=None, name="prices.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_file(path, symbol, timeframe, **options)


def refused(tmp_path, text, **options):
    with pytest.raises(InvalidRequest) as caught:
        read(tmp_path, text, **options)
    assert "prices.csv" in caught.value.message
    return caught.value


def dates_of(bars):
    return [bars.date(bar) for bar in range(len(bars))]


def intraday(*stamps, values=",10,12,9,11,100"):
    return "time,open,high,low,close,volume\n" + "".join(f"{stamp}{values}\n" for stamp in stamps)


# What is right


def test_a_plain_csv_comes_through_unchanged(tmp_path):
    bars = read(tmp_path, GOOD)

    assert (bars.symbol, bars.timeframe, bars.simulated) == ("ACME", "1d", False)
    assert dates_of(bars) == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert bars.open.tolist() == [10, 11, 12]
    assert bars.high.tolist() == [12, 13, 14]
    assert bars.low.tolist() == [9, 10, 11]
    assert bars.close.tolist() == [11, 12, 13]
    assert bars.volume.tolist() == [100, 200, 300]
    assert bars.bars_per_year == 252
    assert bars.notes == ()


@pytest.mark.parametrize(
    "header",
    [
        "DATE,OPEN,HIGH,LOW,CLOSE,VOLUME",
        "timestamp, Open , high,low,close,Vol",
        "DateTime,open,high,low,close,volume",
        "Open Time,open,high,low,close,volume",
    ],
)
def test_columns_are_found_whatever_their_case(tmp_path, header):
    assert read(tmp_path, GOOD.replace("Date,Open,High,Low,Close,Volume", header)).close.tolist() == [11, 12, 13]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_read(tmp_path, delimiter):
    assert read(tmp_path, GOOD.replace(",", delimiter)).close.tolist() == [11, 12, 13]


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_do_no_harm(tmp_path):
    text = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    assert read(tmp_path, text).close.tolist() == [11, 12, 13]


def test_an_adjusted_close_scales_prices_and_keeps_the_money_traded(tmp_path):
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,10,12,8,10,5,100\n2024-01-03,6,7,5,6,6,100\n"

    bars = read(tmp_path, text)

    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]) == (5, 6, 4, 5, 200)
    assert bars.close[1] == 6
    assert any("adjusted" in note for note in bars.notes)


def test_prices_that_halve_overnight_without_an_adjusted_close_are_called_a_likely_split(tmp_path):
    halved = GOOD + "2024-01-05,6.55,7,6,6.5,600\n"

    bars = read(tmp_path, halved)

    assert [note for note in bars.notes if "split" in note] == [
        "2024-01-05 looks like an unadjusted 2:1 split; import adjusted prices, or add an adj_close column"
    ]
    assert not any("split" in note for note in read(tmp_path, GOOD).notes)


def test_one_close_far_from_both_its_neighbours_is_called_a_bad_tick(tmp_path):
    rows = [
        f"2024-01-{day:02d},{price},{price},{price},{price},100"
        for day, price in enumerate([10, 10.1, 1010, 10.2, 30.6, 30.5], 2)
    ]

    found = read(tmp_path, "\n".join(["Date,Open,High,Low,Close,Volume", *rows]) + "\n")

    assert [note for note in found.notes if "bad tick" in note] == [
        "BAD DATA: 2024-01-04 closes at 1010 between 10.1 and 10.2: a bad tick? correct the row, or every figure rests on it"
    ]  # the rise to 30.6 stayed: that is news, or a split


def test_a_file_without_volume_has_unknown_volume_and_says_so(tmp_path):
    bars = read(tmp_path, "Date,Open,High,Low,Close\n2024-01-02,1,1,1,1\n2024-01-03,1,1,1,1\n")

    assert np.isnan(bars.volume).all()
    assert any("no volume" in note for note in bars.notes)


def test_rows_out_of_order_are_sorted_and_said_so(tmp_path):
    header, *rows = GOOD.splitlines()

    bars = read(tmp_path, "\n".join([header, *reversed(rows)]))

    assert bars.close.tolist() == [11, 12, 13]
    assert any("sorted" in note for note in bars.notes)


@pytest.mark.parametrize(
    ("stamps", "timeframe"),
    [
        (["2024-01-02T15:00Z", "2024-01-02T15:01Z"], "1m"),
        (["2024-01-02T15:00Z", "2024-01-02T15:30Z"], "30m"),
        (["2024-01-02T15:00Z", "2024-01-02T16:00Z", "2024-01-03T15:00Z", "2024-01-03T16:00Z"], "1h"),
        (["2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"], "1d"),
        (["2024-01-01", "2024-01-08", "2024-01-15"], "1w"),
    ],
)
def test_the_timeframe_is_the_median_step(tmp_path, stamps, timeframe):
    assert read(tmp_path, intraday(*stamps)).timeframe == timeframe


def test_a_single_bar_needs_its_timeframe_named(tmp_path):
    assert "one bar" in refused(tmp_path, intraday("2024-01-02")).message
    assert len(read(tmp_path, intraday("2024-01-02"), timeframe="1d")) == 1


# Times


@pytest.mark.parametrize(
    "stamps",
    [
        ("2024-01-02T15:00:00Z", "2024-01-02T16:00:00Z"),
        ("2024-01-02 15:00:00+00:00", "2024-01-02 16:00:00+00:00"),
        ("2024-01-02T10:00:00-05:00", "2024-01-02T11:00:00-05:00"),
        ("2024-01-02 15:00:00 UTC", "2024-01-02 16:00:00 UTC"),
        ("2024/01/02 15:00", "2024/01/02 16:00"),
        ("20240102T150000", "20240102T160000"),
        ("1704207600", "1704211200"),
        ("1704207600.0", "1704211200.0"),
        ("1704207600000", "1704211200000"),
        ("1704207600000000", "1704211200000000"),
        ("1704207600000000000", "1704211200000000000"),
    ],
)
def test_the_same_moments_are_read_from_every_way_of_writing_them(tmp_path, stamps):
    assert dates_of(read(tmp_path, intraday(*stamps))) == ["2024-01-02T15:00Z", "2024-01-02T16:00Z"]


def test_a_date_and_a_time_column_are_read_together(tmp_path):
    text = "Date,Time,Open,High,Low,Close\n2024-01-02,15:00,1,1,1,1\n2024-01-02,16:00,1,1,1,1\n"
    assert dates_of(read(tmp_path, text)) == ["2024-01-02T15:00Z", "2024-01-02T16:00Z"]


def test_mixed_offsets_are_converted_each_by_its_own(tmp_path):
    """New York's clocks went from −05:00 to −04:00 between these two bars; the files of brokers look like this."""
    bars = read(tmp_path, intraday("2024-03-10T01:00:00-05:00", "2024-03-10T03:00:00-04:00"), symbol="BTCUSDT")
    assert dates_of(bars) == ["2024-03-10T06:00Z", "2024-03-10T07:00Z"]


def test_equal_moments_in_different_zones_are_duplicates(tmp_path):
    error = refused(tmp_path, intraday("2024-01-02T15:00:00Z", "2024-01-02T16:00:00Z", "2024-01-02T10:00:00-05:00"))
    assert (error.details["row"], error.details["column"]) == (4, "time")
    assert "already, in line 2" in error.message


def test_times_with_and_without_a_zone_are_refused(tmp_path):
    error = refused(tmp_path, intraday("2024-01-02T15:00:00Z", "2024-01-02T16:00:00"))
    assert error.details["row"] == 3
    assert "some times carry a zone" in error.message


def test_a_zone_that_appears_only_in_a_later_chunk_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CHUNK_ROWS", 2)
    error = refused(
        tmp_path, intraday("2024-01-02T15:00", "2024-01-02T16:00", "2024-01-02T17:00Z", "2024-01-02T18:00Z")
    )
    assert error.details["row"] == 4


def test_times_without_a_zone_are_read_as_utc_and_said_so(tmp_path):
    bars = read(tmp_path, intraday("2024-01-02 15:00", "2024-01-02 16:00"))
    assert dates_of(bars)[0] == "2024-01-02T15:00Z"
    assert any("read as UTC" in note for note in bars.notes)


def test_daily_bars_keep_the_date_that_is_written(tmp_path):
    """Midnight in Berlin is the day before in UTC; the bar is still that of its own day."""
    bars = read(tmp_path, intraday("2024-07-01T00:00:00+02:00", "2024-07-02T00:00:00+02:00"))
    assert dates_of(bars) == ["2024-07-01", "2024-07-02"]
    assert bars.time[0] == 1000 * int(datetime(2024, 7, 1, tzinfo=UTC).timestamp())


def test_two_daily_bars_of_one_date_are_duplicates(tmp_path):
    error = refused(
        tmp_path, intraday("2024-01-02T00:00Z", "2024-01-03T00:00Z", "2024-01-04T00:00Z", "2024-01-04T12:00Z")
    )
    assert error.details["row"] == 5


def test_a_bar_of_the_future_is_refused(tmp_path):
    now = FrozenClock(datetime(2024, 1, 2, 12, tzinfo=UTC).timestamp())

    assert "lies in the future" in refused(tmp_path, GOOD, clock=now).message
    now.advance(86_400)
    assert len(read(tmp_path, GOOD, clock=now)) == 3


# What is wrong


@pytest.mark.parametrize(
    ("cell", "line", "column", "what"),
    [
        ("abc", 3, "High", "'abc' is not a number"),
        ("$13", 3, "High", "is not a number"),
        ("", 3, "High", "is empty"),
        ("nan", 3, "High", "is no value"),
        ("inf", 3, "High", "is no value"),
        ("0", 3, "High", "0 is not a price"),
        ("-13", 3, "High", "-13 is not a price"),
        ("11.5", 3, "High", "is below the row's open, low or close"),
    ],
)
def test_a_wrong_price_is_named_by_row_and_column(tmp_path, cell, line, column, what):
    error = refused(tmp_path, GOOD.replace("11,13,10,12", f"11,{cell},10,12"))

    assert f"line {line}, column {column!r}" in error.message
    assert what in error.message
    assert (error.details["row"], error.details["column"]) == (line, column)


def test_a_low_above_the_close_is_named(tmp_path):
    assert "line 3, column 'Low'" in refused(tmp_path, GOOD.replace("11,13,10,12", "12.5,13,12.2,12")).message


@pytest.mark.parametrize("cell", ["2024-13-01", "03/01/2024", "yesterday", "", "12", "2024-02-30"])
def test_a_date_that_cannot_be_read_is_named(tmp_path, cell):
    error = refused(tmp_path, GOOD.replace("2024-01-03", cell))

    assert "line 3, column 'Date'" in error.message
    assert "is empty" in error.message or "YYYY-MM-DD" in error.message


def test_a_date_before_1900_is_named(tmp_path):
    assert (
        "line 3, column 'Date': lies before 1900" in refused(tmp_path, GOOD.replace("2024-01-03", "0024-01-03")).message
    )


def test_a_negative_or_missing_volume_is_named(tmp_path):
    assert "line 3, column 'Volume': -200 is negative" in refused(tmp_path, GOOD.replace(",200", ",-200")).message
    assert "line 3, column 'Volume': is empty" in refused(tmp_path, GOOD.replace(",200", ",")).message


def test_a_duplicate_stamp_names_both_lines(tmp_path):
    message = refused(tmp_path, GOOD.replace("2024-01-04", "2024-01-02")).message
    assert "line 4, column 'Date'" in message
    assert "in line 2" in message


def test_lines_are_counted_as_an_editor_does(tmp_path):
    """A blank line and a quoted line break both move later rows down."""
    text = 'Date,Open,High,Low,Close,Comment\n\n2024-01-02,1,1,1,1,"two\nlines"\n2024-01-03,1,1,1,x,\n'
    assert refused(tmp_path, text).details["row"] == 5


def test_the_first_wrong_row_is_found_beyond_the_first_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CHUNK_ROWS", 2)
    assert refused(tmp_path, GOOD.replace("12,14,11,13", "12,14,11,x")).details["row"] == 4


def test_chunks_join_to_the_same_bars(tmp_path, monkeypatch):
    whole = read(tmp_path, GOOD).fingerprint
    monkeypatch.setattr(files, "CHUNK_ROWS", 2)
    assert read(tmp_path, GOOD).fingerprint == whole


def test_a_row_of_another_width_is_named(tmp_path):
    assert "line 3: 5 columns where the header has 6" in refused(tmp_path, GOOD.replace("12,200", "12")).message


@pytest.mark.parametrize(("column", "word"), [("Close", "'close'"), ("Date", "time column"), ("High", "'high'")])
def test_a_missing_column_is_named_beside_those_there_are(tmp_path, column, word):
    message = refused(tmp_path, GOOD.replace(column, "Whatever")).message
    assert word in message
    assert "Whatever" in message


def test_a_column_that_stands_twice_is_refused(tmp_path):
    assert "'Close' and 'close'" in refused(tmp_path, GOOD.replace("Volume", "close")).message


def test_a_file_without_a_header_is_told_so(tmp_path):
    assert "line 1 holds numbers where a header should be" in refused(tmp_path, GOOD.split("\n", 1)[1]).message


def test_several_symbols_in_one_file_are_refused(tmp_path):
    text = "Ticker,Date,Open,High,Low,Close\nAAPL,2024-01-02,1,1,1,1\nMSFT,2024-01-02,1,1,1,1\n"
    assert "holds 2 symbols (AAPL, MSFT)" in refused(tmp_path, text).message


def test_a_file_that_names_another_symbol_is_imported_with_a_note(tmp_path):
    text = "Ticker,Date,Open,High,Low,Close\nAAPL.US,2024-01-02,1,1,1,1\nAAPL.US,2024-01-03,1,1,1,1\n"
    assert any("says AAPL.US; imported as ACME" in note for note in read(tmp_path, text).notes)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"Date,Open,High,Low,Close,Volume\n", "no bars"),
        ("Date,Open\n2024-01-02,é\n".encode("latin-1"), "neither UTF-8 text nor Parquet"),
        (b"\x1f\x8b\x08\x00\x00\xff\xfe", "neither UTF-8 text nor Parquet"),
        (b"PAR1 but no more", "damaged Parquet"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, what):
    assert what in refused(tmp_path, content).message


def test_a_missing_file_a_directory_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in (
        (tmp_path / "none.csv", "no such file"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "no ordinary file"),
    ):
        with pytest.raises(InvalidRequest, match=what):
            read_file(path, "ACME")


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real.csv").write_text(GOOD)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert len(read_file(tmp_path / "link.csv", "ACME")) == 3


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)  # sparse: takes no space
    with pytest.raises(TooLarge, match=r"more than 512 MB"):
        read_file(tmp_path / "large.csv", "ACME")


def test_too_many_bars_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BARS", 2)
    with pytest.raises(TooLarge, match="more than 2 bars"):
        read(tmp_path, GOOD)


def test_a_step_that_is_no_timeframe_is_refused(tmp_path):
    message = refused(tmp_path, intraday("2024-01-01", "2024-02-01", "2024-03-01")).message
    assert "30 days apart" in message
    assert "1w" in message


def test_a_named_timeframe_must_agree_with_the_step(tmp_path):
    assert "they are 1d bars, not 1h" in refused(tmp_path, GOOD, timeframe="1h").message


def test_what_cannot_be_a_symbol_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="is not a symbol"):
        read(tmp_path, GOOD, symbol="../../etc")


@settings(max_examples=150, deadline=None)
@given(
    good=st.sampled_from([b"", b"date,open,high,low,close\n2024-01-02,1,1,1,1\n"]),
    content=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='Dateopnhiglwcs,;"\n\r-:.0123456789TZ\x00é', max_size=200).map(str.encode),
    ),
)
def test_no_file_however_broken_raises_anything_but_a_typed_error(tmp_path_factory, good, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(good + content)
    refusal = refusal_of(path)
    assert refusal is None or "fuzz.csv" in refusal


def refusal_of(path):
    try:
        read_file(path, "ACME")
    except InvalidRequest as error:
        return error.message
    return None


# What should be known


def test_weekend_bars_of_a_stock_are_pointed_out(tmp_path):
    notes = read(tmp_path, intraday("2024-01-05", "2024-01-06", "2024-01-07")).notes
    assert any("bars fall on weekends or holidays of us_equity" in note for note in notes)
    assert not any(
        "weekends" in note for note in read(tmp_path, intraday("2024-01-05", "2024-01-06"), symbol="BTCUSDT").notes
    )


def test_far_more_bars_a_year_than_the_venue_has_are_pointed_out(tmp_path):
    days = [str(np.datetime64("2023-01-01") + np.timedelta64(n, "D")) for n in range(365)]
    assert any("365 bars a year where us_equity has 252" in note for note in read(tmp_path, intraday(*days)).notes)
    assert not any("bars a year" in note for note in read(tmp_path, intraday(*days), symbol="BTCUSDT").notes)


# Parquet


def frame(index, **changed):
    columns = {
        "Open": [10.0, 11, 12],
        "High": [12.0, 13, 14],
        "Low": [9.0, 10, 11],
        "Close": [11.0, 12, 13],
        "Volume": [100, 200, 300],
    }
    return pd.DataFrame({**columns, **changed}, index=pd.Index(index, name="Date"))


def parquet(tmp_path, table, **options):
    path = tmp_path / "prices.parquet"
    table.to_parquet(path)
    return read_file(path, "ACME", **options)


DATES = ["2024-01-02", "2024-01-03", "2024-01-04"]


@pytest.mark.parametrize(
    "index",
    [
        DATES,
        pd.to_datetime(DATES),
        pd.to_datetime(DATES).tz_localize("America/New_York"),
        pd.to_datetime(DATES).tz_localize("Europe/Berlin"),
        [date.fromisoformat(text) for text in DATES],
        [1704153600, 1704240000, 1704326400],
    ],
    ids=["text", "naive", "new-york", "berlin", "date", "epoch"],
)
def test_a_parquet_file_gives_the_bars_of_the_csv(tmp_path, index):
    assert parquet(tmp_path, frame(index)).fingerprint == read(tmp_path, GOOD).fingerprint


def test_intraday_parquet_times_are_converted_to_utc(tmp_path):
    index = pd.to_datetime(["2024-01-02 10:00", "2024-01-02 11:00", "2024-01-02 12:00"]).tz_localize("America/New_York")
    assert dates_of(parquet(tmp_path, frame(index)))[0] == "2024-01-02T15:00Z"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"Close": [11.0, None, 13.0]}, "record 2, column 'Close': nan is no value"),
        ({"Close": ["11", "x", "13"]}, "record 2, column 'Close': 'x' is not a number"),
        ({"Low": [9.0, 10.0, 0.0]}, "record 3, column 'Low': 0 is not a price"),
    ],
)
def test_a_wrong_cell_of_a_parquet_file_is_named(tmp_path, changed, what):
    with pytest.raises(InvalidRequest, match=what):
        parquet(tmp_path, frame(DATES, **changed))


def test_a_missing_time_in_a_parquet_file_is_named(tmp_path):
    with pytest.raises(InvalidRequest, match="record 2, column 'Date': is empty"):
        parquet(tmp_path, frame(pd.to_datetime(["2024-01-02", None, "2024-01-04"])))


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="no bars"):
        parquet(tmp_path, frame(DATES).iloc[:0])


# Importing


def test_an_imported_file_can_be_loaded_again(tmp_path):
    (tmp_path / "prices.csv").write_text(GOOD)
    store = BarStore(tmp_path / "home")

    bars = import_file(tmp_path / "prices.csv", "acme", store=store)

    assert store.load(BarSpec("ACME", "1d")).fingerprint == bars.fingerprint
    assert bars.source == "imported from prices.csv"


def test_importing_again_replaces_and_says_so(tmp_path):
    path = tmp_path / "prices.csv"
    store = BarStore(tmp_path / "home")
    path.write_text(GOOD)
    import_file(path, "ACME", store=store)
    path.write_text(GOOD + "2024-01-05,13,15,12,14,400\n")

    bars = import_file(path, "ACME", store=store)

    assert any("replaces" in note and "3 bars, 2024-01-02 to 2024-01-04" in note for note in bars.notes)
    assert len(store.load(BarSpec("ACME", "1d"))) == 4


def test_a_refused_file_leaves_the_earlier_import_alone(tmp_path):
    path = tmp_path / "prices.csv"
    store = BarStore(tmp_path / "home")
    path.write_text(GOOD)
    import_file(path, "ACME", store=store)
    path.write_text(GOOD.replace("12,14,11,13", "12,14,11,x"))

    with pytest.raises(InvalidRequest):
        import_file(path, "ACME", store=store)

    assert len(store.load(BarSpec("ACME", "1d"))) == 3


def test_importing_loads_no_pandas(tmp_path):
    (tmp_path / "prices.csv").write_text(GOOD)
    frame(pd.to_datetime(DATES).tz_localize("America/New_York")).to_parquet(tmp_path / "prices.parquet")
    code = (
        "import sys; from pathlib import Path; from evolve.market.sources.files import import_file; "
        "from evolve.market.sources.base import BarSpec; from evolve.market.store import BarStore; "
        "home = Path(sys.argv[1]); store = BarStore(home); "
        "[import_file(home / name, 'ACME', store=store) for name in ('prices.csv', 'prices.parquet')]; "
        "store.load(BarSpec('ACME', '1d')); print('pandas' in sys.modules)"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout

    assert shown.strip() == "False"


def test_the_home_shortcut_is_expanded(tmp_path, monkeypatch):
    (tmp_path / "prices.csv").write_text(GOOD)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read_file(Path("~/prices.csv"), "ACME")) == 3
