"""What is in the user's file? Bars from a CSV or Parquet file, or one sentence that says which cell is wrong and what to do.

Columns are found by name, whatever their case: a time (date, time, timestamp, datetime, or date and time apart), open, high,
low, close, optionally volume and adjusted close. Nothing is repaired silently: rows out of order are sorted and `notes` say
so, anything else that is wrong is an InvalidRequest naming file, row and column.
"""

from __future__ import annotations

import csv
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, TooLarge
from evolve.market import arrow, quality
from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.calendar import bars_per_year
from evolve.market.resample import Columns
from evolve.market.sessions import DAY_MS
from evolve.market.sources import adjust
from evolve.market.sources.base import BarSpec, Progress, Span, unheard, within
from evolve.market.store import BarStore
from evolve.market.types import TIMEFRAME_SECONDS, TIMEFRAMES, Timeframe, parse_symbol

MAX_FILE_BYTES = 512 << 20  # ten years of one-minute crypto bars as CSV are about 350 MB
MAX_BARS = 10_000_000  # 480 MB as arrays; twenty years of one-minute crypto bars
CHUNK_ROWS = 65_536  # text becomes numbers this many rows at a time, which keeps memory near that of the arrays
EARLIEST_YEAR = 1900  # no exchange's bars are older; a smaller year is a misread date

_TIME_NAMES = ("datetime", "timestamp", "date", "time", "opentime", "unix")  # the first that is there is taken
_PRICE_NAMES = ("open", "high", "low", "close")
_OTHER_NAMES = {"volume": ("volume", "vol"), "adjusted": ("adjclose", "adjustedclose", "closeadj")}
_SYMBOL_NAMES = ("symbol", "ticker")
_DELIMITERS = ",;\t|"
_STEP_TOLERANCE = (
    0.1  # of a bar's length: the median step of real files is exact, that of a monthly file 4 weeks and more
)


def import_file(
    path: Path,
    symbol: str,
    timeframe: Timeframe | None = None,
    *,
    store: BarStore,
    currency: str = "USD",
    clock: Clock = SYSTEM_CLOCK,
) -> Bars:
    """Read `path` (see `read_file`) and keep it in `store` as `symbol`; `notes` of the result say what it replaced."""
    bars = read_file(path, symbol, timeframe, currency=currency, clock=clock)
    replaced = store.save(bars)
    if replaced is None:
        return bars
    before = f"{replaced.bars:,} bars, {replaced.first} to {replaced.last}" if replaced.bars else "damaged"
    return with_fields(
        bars, notes=(*bars.notes, f"replaces the {bars.timeframe} bars of {bars.symbol} imported before ({before})")
    )


@dataclass(frozen=True, slots=True)
class FileSource:
    """The bars in one CSV or Parquet file, whatever symbol they are asked for by."""

    path: Path
    currency: str = "USD"

    @property
    def name(self) -> str:
        return f"file {self.path.name}"

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """See `read_file` for what it raises."""
        return within(read_file(self.path, spec.symbol, spec.timeframe, currency=self.currency), span)


def read_file(
    path: Path, symbol: str, timeframe: Timeframe | None = None, *, currency: str = "USD", clock: Clock = SYSTEM_CLOCK
) -> Bars:
    """The bars in a CSV (UTF-8; comma, semicolon, tab or bar) or Parquet file, oldest first.

    timeframe: None infers it from the median step; given, it must agree with that step. Stamps with an offset are converted to
    UTC, stamps without one are read as UTC (noted); daily and weekly bars keep the date that is written. With an adjusted-close
    column, prices and volume are adjusted by it. Raises InvalidRequest naming file, row (line of a CSV, record of a Parquet
    file) and column, and TooLarge beyond MAX_FILE_BYTES or MAX_BARS.
    """
    path = Path(path).expanduser()
    try:
        symbol = parse_symbol(symbol)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    _check_file(path)
    try:
        table = _read_parquet(path) if _is_parquet(path) else _read_csv(path)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror or error}", file=str(path)) from None
    return _bars(table, path, symbol, timeframe, currency=currency, now_ms=int(clock.now() * 1000))


