"""What is a pair worth, bar by bar? Long one symbol and short another by the same amount, as one instrument.

One unit is half an account long the first symbol and half short the second, both set to equal size again at each open. So a position
of 1 in the pair is a gross exposure of 1, and what is traded of the pair is traded of its two legs together: the costs of an ordinary
symbol are those of both legs. Keeping the legs at equal size trades a little each day, which is not charged; `PAIR_NOTE` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Bars, Floats
from evolve.market.calendar import PAIR_SIGN, venue_of

PAIR_NOTE = (
    "half of the account is long one symbol and half short the other, made equal again at each open, which is not charged; "
    "shares to sell short are there and lent for free"
)
# Below half, most days of the longer history would be left out, and the two symbols hardly met.
LEAST_COMMON = 0.5


@dataclass(frozen=True, eq=False)
class Pair:
    """bars: the pair as one instrument, its first open at 100; first, second: the legs over the same bars."""

    bars: Bars
    first: Bars
    second: Bars

    def slice(self, start: int, stop: int) -> Pair:
        return Pair(self.bars.slice(start, stop), self.first.slice(start, stop), self.second.slice(start, stop))

    def columns(self) -> dict[str, list[Any]]:
        """What a program for pairs is sent beside the pair's own bars: open, high, low and close of both legs."""
        return {
            f"{which}_{name}": getattr(leg, name).tolist()
            for which, leg in (("first", self.first), ("second", self.second))
            for name in ("open", "high", "low", "close")
        }


def pair_of_bars(first: Bars, second: Bars) -> Pair:
    """The pair over the bars that both have.

    Raises InvalidRequest for legs that cannot be one pair, DataUnavailable where they have too few bars in common.
    """
    _check(first, second)
    common = np.intersect1d(first.time, second.time)
    longer = min(len(first), len(second))
    if len(common) < LEAST_COMMON * longer:
        raise DataUnavailable(
            f"{first.symbol} and {second.symbol} have {len(common):,} bars at the same times, of {len(first):,} and {len(second):,}: "
            "import histories that overlap",
            bars=len(common),
        )
    legs = [leg.slice(0, len(leg)) if len(common) == len(leg) else _kept(leg, common) for leg in (first, second)]
    open_, close = spread_index(legs[0], legs[1])
    left_out = len(first) + len(second) - 2 * len(common)
    notes = (PAIR_NOTE, *((f"{left_out:,} bars that only one of the two has are left out",) if left_out else ()))
    bars = replace(
        legs[0], symbol=f"{first.symbol}{PAIR_SIGN}{second.symbol}", open=open_, close=close, high=np.maximum(open_, close),
        low=np.minimum(open_, close), volume=np.full(len(common), np.nan), simulated=first.simulated or second.simulated,
        source=first.source if first.source == second.source else f"{first.source} and {second.source}",
        notes=(*dict.fromkeys((*first.notes, *second.notes)), *notes), provenance=None,
    )  # fmt: skip
    return Pair(bars, legs[0], legs[1])


def spread_index(first: Bars, second: Bars) -> tuple[Floats, Floats]:
    """Open and close of one unit, shape (bars,), begun at 100. Raises DataUnavailable where the short leg loses all of it."""

    def earned(start: tuple[Floats, Floats], end: tuple[Floats, Floats]) -> Floats:
        return 1 + 0.5 * (end[0] / start[0] - end[1] / start[1])

    opens = (first.open, second.open)
    by_close = earned(opens, (first.close, second.close))
    by_next_open = earned((opens[0][:-1], opens[1][:-1]), (opens[0][1:], opens[1][1:]))
    lost = np.flatnonzero((by_close <= 0) | (np.append(by_next_open, 1.0) <= 0))
    if lost.size:
        bar = int(lost[0])
        raise DataUnavailable(f"the pair {first.symbol} and {second.symbol} loses everything on {first.date(bar)}")
    open_ = 100 * np.concatenate([[1.0], np.cumprod(by_next_open)])
    return open_, open_ * by_close


def _check(first: Bars, second: Bars) -> None:
    if first.symbol == second.symbol:
        raise InvalidRequest(f"a pair needs two different symbols, and both are {first.symbol}")
    if first.timeframe != second.timeframe:
        raise InvalidRequest(
            f"a pair needs bars of one timeframe: {first.symbol} has {first.timeframe}, {second.symbol} {second.timeframe}"
        )
    if venue_of(first.symbol) != venue_of(second.symbol) or first.currency != second.currency:
        raise InvalidRequest(
            f"a pair needs two symbols of one venue and currency; {first.symbol} ({venue_of(first.symbol)}) and "
            f"{second.symbol} ({venue_of(second.symbol)}) have neither hours nor costs in common"
        )
    if first.simulated != second.simulated:
        real, invented = (second, first) if first.simulated else (first, second)
        raise InvalidRequest(
            f"{real.symbol} has real bars and {invented.symbol} only simulated ones; no pair is made of both"
        )


def _kept(leg: Bars, times: np.ndarray[Any, Any]) -> Bars:
    at = np.searchsorted(leg.time, times)
    return replace(leg, **{name: getattr(leg, name)[at] for name in ("time", "open", "high", "low", "close", "volume")})
