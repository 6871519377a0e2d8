"""Which figure is this, and where does it come from?

Every number that an answer, table, chart or sentence shows is an `Evidence`. Text refers to it by id and code renders it,
so that no prose can hold a number that was not computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Unit = Literal["fraction", "ratio", "count", "price", "days", "bars", "years", "seconds", "bps", "probability", "text"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One figure: its value, unit, date, source, and how it was computed.

    id: unique inside one answer, `e1`, `e2`, …; name: what it is, `sharpe_ratio`; of: what it describes, `ridge` or `AAPL`.
    value: None means unknown, and `note` then says why. unit "fraction": 0.01 is 1 %. low/high: interval at `level`.
    as_of: ISO date of the last bar that went in; source: the data; computed: the method, in words.
    """

    id: str
    name: str
    of: str
    value: float | int | str | None
    unit: Unit
    as_of: str
    source: str
    computed: str
    low: float | None = None
    high: float | None = None
    level: float | None = None
    note: str = ""

    def __str__(self) -> str:
        return render(self)


def render(evidence: Evidence) -> str:
    """The value as a person reads it: `12.3 %`, `0.45`, `n/a`."""
    return render_value(evidence.value, evidence.unit)


def render_value(value: float | int | str | None, unit: Unit) -> str:
    # `z`: what rounds to zero is shown without a sign.
    if value is None:
        return "n/a"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "n/a"
    if unit == "fraction":
        return f"{100 * value:z.1f} %"
    if unit in ("count", "bars", "days"):
        return f"{round(value):,}"
    if unit == "price":
        return f"{value:z,.2f}"
    if unit == "probability":
        return f"{value:.3f}" if value >= 0.001 else "< 0.001"
    if unit == "bps":
        return f"{value:g} bp"
    if unit == "years":
        return f"{value:.1f} years"
    if unit == "seconds":
        return f"{value:.1f} s"
    return f"{value:z.2f}"


def render_interval(evidence: Evidence) -> str:
    """`0.10 … 0.80`, or an empty string where there is no interval."""
    if evidence.low is None or evidence.high is None:
        return ""
    return f"{render_value(evidence.low, evidence.unit)} … {render_value(evidence.high, evidence.unit)}"


class EvidenceBook:
    """The figures of one answer, numbered in the order they were added."""

    def __init__(self) -> None:
        self._items: dict[str, Evidence] = {}

    def add(
        self,
        name: str,
        of: str,
        value: float | int | str | None,
        unit: Unit,
        *,
        as_of: str,
        source: str,
        computed: str,
        low: float | None = None,
        high: float | None = None,
        level: float | None = None,
        note: str = "",
    ) -> Evidence:
        """Add a figure. A value that is not finite is unknown: None with a `note`; so is an interval with such a bound."""
        if isinstance(value, float) and not math.isfinite(value):
            value, note = None, note or "undefined for these data"
        if not all(bound is None or math.isfinite(bound) for bound in (low, high)):
            low = high = level = None
        item = Evidence(
            f"e{len(self._items) + 1}", name, of, value, unit, as_of, source, computed, low, high, level, note
        )
        self._items[item.id] = item
        return item

    def adopt(self, item: Evidence) -> Evidence:
        """Add a figure that another service computed, under a new id."""
        fields: Mapping[str, Any] = {**asdict(item), "id": f"e{len(self._items) + 1}"}
        renumbered = Evidence(**fields)
        self._items[renumbered.id] = renumbered
        return renumbered

    def __getitem__(self, id: str) -> Evidence:
        return self._items[id]

    def __iter__(self) -> Iterator[Evidence]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)
