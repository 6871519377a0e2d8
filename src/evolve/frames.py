"""How do bars, tables and curves pass to and from pandas? As DataFrames with UTC stamps; what comes in is checked like a file.

pandas is imported when one of these is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from evolve.cards import AnswerCard, ComparisonCard, EvaluationCard, RankedRow
from evolve.errors import InvalidRequest, MissingExtra
from evolve.evidence import Evidence
from evolve.market import quality
from evolve.market.bars import FIELDS, Bars, Floats, Stamps
from evolve.market.calendar import bars_per_year
from evolve.market.resample import Columns
from evolve.market.sessions import DAY_MS
from evolve.market.sources import adjust
from evolve.market.types import TIMEFRAME_SECONDS, TIMEFRAMES, Timeframe, parse_symbol

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

# Spellings of a column, compared without case, spaces and underscores; the first that is there is taken.
TIME_NAMES = ("datetime", "timestamp", "date", "time", "opentime")
ADJUSTED_NAMES = ("adjclose", "adjustedclose")
STEP_TOLERANCE = 0.1  # of a bar's length, as for files


# --- out ---


def of_bars(bars: Bars) -> pd.DataFrame:
    """Columns open, high, low, close, volume; index `time`, the start of each bar, UTC. `attrs` say which bars these are."""
    pandas = _pandas()
    index = pandas.DatetimeIndex(bars.time.astype("datetime64[ms]"), tz="UTC", name="time")
    frame = pandas.DataFrame({name: getattr(bars, name).copy() for name in FIELDS}, index=index)
    frame.attrs = {
        "symbol": bars.symbol, "timeframe": bars.timeframe, "source": bars.source, "currency": bars.currency,
        "simulated": bars.simulated, "fingerprint": bars.fingerprint,
    }  # fmt: skip
    return cast("pd.DataFrame", frame)


def table(card: AnswerCard | ComparisonCard | EvaluationCard) -> pd.DataFrame:
    """One row a model or baseline, one column a figure; of an evaluation one row a stretch. Unknown figures are missing (NaN or None)."""
    if isinstance(card, EvaluationCard):
        stretches = {"out of sample": card.metrics, f"last {card.period}": card.in_period}
        frame = _pandas().DataFrame([_values(figures) for figures in stretches.values()], index=list(stretches))
        return cast("pd.DataFrame", frame)
    rows = [{"rank": row.rank, "kind": row.kind, "model_id": row.model_id, **_values(row.figures)} for row in card.rows]
    index = _pandas().Index([row.name for row in card.rows], name="name")
    return cast("pd.DataFrame", _pandas().DataFrame(rows, index=index))


def figures(card: AnswerCard | ComparisonCard | EvaluationCard) -> pd.DataFrame:
    """Every figure with its unit, interval, date, source and computation: what a number in the table rests on."""
    if isinstance(card, AnswerCard):
        found: Iterable[Evidence] = card.figures
    elif isinstance(card, EvaluationCard):
        found = (*card.metrics.values(), *card.in_period.values(), *card.trust.evidence)
    else:
        found = (*_of_rows(card.rows), *card.trust.evidence)
    return cast("pd.DataFrame", _pandas().DataFrame([asdict(item) for item in found]))


def curves(card: AnswerCard | ComparisonCard | EvaluationCard) -> pd.DataFrame:
    """Growth of 1, one column a curve, index the dates (UTC); missing where a curve has no value on a date."""
    pandas = _pandas()
    columns = {
        curve.name: pandas.Series(curve.equity, index=pandas.to_datetime(list(curve.dates), utc=True, format="ISO8601"))
        for curve in card.curves
    }
    return cast("pd.DataFrame", pandas.DataFrame(columns).rename_axis("time"))


def _of_rows(rows: Iterable[RankedRow]) -> list[Evidence]:
    return [item for row in rows for item in row.figures.values()]


def _values(figures: Mapping[str, Evidence]) -> dict[str, float | int | str | None]:
    return {name: item.value for name, item in figures.items()}


# --- in ---


def to_bars(
    frame: pd.DataFrame,
    symbol: str,
    timeframe: Timeframe | None = None,
    *,
    currency: str = "USD",
    source: str = "a pandas DataFrame",
    simulated: bool = False,
) -> Bars:
    """Bars of a DataFrame, oldest first; `notes` say what was done and what looks wrong.

    Columns by name, whatever their case: open, high, low, close, optionally volume and adjusted close, by which the others are then
    adjusted. Stamps: a DatetimeIndex, or a column of times; without a zone they are read as UTC, and bars of a day and longer keep the date
    that is written. timeframe: None infers it from the median step; given, it must agree with that step. Raises InvalidRequest naming row
    and column, DataUnavailable naming the first bar that no market can have.
    """
    symbol = _symbol(symbol)
    notes: list[str] = []
    columns = _columns(frame)
    stamps, days = _stamps(frame, columns, notes)
    order = np.argsort(stamps, kind="stable")
    if np.any(np.diff(order) < 0):
        notes.append("rows were not in order of time and have been sorted")
    chosen = _timeframe(stamps[order], timeframe)
    time = (days if TIMEFRAME_SECONDS[chosen] >= 86_400 else stamps)[order]
    doubled = np.flatnonzero(np.diff(time) == 0)
    if doubled.size:
        raise InvalidRequest(f"{symbol}: two rows have the time {_date(time[doubled[0]])}; drop one of them")
    values = {name: _floats(frame, columns, name)[order] for name in FIELDS[:4]}
    if "volume" in columns:
        volume = _floats(frame, columns, "volume", may_miss=True)[order]
    else:
        notes.append("the DataFrame has no volume column; volume is unknown")
        volume = np.full(len(time), np.nan)
    found = Columns(time, values["open"], values["high"], values["low"], values["close"], volume)
    adjusted = next((name for name in ADJUSTED_NAMES if name in columns), None)
    if adjusted is not None:
        found = adjust.adjusted(found, _floats(frame, columns, adjusted)[order])
        notes.append(adjust.NOTE)
    bars = Bars(
        symbol, chosen, found.time, found.open, found.high, found.low, found.close, found.volume, source, bars_per_year(symbol, chosen),
        currency, simulated, tuple(notes),
    )  # fmt: skip
    return replace(bars, notes=(*notes, *quality.examine(bars).notes()))


def _columns(frame: Any) -> dict[str, Any]:
    """Folded name → the frame's own. Raises InvalidRequest for what is no table of bars."""
    pandas = _pandas()
    if not isinstance(frame, pandas.DataFrame):
        raise InvalidRequest(f"bars come from a DataFrame, not {type(frame).__name__}")
    if isinstance(frame.columns, pandas.MultiIndex):
        raise InvalidRequest(
            "the columns have several levels; choose one symbol first, such as frame.xs('AAPL', axis=1, level=-1)"
        )
    if not len(frame):
        raise InvalidRequest("the DataFrame has no rows")
    folded: dict[str, Any] = {}
    for name in frame.columns:
        key = str(name).strip().lower().replace(" ", "").replace("_", "")
        if key in folded:
            raise InvalidRequest(f"two columns are called {key!r}; drop one of them")
        folded[key] = name
    missing = [name for name in FIELDS[:4] if name not in folded]
    if missing:
        have = ", ".join(map(str, frame.columns))
        raise InvalidRequest(f"there is no column {missing[0]!r}; the DataFrame has {have[:200]}")
    return folded


