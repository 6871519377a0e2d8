"""It is a dict in every way that a program can tell, and copies only what is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from evolve.sandbox.market_data import MarketData

FIXED = {"symbol": "AAPL", "volume": "overruled by the column"}
COLUMNS = {"close": [1.0, 2.0], "volume": [10.0, 20.0]}
PLAIN = {"symbol": "AAPL", "close": [1.0, 2.0], "volume": [10.0, 20.0]}

READS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "item": lambda data: data["close"],
    "get": lambda data: (data.get("close"), data.get("nothing"), data.get("nothing", 7), data.get("symbol")),
    "in": lambda data: ("close" in data, "symbol" in data, "nothing" in data),
    "length": len,
    "truth": bool,
    "keys": lambda data: sorted(data.keys()),
    "loop": lambda data: sorted(name for name in data),
    "values": lambda data: sorted(map(str, data.values())),
    "items": lambda data: sorted(data.items(), key=str),
    "dict": lambda data: dict(data),
    "unpacked": lambda data: {**data},
    "copy": lambda data: data.copy(),
    "json": lambda data: json.dumps(data, sort_keys=True),
    "equality": lambda data: (data == PLAIN, data == PLAIN, data != PLAIN),
    "union": lambda data: (data | {"a": 1}, {"a": 1} | data),
    "pop": lambda data: (data.pop("close"), "close" in data, data.pop("nothing", 3), len(data)),
    "setdefault": lambda data: (data.setdefault("close", 5), data.setdefault("new", 5)),
    "repr": lambda data: sorted(eval(repr(data)).items(), key=str),
    "update": lambda data: (data.update(close=[9.0]), data["close"], len(data)),
    "reversed": lambda data: set(data),
}


def removed(data: dict[str, Any]) -> Any:
    del data["close"]
    return "close" in data, len(data), data.get("close")


@pytest.mark.parametrize("name", [*READS, "deletion"])
def test_a_program_reads_what_a_plain_dict_would_give(name: str) -> None:
    read = READS.get(name, removed)

    assert read(MarketData(FIXED, COLUMNS)) == read({**FIXED, **COLUMNS})


@pytest.mark.parametrize("reach", [lambda d: d["close"], lambda d: d.get("close"), lambda d: dict(d)["close"], lambda d: {**d}["close"],
                                   lambda d: next(cells for name, cells in d.items() if name == "close")])  # fmt: skip
def test_what_a_program_does_to_a_list_is_its_own_affair(reach: Callable[[dict[str, Any]], list[float]]) -> None:
    columns = {"close": [1.0, 2.0]}

    reach(MarketData({}, columns)).append(3.0)

    assert columns == {"close": [1.0, 2.0]}


def test_a_list_read_twice_is_the_same_list_within_a_bar() -> None:
    data = MarketData({}, COLUMNS)

    assert data["close"] is data["close"]


def test_a_column_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        MarketData({}, COLUMNS)["nothing"]
