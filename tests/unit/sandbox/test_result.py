"""What becomes of a value on its way out, and what the service accepts."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.sandbox.result import MAX_DEPTH, NotData, Notes, NotStrict, encode, plain, read_value


class Side(Enum):
    BUY = "buy"


@dataclass
class Order:
    side: Side
    quantity: float


Point = namedtuple("Point", "x y")
DAYS = pd.date_range("2024-01-01", periods=2)

TABLE: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (2**63, 2**63),
    (2**64, str(2**64)),
    (-(2**63) - 1, str(-(2**63) - 1)),
    (math.nan, None),
    (-math.inf, None),
    ("é", "é"),
    ("\ud800", "\ufffd"),
    ((1, [2]), [1, [2]]),
    ({3, 1, 2}, [1, 2, 3]),
    (deque([1]), [1]),
    (range(3), [0, 1, 2]),
    (OrderedDict(a=1), {"a": 1}),
    ({1: "a", None: "b", 2.5: "c"}, {"1": "a", "null": "b", "2.5": "c"}),
    (Point(1, 2), [1, 2]),
    (Order(Side.BUY, 2.0), {"side": "buy", "quantity": 2.0}),
    (Decimal("0.5"), 0.5),
    (Fraction(1, 4), 0.25),
    (date(2024, 1, 2), "2024-01-02"),
    (time(10, 30), "10:30:00"),
    (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
    (timedelta(minutes=1), 60.0),
    (np.float32(0.5), 0.5),
    (np.int8(3), 3),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (np.array([[1.0, math.nan]]), [[1.0, None]]),
    (np.array([], dtype=float), []),
    (np.array(["NaT", "2024-01-02"], dtype="M8[D]"), [None, "2024-01-02"]),
    (np.timedelta64(90, "s"), 90.0),
    (np.array([1, "x", None], dtype=object), [1, "x", None]),
    (pd.Series([1.0, math.nan]), [1.0, None]),
    (pd.Series([1, 2], index=["a", "b"]), {"index": ["a", "b"], "values": [1, 2]}),
    (pd.Series([1], index=DAYS[:1]), {"index": ["2024-01-01T00:00:00"], "values": [1]}),
    (pd.DataFrame({"p": [1.5], "s": ["x"]}), {"p": [1.5], "s": ["x"]}),
    (
        pd.DataFrame({"p": [1, 2]}, index=DAYS),
        {"index": ["2024-01-01T00:00:00", "2024-01-02T00:00:00"], "p": [1, 2]},
    ),
    (pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
    (pd.NaT, None),
    (pd.NA, None),
    (pd.Timedelta("1h"), 3600.0),
    (pd.Period("2024-01", "M"), "2024-01"),
    (pd.Index([1, 2]), [1, 2]),
    (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
]


@pytest.mark.parametrize(("value", "expected"), TABLE, ids=lambda value: type(value).__name__)
def test_a_value_becomes_json_by_the_table(value: Any, expected: Any) -> None:
    notes = Notes()

    assert plain(value, notes) == expected
    assert json.loads(encode(value, notes)) == expected


@pytest.mark.parametrize(
    "value", [object(), lambda: 1, b"bytes", 1j, np.array([1j]), iter([1])], ids=lambda value: type(value).__name__
)
def test_what_is_no_data_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(NotData, match=r"return_value\.model"):
        plain({"model": value}, Notes())


def test_each_change_is_noted_once_with_its_place() -> None:
    notes = Notes()

    plain({"a": np.array([math.nan, math.inf]), "b": math.nan}, notes)

    assert notes.lines == ["return_value.a: NaN or infinity became null", "return_value.b: NaN or infinity became null"]


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(NotData, match="nested deeper"):
        plain(loop, Notes())


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * (MAX_DEPTH + 3) + b"]" * (MAX_DEPTH + 3),
        b"[" + b"1," * 1_000_001 + b"1]",
        b"[" + b"[]," * 200_001 + b"1]",
        b"[NaN]",
        b"[Infinity]",
        b'"\xff"',
        b'"\\ud800"',
        b"{'a': 1}",
        b"[1,]",
        b"",
        b'"' + b'\\"' * 100_000,
    ],
    ids=range(11),
)
def test_bytes_that_are_no_strict_json_or_too_much_of_it_are_refused(payload: bytes) -> None:
    with pytest.raises(NotStrict):
        read_value(payload)


def test_brackets_and_commas_inside_text_are_text() -> None:
    text = "[,{" * 400_000

    assert read_value(json.dumps([text]).encode()) == [text]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_json_goes_through_unchanged(value: Any) -> None:
    notes = Notes()

    assert read_value(encode(value, notes)) == value
    assert notes.lines == []


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='[]{},:"\\0123456789eE+-.truefalsn \n', max_size=200).map(str.encode))
def test_any_bytes_are_either_json_that_python_knows_too_or_refused(payload: bytes) -> None:
    try:
        value = read_value(payload)
    except NotStrict:
        return
    json.dumps(value, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.floats() | st.text() | st.integers() | st.binary() | st.complex_numbers(),
        lambda inner: (
            st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        ),
        max_leaves=10,
    )
)
def test_any_python_value_is_either_strict_json_or_refused(value: Any) -> None:
    try:
        payload = encode(value, Notes())
    except NotData:
        return
    json.dumps(read_value(payload), allow_nan=False)
