"""What did a run give? Values as strict JSON, both ways, and the one result every caller sees.

What a program returns becomes JSON by this table (`plain`), in the child and again for what callers hand in:

| Python | JSON |
|---|---|
| None, bool, str, int, float, and their subclasses | the same; NaN and ±inf → null with a note; an int beyond 64 bits → its digits as text, with a note |
| numpy scalar, array | number, boolean or text; nested lists; datetime64 → ISO 8601 text; NaT → null |
| pandas Series | list of values; with an index of its own: {"index": [...], "values": [...]} |
| pandas DataFrame | {column: [values]}, and "index" first when it has one of its own |
| datetime, date, time, Timestamp · timedelta | ISO 8601 text · seconds |
| dict (keys become text), list, tuple, deque · set (sorted where it can be) | object, array |
| dataclass, Enum, Decimal, Fraction | object, its value, number |
| anything else | not data: the run ends with `execution_error` naming the place |

What arrives from a child was written by whoever controls the child: `read_value` bounds bytes, elements and depth before
anything is parsed, and accepts nothing but JSON.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Literal

import orjson

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Status = Literal["success", "timeout", "memory_limit", "execution_error", "validation_error", "system_error"]

MAX_DEPTH = 100
# Before parsing: ten megabytes of `[[]],` would cost the service 350 MB and seven seconds.
MAX_ELEMENTS = 1_000_000
MAX_CONTAINERS = 200_000
MAX_NOTES, MAX_NOTE_CHARACTERS = 20, 500


@dataclasses.dataclass(frozen=True)
class ExecutionResult:
    """One run. Reads as attributes or, with the same names, as a mapping.

    output: what the program printed. error: a sentence, with the program's own lines; None unless it failed.
    execution_time: wall seconds from handing the job over to its answer. memory_used: MiB, the peak the run added.
    logs: notes on what was cut, replaced or warned about.
    """

    status: Status
    output: str = ""
    error: str | None = None
    execution_time: float = 0.0
    memory_used: float = 0.0
    return_value: Json = None
    logs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        return {field: list(self.logs) if field == "logs" else getattr(self, field) for field in self.keys()}

    def keys(self) -> Iterator[str]:
        return (field.name for field in dataclasses.fields(self))

    def __getitem__(self, key: str) -> Any:
        if key not in set(self.keys()):
            raise KeyError(key)
        return getattr(self, key)


class NotData(TypeError):
    """A value that has no place in JSON; the message says where it stands."""


class Notes:
    """What had to be changed on the way, once each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if line not in self.lines and len(self.lines) < MAX_NOTES:
            self.lines.append(line[:MAX_NOTE_CHARACTERS])


def plain(value: Any, notes: Notes, path: str = "return_value", depth: int = 0) -> Json:
    """`value` as JSON's own types, by the table above. Raises NotData."""
    kind = type(value)
    if value is None or kind is bool:
        return value  # type: ignore[no-any-return]
    if kind is str:
        return _text(value, notes, path)
    if kind is int:
        return _integer(value, notes, path)
    if kind is float:
        return _number(value, notes, path)
    if depth >= MAX_DEPTH:
        raise NotData(f"{path[:60]}…: nested deeper than {MAX_DEPTH} levels")
    if kind is list or kind is tuple:
        return _list(value, notes, path, depth)
    if kind is dict:
        return _object(value, notes, path, depth)
    return _other(value, notes, path, depth)


def _list(value: list[Any] | tuple[Any, ...], notes: Notes, path: str, depth: int) -> list[Json]:
    # Long lists hold finite floats: no call and no path for those.
    return [
        item if type(item) is float and math.isfinite(item) else plain(item, notes, f"{path}[{index}]", depth + 1)
        for index, item in enumerate(value)
    ]


def _other(value: Any, notes: Notes, path: str, depth: int) -> Json:
    library = type(value).__module__.partition(".")[0]
    if library == "numpy" and hasattr(value, "dtype"):
        return _numpy(value, notes, path, depth)
    if library == "pandas":
        return _pandas(value, notes, path, depth)
    if isinstance(value, Enum):
        return plain(value.value, notes, path, depth + 1)
    if isinstance(value, bool | int):
        return _integer(int(value), notes, path)
    if isinstance(value, float):
        return _number(float(value), notes, path)
    if isinstance(value, str):
        return _text(str.__str__(value), notes, path)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | Fraction):
        return _number(_as_float(value), notes, path)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _object(fields, notes, path, depth)
    if isinstance(value, dict | Mapping):
        return _object(dict(value), notes, path, depth)
    if isinstance(value, set | frozenset):
        items = list(value)
        try:
            items.sort()
        except TypeError:
            notes.add(f"{path}: a set whose members have no order; the list's order is arbitrary")
        return plain(items, notes, path, depth)
    if isinstance(value, list | tuple | deque | range):
        return plain(list(value), notes, path, depth)
    raise NotData(
        f"{path} is a {type(value).__name__}, which is not data; return numbers, text, lists, dicts, arrays or frames"
    )


def _object(value: dict[Any, Any], notes: Notes, path: str, depth: int) -> Json:
    result: dict[str, Json] = {}
    for key, item in value.items():
        name = _text(key, notes, path) if type(key) is str else _key(key, path)
        if name in result:
            notes.add(f"{path}: two keys become the same text {name[:40]!r}; the last one stays")
        result[name] = plain(item, notes, f"{path}.{name}", depth + 1)
    return result