@dataclass(slots=True)
class _Table:
    """A file's columns as numbers, in file order. row: where each bar stands in the file, as the user's editor counts."""

    row_word: str  # "line" of a CSV, "record" of a Parquet file
    row: NDArray[np.int64]
    time: Stamps  # ms UTC
    day: Stamps  # ms, midnight of the date as written
    values: dict[str, Floats]  # by our name: open, high, low, close, volume, adjusted
    header: dict[str, str]  # our name → the file's name of the column
    naive_times: bool = False  # times of day without an offset
    symbols: set[str] = field(default_factory=set)


def _bars(table: _Table, path: Path, symbol: str, timeframe: Timeframe | None, *, currency: str, now_ms: int) -> Bars:
    """Everything that concerns the file as a whole: order, duplicates, timeframe, impossible bars, adjustment."""
    notes: list[str] = []
    _check_symbols(table, path, symbol, notes)
    order = np.argsort(table.time, kind="stable")
    if np.any(np.diff(order) < 0):
        notes.append("rows were not in order of time and have been sorted")
    _check_duplicates(table.time[order], table, order, path)
    timeframe = _timeframe(table.time[order], path, timeframe)
    if TIMEFRAME_SECONDS[timeframe] >= 86_400:
        # A session's bar carries its date; converted to UTC, 00:00 in New York or Berlin could become another day.
        order = np.argsort(table.day, kind="stable")
        time = table.day[order]
        _check_duplicates(time, table, order, path)
    else:
        time = table.time[order]
        if table.naive_times:
            notes.append("times without a zone were read as UTC")
    late = np.flatnonzero(time > now_ms + DAY_MS)  # a day's grace for zones ahead of UTC
    if late.size:
        _refuse(
            path,
            table,
            int(order[late[0]]),
            "time",
            f"{_iso(int(time[late[0]]))} lies in the future; check how the date is written",
        )

    _check_range(table, path)
    values = {name: column[order] for name, column in table.values.items()}
    volume = values.get("volume")
    if volume is None:
        notes.append("the file has no volume column; volume is unknown")
        volume = np.full(len(time), np.nan)
    columns = Columns(time, values["open"], values["high"], values["low"], values["close"], volume)
    if "adjusted" in values:
        columns = adjust.adjusted(columns, values["adjusted"])
        notes.append(adjust.NOTE)
    bars = Bars(
        symbol=symbol,
        timeframe=timeframe,
        time=columns.time,
        open=columns.open,
        high=columns.high,
        low=columns.low,
        close=columns.close,
        volume=columns.volume,
        source=f"imported from {path.name}",
        bars_per_year=bars_per_year(symbol, timeframe),
        currency=currency,
        notes=tuple(notes),
    )
    return with_fields(bars, notes=(*notes, *quality.examine(bars).notes()))


def _check_file(path: Path) -> None:
    try:
        about = path.stat()  # follows symbolic links
    except FileNotFoundError:
        _refuse_file(path, "there is no such file; check the path")
    except OSError as error:
        _refuse_file(path, f"cannot be opened ({error.strerror}); check its permissions")
    if stat.S_ISDIR(about.st_mode):
        _refuse_file(path, "is a directory; name one CSV or Parquet file in it")
    if not stat.S_ISREG(about.st_mode):
        _refuse_file(path, "is no ordinary file; save the bars to a CSV or Parquet file")
    if about.st_size == 0:
        _refuse_file(path, "is empty; it needs a header line and at least one bar")
    if about.st_size > MAX_FILE_BYTES:
        raise TooLarge(
            f"{path}: {about.st_size / 2**20:,.0f} MB, more than {MAX_FILE_BYTES >> 20} MB; import a shorter stretch or a longer timeframe",
            file=str(path),
        )
    if not os.access(path, os.R_OK):
        _refuse_file(path, "may not be read; check its permissions")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_csv(path: Path) -> _Table:
    # utf-8-sig: spreadsheets begin their files with a byte-order mark, which must not become part of the first name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return _read_rows(file, path)
        except UnicodeDecodeError as error:
            _refuse_file(
                path,
                f"is neither UTF-8 text nor Parquet (byte 0x{error.object[error.start]:02x}); save it as CSV in UTF-8",
            )
        except csv.Error as error:
            _refuse_file(path, f"is no CSV file ({error}); save it as CSV in UTF-8")