def _stamps(frame: Any, columns: Mapping[str, Any], notes: list[str]) -> tuple[Stamps, Stamps]:
    """Unix ms of each row, and of midnight of the date as it is written. Raises InvalidRequest for what is no time."""
    pandas = _pandas()
    times: Any = frame.index
    if not isinstance(times, pandas.DatetimeIndex):
        name = next((columns[name] for name in TIME_NAMES if name in columns), None)
        if name is None:
            raise InvalidRequest("there are no times: give a DatetimeIndex, or a column called time, date or timestamp")
        try:
            times = pandas.DatetimeIndex(pandas.to_datetime(frame[name]))
        except (ValueError, TypeError) as error:
            raise InvalidRequest(f"column {name!r} is no time: {str(error)[:200]}") from None
    missing = np.flatnonzero(times.isna())
    if missing.size:
        raise InvalidRequest(f"row {int(missing[0])} has no time")
    written = times.tz_localize(None)
    if times.tz is None and np.any(written != written.normalize()):
        notes.append("times without a zone were read as UTC")
    exact = written if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    return _ms(exact), _ms(written.normalize())


def _ms(times: Any) -> Stamps:
    return np.asarray(times, dtype="datetime64[ms]").astype(np.int64)


def _floats(frame: Any, columns: Mapping[str, Any], name: str, *, may_miss: bool = False) -> Floats:
    """A column as float64. Raises InvalidRequest naming the first row that is no number."""
    column = frame[columns[name]]
    numbers = _pandas().to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~np.isfinite(numbers) & ~(np.asarray(column.isna()) & may_miss))
    if wrong.size:
        row = int(wrong[0])
        raise InvalidRequest(f"column {columns[name]!r}, row {row}: {str(column.iloc[row])[:80]!r} is no number")
    return cast("Floats", numbers)


def _timeframe(time: Stamps, wanted: str | None) -> Timeframe:
    """The bars' length, from the median step between them. Raises InvalidRequest where it is none, or another one than wanted."""
    if wanted is not None and wanted not in TIMEFRAMES:
        raise InvalidRequest(f"{wanted!r} is not a timeframe; use one of {', '.join(TIMEFRAMES)}")
    if len(time) < 2:
        if wanted is None:
            raise InvalidRequest("one row does not show how long a bar is; name the timeframe")
        return wanted
    step_s = float(np.median(np.diff(time))) / 1000
    for timeframe in TIMEFRAMES:
        if abs(step_s - TIMEFRAME_SECONDS[timeframe]) <= STEP_TOLERANCE * TIMEFRAME_SECONDS[timeframe]:
            if wanted not in (None, timeframe):
                raise InvalidRequest(
                    f"the rows are {timeframe} apart, not {wanted}; leave the timeframe out, or resample first"
                )
            return timeframe
    raise InvalidRequest(f"the rows are {step_s:g} s apart, which is no timeframe of {', '.join(TIMEFRAMES)}")


def _symbol(text: str) -> str:
    try:
        return parse_symbol(text)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _date(ms: int) -> str:
    return (
        str(np.datetime64(int(ms), "ms" if ms % DAY_MS else "D"))
        if ms % DAY_MS
        else str(np.datetime64(int(ms) // DAY_MS, "D"))
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise MissingExtra("DataFrames need pandas; install it with: pip install pandas", extra="pandas") from None
    return pandas