def _key(key: Any, path: str) -> str:
    simple = plain(key, Notes(), f"a key of {path}", MAX_DEPTH - 2)
    if isinstance(simple, str):
        return simple
    return orjson.dumps(simple).decode()


def _text(value: str, notes: Notes, path: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        notes.add(f"{path}: half a surrogate pair became U+FFFD")
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _integer(value: int, notes: Notes, path: str) -> Json:
    if -(1 << 63) <= value < 1 << 64:
        return value
    notes.add(f"{path}: an integer beyond 64 bits is given as text")
    return str(value)


def _number(value: float, notes: Notes, path: str) -> Json:
    if math.isfinite(value):
        return value
    notes.add(f"{path}: NaN or infinity became null")
    return None


def _as_float(value: Decimal | Fraction) -> float:
    if isinstance(value, Decimal) and value.is_nan():
        return math.nan  # a signalling NaN refuses to become a float
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _numpy(value: Any, notes: Notes, path: str, depth: int) -> Json:
    kind = value.dtype.kind
    if kind in "mM":
        if kind == "M":
            return _dates(value)
        seconds = value / _one_second()
        return plain(seconds.tolist(), notes, path, depth)
    if kind in "biufOSU":
        return _listed(value.tolist(), notes, path, depth)
    raise NotData(f"{path} is a numpy {value.dtype}, which JSON does not know; return its parts")


def _one_second() -> Any:
    import numpy as np

    return np.timedelta64(1, "s")


def _dates(value: Any) -> Json:
    import numpy as np

    texts = np.datetime_as_string(value)
    listed = texts.tolist()
    return _without_nat(listed)


def _without_nat(listed: Any) -> Json:
    if isinstance(listed, list):
        return [_without_nat(item) for item in listed]
    return None if listed == "NaT" else str(listed)


def _listed(listed: Any, notes: Notes, path: str, depth: int) -> Json:
    """What `tolist` gave; one path for the whole array, since a path per element would cost more than the array."""
    if isinstance(listed, list):
        if depth >= MAX_DEPTH:
            raise NotData(f"{path[:60]}…: nested deeper than {MAX_DEPTH} levels")
        return [_listed(item, notes, path, depth + 1) for item in listed]
    if type(listed) is float:
        return _number(listed, notes, path)
    if type(listed) is bytes:
        return _text(listed.decode("utf-8", "replace"), notes, path)
    return plain(listed, notes, path, depth)


def _pandas(value: Any, notes: Notes, path: str, depth: int) -> Json:
    import pandas as pd  # type: ignore[import-untyped]

    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return str(value.isoformat())
    if isinstance(value, pd.Timedelta):
        return float(value.total_seconds())
    if isinstance(value, pd.Period | pd.Interval):
        return str(value)
    if isinstance(value, pd.DataFrame):
        frame: dict[str, Json] = {}
        if not isinstance(value.index, pd.RangeIndex):
            frame["index"] = _listed(_cells(value.index), notes, f"{path}.index", depth + 1)
        for position, column in enumerate(value.columns):
            name = _key(column, path)
            if name in frame:
                notes.add(f"{path}: two columns are named {name[:40]!r}; the last one stays")
            frame[name] = _listed(_cells(value.iloc[:, position]), notes, f"{path}.{name}", depth + 1)
        return frame
    if isinstance(value, pd.Series):
        values = _listed(_cells(value), notes, path, depth + 1)
        if isinstance(value.index, pd.RangeIndex):
            return values
        return {"index": _listed(_cells(value.index), notes, f"{path}.index", depth + 1), "values": values}
    if isinstance(value, pd.Index | pd.api.extensions.ExtensionArray):
        return _listed(_cells(value), notes, path, depth + 1)
    raise NotData(
        f"{path} is a pandas {type(value).__name__}, which is not data; return a Series, a DataFrame or numbers"
    )


def _cells(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def encode(value: Any, notes: Notes, path: str = "return_value") -> bytes:
    """`value` as JSON bytes. Raises NotData."""
    try:
        return orjson.dumps(plain(value, notes, path))
    except RecursionError:
        raise NotData(f"{path} contains itself or is nested too deeply") from None


# Possessive: a repeat that could step back would keep a hundred bytes of state for each byte of text.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


class NotStrict(ValueError):
    """Bytes that are no JSON we accept; the message says why."""


def read_value(payload: bytes) -> Any:
    """Parse JSON that a stranger wrote. Raises NotStrict before it costs more than a few times its length in memory."""
    containers = payload.count(b"[") + payload.count(b"{")
    if containers + payload.count(b",") > MAX_ELEMENTS or containers > MAX_DEPTH:
        bare = _STRING.sub(b'""', payload)  # brackets and commas inside text are text
        containers = bare.count(b"[") + bare.count(b"{")
        if containers > MAX_CONTAINERS or containers + bare.count(b",") > MAX_ELEMENTS:
            raise NotStrict(f"more than {MAX_ELEMENTS:,} elements or {MAX_CONTAINERS:,} lists and objects")
        if containers > MAX_DEPTH and _depth(bare) > MAX_DEPTH + 2:
            raise NotStrict(f"nested deeper than {MAX_DEPTH} levels")
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise NotStrict(f"not JSON: {str(error)[:80]}") from None


def _depth(bare: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKET.finditer(bare):
        depth += 1 if match.group() in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