def _read_rows(file: TextIO, path: Path) -> _Table:
    first = file.readline()
    while first and not first.strip():
        first = file.readline()
    delimiter = max(_DELIMITERS, key=first.count)
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter)
    names = next((row for row in reader if any(cell.strip() for cell in row)), None)
    if names is None:
        _refuse_file(path, "is empty; it needs a header line and at least one bar")
    if any(_is_number(name) for name in names):
        _refuse_file(
            path,
            f"line {reader.line_num} holds numbers where a header should be; write a first line such as Date,Open,High,Low,Close,Volume",
        )
    places = _places(names, path)
    header = {ours: " and ".join(names[place].strip() for place in found) for ours, found in places.items()}

    chunks: list[_Table] = []
    bars = 0
    for rows, lines in _row_chunks(reader, len(names), path):
        cells = {ours: [row[found[0]] for row in rows] for ours, found in places.items()}
        if len(places["time"]) == 2:
            day, hour = places["time"]
            cells["time"] = [f"{row[day].strip()} {row[hour].strip()}" for row in rows]
        chunks.append(_numbers(cells, header, np.array(lines, dtype=np.int64), path, "line"))
        bars += len(rows)
        if bars > MAX_BARS:
            raise TooLarge(
                f"{path}: more than {MAX_BARS:,} bars; import a shorter stretch or a longer timeframe", file=str(path)
            )
    if not chunks:
        _refuse_file(path, "holds a header and no bars; export it again with rows")
    return _joined(chunks, path)


def _row_chunks(reader: Iterator[list[str]], width: int, path: Path) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Rows and their line numbers, CHUNK_ROWS at a time; blank lines are passed over."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        line: int = reader.line_num  # type: ignore[attr-defined]
        if len(row) != width:
            raise InvalidRequest(
                f"{path}, line {line}: {len(row)} columns where the header has {width}; quote cells that contain the delimiter, or complete the row",
                file=str(path),
                row=line,
                column=None,
            )
        rows.append(row)
        lines.append(line)
        if len(rows) == CHUNK_ROWS:
            yield rows, lines
            rows, lines = [], []
    if rows:
        yield rows, lines


def _numbers(
    cells: dict[str, list[str]], header: dict[str, str], rows: NDArray[np.int64], path: Path, word: str
) -> _Table:
    """Text to numbers; the first cell that is none is named."""
    table = _Table(word, rows, np.empty(0, np.int64), np.empty(0, np.int64), {}, header)
    for name in cells:
        if name == "symbol":
            table.symbols = {cell.strip() for cell in cells[name]}
        elif name != "time":
            table.values[name] = _floats(cells[name], table, name, path)
    _read_times(cells["time"], table, path)
    return table


def _floats(cells: Sequence[str], table: _Table, name: str, path: Path) -> Floats:
    try:
        numbers = np.array(list(map(float, cells)))
    except ValueError:
        index = next(index for index, cell in enumerate(cells) if not _is_number(cell))
        cell = cells[index].strip()
        what = (
            f"{cell!r} is not a number; write it with a decimal point and no currency or thousands signs"
            if cell
            else "is empty; fill it in or remove the row"
        )
        _refuse(path, table, index, name, what)
    _check_finite(numbers, table, name, path)
    return numbers


def _check_finite(numbers: Floats, table: _Table, name: str, path: Path) -> None:
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        _refuse(path, table, int(wrong[0]), name, f"{numbers[wrong[0]]} is no value; fill it in or remove the row")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_parquet(path: Path) -> _Table:
    import pyarrow as pa

    try:
        file = arrow.open_parquet(path)
        count = file.metadata.num_rows
        if count > MAX_BARS:
            raise TooLarge(
                f"{path}: {count:,} bars, more than {MAX_BARS:,}; import a shorter stretch or a longer timeframe",
                file=str(path),
            )
        names = list(file.schema_arrow.names)
        places = _places(names, path)
        content = arrow.rows_of(file, [names[place] for found in places.values() for place in found])
    except pa.ArrowException as error:
        _refuse_file(path, f"is a damaged Parquet file ({str(error).splitlines()[0][:80]}); export it again")
    if count == 0:
        _refuse_file(path, "holds columns and no bars; export it again with rows")
    header = {ours: " and ".join(names[place] for place in found) for ours, found in places.items()}
    rows = np.arange(1, count + 1, dtype=np.int64)
    table = _Table("record", rows, np.empty(0, np.int64), np.empty(0, np.int64), {}, header)
    for name, found in places.items():
        column = content.column(names[found[0]])
        kind = column.type
        if name == "symbol":
            table.symbols = set(_texts(column.unique()))
        elif name == "time" and len(found) == 2:
            days = column.cast(pa.date32()) if pa.types.is_timestamp(kind) else column
            hours = _texts(content.column(names[found[1]]))
            _read_times([f"{day} {hour}" for day, hour in zip(_texts(days), hours, strict=True)], table, path)
        elif name == "time" and pa.types.is_timestamp(kind):
            _read_arrow_times(column, table, path)
        elif name == "time":
            _read_times(_texts(column), table, path)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            table.values[name] = arrow.floats_of(column)
            _check_finite(table.values[name], table, name, path)
        else:
            table.values[name] = _floats(_texts(column), table, name, path)
    return table


def _read_arrow_times(column: Any, table: _Table, path: Path) -> None:
    """Timestamps: with a zone they are moments, and the date as written is the zone's; without one they are read as UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = column.type.tz
    missing = np.flatnonzero(arrow.missing_of(column))
    if missing.size:
        _refuse(path, table, int(missing[0]), "time", "is empty; fill it in or remove the row")
    try:
        written = pc.local_timestamp(column) if zone else column
    except pa.ArrowException:
        _refuse(path, table, 0, "time", f"its zone {zone!r} is not known on this machine; write the times in UTC")
    table.time = arrow.integers_of(column.cast(pa.timestamp("ms", tz=zone), safe=False).cast(pa.int64()))
    table.day = arrow.integers_of(written.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())) // DAY_MS * DAY_MS
    table.naive_times = zone is None
    _check_years(table, path)


def _texts(column: Any) -> list[str]:
    """A column as the text a CSV would hold; what is missing is empty."""
    return ["" if value is None else str(value) for value in column.to_pylist()]


# ── Columns ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _places(names: Sequence[str], path: Path) -> dict[str, tuple[int, ...]]:
    """Our name of each column → where it stands; the time may stand in two. Raises InvalidRequest for what is missing or double."""
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    found: dict[str, tuple[int, ...]] = {}
    times = [name for name in _TIME_NAMES if name in plain]
    if "date" in plain and "time" in plain and times[0] == "date":
        found["time"] = (_only(plain, "date", names, path), _only(plain, "time", names, path))
    elif times:
        found["time"] = (_only(plain, times[0], names, path),)
    for name in _PRICE_NAMES:
        if name in plain:
            found[name] = (_only(plain, name, names, path),)
    for ours, theirs in _OTHER_NAMES.items():
        for name in theirs:
            if name in plain and ours not in found:
                found[ours] = (_only(plain, name, names, path),)
    for name in _SYMBOL_NAMES:
        if name in plain and "symbol" not in found:
            found["symbol"] = (_only(plain, name, names, path),)
    missing = [name for name in ("time", *_PRICE_NAMES) if name not in found]
    if missing:
        words = [
            "time column (date, time, timestamp or datetime)" if name == "time" else f"column {name!r}"
            for name in missing
        ]
        have = ", ".join(name.strip() or "(unnamed)" for name in names)
        raise InvalidRequest(
            f"{path}, header: no {', no '.join(words)}; it has {have}. Rename or add the missing ones",
            file=str(path),
            row=1,
            column=missing[0],
        )
    return found


def _only(plain: list[str], name: str, names: Sequence[str], path: Path) -> int:
    places = [place for place, other in enumerate(plain) if other == name]
    if len(places) > 1:
        doubles = " and ".join(repr(names[place].strip()) for place in places)
        raise InvalidRequest(
            f"{path}, header: columns {doubles} mean the same; keep one", file=str(path), row=1, column=name
        )
    return places[0]


def _joined(chunks: list[_Table], path: Path) -> _Table:
    whole = chunks[0]
    if len(chunks) == 1:
        return whole
    for chunk in chunks[1:]:
        whole.symbols |= chunk.symbols
    whole.row, rows = np.concatenate([chunk.row for chunk in chunks]), [len(chunk.row) for chunk in chunks]
    mixed = [number for number, chunk in enumerate(chunks) if chunk.naive_times != whole.naive_times]
    if mixed:
        _refuse(path, whole, sum(rows[: mixed[0]]), "time", _MIXED_ZONES)
    whole.time = np.concatenate([chunk.time for chunk in chunks])
    whole.day = np.concatenate([chunk.day for chunk in chunks])
    whole.values = {name: np.concatenate([chunk.values[name] for chunk in chunks]) for name in whole.values}
    return whole


# ── Times ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_MIXED_ZONES = "some times carry a zone and some do not; write all of them with an offset, such as 2024-01-31T15:30:00Z"
_DIGITS = re.compile(r"[0-9]{8,19}(\.[0-9]+)?")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock times are counted from it, whatever their zone


def _read_times(cells: Sequence[str], table: _Table, path: Path) -> None:
    """Fill time, day and naive_times of `table` from text: ISO 8601, YYYYMMDD, YYYY/MM/DD, or a Unix time in s, ms, µs or ns."""
    moments, days, zones = [], [], set()
    for index, cell in enumerate(cells):
        try:
            moment, day, zone = _time(cell.strip())
        except (ValueError, OverflowError):
            shown = cell.strip()
            what = (
                f"{shown!r} is not a time; write it as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"
                if shown
                else "is empty; fill it in or remove the row"
            )
            _refuse(path, table, index, "time", what)
        zones.add(zone)
        if len(zones) > 1:
            _refuse(path, table, index, "time", _MIXED_ZONES)
        moments.append(moment)
        days.append(day)
    table.time = np.array(moments, dtype=np.int64)
    table.day = np.array(days, dtype=np.int64)
    table.naive_times = zones == {False}
    _check_years(table, path)


def _time(text: str) -> tuple[int, int, bool]:
    """(ms UTC, ms of midnight of the date as written, whether a zone was given). Raises ValueError for anything else."""
    if text[4:5] not in "-/" and len(text) > 8 and _DIGITS.fullmatch(text):
        number = float(text) if "." in text else int(text)
        # Seconds have 9–11 digits from 1973 to 5138, milliseconds three more, and so on: magnitude tells the unit.
        for limit, per_ms in ((1e11, 1e-3), (1e14, 1.0), (1e17, 1e3), (math.inf, 1e6)):
            if number < limit:
                moment = round(number / per_ms) if per_ms < 1 else int(number // per_ms)
                return moment, moment // DAY_MS * DAY_MS, True
    if len(text) > 4 and text[4] == "/":
        text = text.replace("/", "-")
    if text.endswith(" UTC"):
        text = text[:-4] + "Z"
    written = datetime.fromisoformat(text)
    offset = written.utcoffset()
    wall = _ms(written.replace(tzinfo=None) - _EPOCH)
    moment = wall if offset is None else wall - _ms(offset)
    return moment, wall // DAY_MS * DAY_MS, offset is not None


def _ms(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1000 + span.microseconds // 1000


def _check_years(table: _Table, path: Path) -> None:
    earliest = _ms(datetime(EARLIEST_YEAR, 1, 1) - _EPOCH)  # noqa: DTZ001
    wrong = np.flatnonzero(table.time < earliest)
    if wrong.size:
        _refuse(
            path,
            table,
            int(wrong[0]),
            "time",
            f"lies before {EARLIEST_YEAR}; check how the date is written (YYYY-MM-DD)",
        )


# ── Checks on the whole file ─────────────────────────────────────────────────────────────────────────────────────────


def _check_symbols(table: _Table, path: Path, symbol: str, notes: list[str]) -> None:
    if len(table.symbols) > 1:
        shown = ", ".join(sorted(table.symbols)[:5])
        _refuse_file(
            path,
            f"column {table.header['symbol']!r} holds {len(table.symbols)} symbols ({shown}); import a file of one symbol",
        )
    notes.extend(
        f"the file's column {table.header['symbol']!r} says {other}; imported as {symbol}"
        for other in table.symbols
        if other.upper().replace("/", "") != symbol
    )


def _check_duplicates(time: Stamps, table: _Table, order: NDArray[np.int64], path: Path) -> None:
    """time: sorted; order: where each stands in the file."""
    same = np.flatnonzero(np.diff(time) == 0)
    if same.size:
        earlier, later = int(order[same[0]]), int(order[same[0] + 1])
        _refuse(
            path,
            table,
            later,
            "time",
            f"{_iso(int(time[same[0]]))} stands there already, in {table.row_word} {table.row[earlier]}; remove one",
        )


def _timeframe(time: Stamps, path: Path, stated: Timeframe | None) -> Timeframe:
    if stated is not None and stated not in TIMEFRAMES:
        raise InvalidRequest(f"{stated!r} is not a timeframe; use one of {', '.join(TIMEFRAMES)}")
    if len(time) < 2:
        if stated is None:
            _refuse_file(
                path, "holds one bar, which has no step to read the timeframe from; name it, or import more bars"
            )
        return stated
    step = float(np.median(np.diff(time))) / 1000
    found = next(
        (
            name
            for name in TIMEFRAMES
            if abs(step - TIMEFRAME_SECONDS[name]) <= _STEP_TOLERANCE * TIMEFRAME_SECONDS[name]
        ),
        None,
    )
    if found is None:
        _refuse_file(
            path,
            f"its bars are {_length(step)} apart, which is no timeframe we know ({', '.join(TIMEFRAMES)}); export it at one of them",
        )
    if stated is not None and stated != found:
        _refuse_file(
            path,
            f"its bars are {_length(step)} apart, so they are {found} bars, not {stated}; leave the timeframe out or import another file",
        )
    return found


def _check_range(table: _Table, path: Path) -> None:
    for name in (*_PRICE_NAMES, "adjusted"):
        if name in table.values:
            wrong = np.flatnonzero(table.values[name] <= 0)
            if wrong.size:
                _refuse(
                    path,
                    table,
                    int(wrong[0]),
                    name,
                    f"{table.values[name][wrong[0]]:g} is not a price; prices are above zero",
                )
    if "volume" in table.values:
        wrong = np.flatnonzero(table.values["volume"] < 0)
        if wrong.size:
            _refuse(
                path,
                table,
                int(wrong[0]),
                "volume",
                f"{table.values['volume'][wrong[0]]:g} is negative; volume is zero or more",
            )
    open_, high, low, close = (table.values[name] for name in _PRICE_NAMES)
    slack = 1e-9 * high  # as `Bars` allows: prices adjusted before they were written differ in their last bits
    for name, wrong_way, what in (
        ("high", high < np.maximum(np.maximum(open_, close), low) - slack, "is below the row's open, low or close"),
        ("low", low > np.minimum(open_, close) + slack, "is above the row's open or close"),
    ):
        wrong = np.flatnonzero(wrong_way)
        if wrong.size:
            _refuse(
                path,
                table,
                int(wrong[0]),
                name,
                f"{table.values[name][wrong[0]]:g} {what}; correct the row or remove it",
            )


# ── Sentences ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse(path: Path, table: _Table, index: int, name: str, what: str) -> NoReturn:
    """index: which bar in file order; name: our name of the column."""
    row = int(table.row[index])
    column = table.header[name]
    raise InvalidRequest(
        f"{path}, {table.row_word} {row}, column {column!r}: {what}", file=str(path), row=row, column=column
    )


def _refuse_file(path: Path, what: str) -> NoReturn:
    raise InvalidRequest(f"{path}: {what}", file=str(path))


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ" if ms % DAY_MS else "%Y-%m-%d")


def _length(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"
