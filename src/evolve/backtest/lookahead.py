"""Does a signal know what it cannot know? The future is changed, and nothing that was decided before may move by one bit.

A signal is a function of whole columns, as users write them: `signal(columns)` → one row per bar. It is run on the columns as they
are, and then again and again with what lies behind a cut truncated, replaced by noise or NaN, or shuffled: every row up to the
cut must come out equal, bit for bit. Fitted models are audited frozen: a refit on other bars may differ for honest reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats

Columns = Mapping[str, NDArray[np.generic]]
Signal = Callable[[Columns], Floats]
Kind = Literal["truncate", "noise", "nan", "shuffle"]
KINDS: tuple[Kind, ...] = ("truncate", "noise", "nan", "shuffle")
PRICES = ("open", "high", "low", "close")
MIN_BARS = 40  # fewer leave no room for cuts that differ
FIRST_CUT = 10  # a function that is handed two or three bars may fail for want of bars
MAX_CHANGES = 32
SETTLED = 0.01  # of the signal's own spread: what is left moves no decision but at a threshold


@dataclass(frozen=True, slots=True)
class Leak:
    """With the bars after `cut` changed by `kind`, the signal of `row` (≤ cut) came out otherwise: before and after."""

    kind: Kind
    cut: int
    row: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Audit:
    """passed: no leak, and two runs on the same bars agreed. cuts: bars behind which the future was changed.

    warm_up_bars: rows before the first finite one. not_run: why a kind of change could not be tried.
    """

    passed: bool
    deterministic: bool
    leaks: tuple[Leak, ...]
    cuts: tuple[int, ...]
    runs: int
    warm_up_bars: int
    not_run: Mapping[Kind, str]

    @property
    def reason(self) -> str:
        """One sentence: what was found."""
        if not self.deterministic:
            return "two runs on the same bars gave different signals: fix its random seed, or what it remembers between runs"
        if self.leaks:
            leak = self.leaks[0]
            return (
                f"it looks ahead: with the bars after bar {leak.cut} changed ({leak.kind}), its signal of bar {leak.row} "
                f"became {leak.after:g} instead of {leak.before:g}"
            )
        return f"no look-ahead in {self.runs} runs with the future changed behind {len(self.cuts)} bars"


def audit_lookahead(
    signal: Signal,
    columns: Columns,
    *,
    cuts: int = 32,
    kinds: Sequence[Kind] = KINDS,
    stop_at: int = 5,
    tolerance: float = 0.0,
    rng: np.random.Generator,
) -> Audit:
    """Run `signal` with the future changed behind at least `cuts` bars and behind those at which it changes.

    columns: arrays of one length, at least 40 bars; those named open, high, low, close keep being prices under noise. signal: gives
    shape (bars,) or (bars, k) for as many bars as it is handed, and must not change what it is handed. stop_at: leaks
    after which enough is known. tolerance: relative difference that is rounding; 0 for
    all that computes row by row, above it only for what sums in another order when it is handed fewer bars. Raises InvalidRequest for columns or a signal of another shape. What the signal itself
    raises on NaN means that this kind is not run; raised on the other kinds, it climbs out.
    """
    bars = _length(columns)
    first = _run(signal, columns, bars)
    again = _run(signal, columns, bars)
    finite = np.isfinite(first).all(axis=1)
    warm_up = int(np.argmax(finite)) if finite.any() else bars
    behind = _cuts(first, warm_up, cuts, rng)
    leaks: list[Leak] = []
    not_run: dict[Kind, str] = {}
    runs = 2
    deterministic = _first_difference(first, again, 0.0) is None
    for cut in behind if deterministic else ():
        for kind in kinds:
            if kind in not_run or len(leaks) >= stop_at:
                continue
            changed = _changed(columns, cut, kind, rng)
            try:
                rows = _run(signal, changed, _length(changed))
            except Exception as error:
                if kind != "nan":
                    raise
                not_run[kind] = f"it refuses NaN ({type(error).__name__})"
                continue
            runs += 1
            differs = _first_difference(first[: cut + 1], rows[: cut + 1], tolerance)
            if differs is not None:
                row, column = differs
                leaks.append(Leak(kind, cut, row, float(first[row, column]), float(rows[row, column])))
    passed = deterministic and not leaks
    return Audit(passed, deterministic, tuple(leaks), tuple(behind), runs, warm_up, not_run)


def settled_after(rows: Floats, later: Floats, *, tolerance: float = SETTLED) -> int | None:
    """How many bars a signal needs until it no longer matters where its history began; None when that never happens.

    rows, later: (bars,) or (bars, k) of one stretch, by a signal whose history began earlier, and by one whose history begins with
    it. Settled is what from there on differs by at most `tolerance` of its own spread. A recursive average or one over all bars
    so far needs longer than its first value suggests: with less history than that, live signals are not the tested ones.
    """
    first, second = np.atleast_2d(rows.T).T, np.atleast_2d(later.T).T
    if first.shape != second.shape:
        raise InvalidRequest(f"both signals must have one shape, not {first.shape} and {second.shape}")
    known = np.isfinite(first).all(axis=1)
    spread = first[known].std(axis=0) if known.any() else np.zeros(first.shape[1])
    with np.errstate(invalid="ignore"):
        apart = ~(np.abs(first - second) <= tolerance * spread) & ~(np.isnan(first) & np.isnan(second))
    different = np.flatnonzero(apart.any(axis=1))
    if not different.size:
        return 0
    return int(different[-1]) + 1 if different[-1] + 1 < len(first) else None


def _length(columns: Columns) -> int:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise InvalidRequest(f"columns must have one length, not {sorted(lengths)}")
    return lengths.pop()


def _run(signal: Signal, columns: Columns, bars: int) -> Floats:
    """The signal on a copy of its own, as (bars, k): a function that writes into its input would hide its leaks."""
    found = np.asarray(signal({name: values.copy() for name, values in columns.items()}), dtype=np.float64)
    if found.ndim not in (1, 2) or len(found) != bars:
        raise InvalidRequest(f"a signal must give one row per bar: {bars} bars went in, shape {found.shape} came out")
    return found.reshape(bars, -1)


def _cuts(rows: Floats, warm_up: int, wanted: int, rng: np.random.Generator) -> list[int]:
    bars = len(rows)
    if bars < MIN_BARS:
        raise InvalidRequest(f"an audit needs at least {MIN_BARS} bars, not {bars}")
    last = bars - 2  # one bar at least must follow
    begin = min(max(warm_up, FIRST_CUT), max(FIRST_CUT, last - wanted))
    spread = np.linspace(begin, last, min(wanted, last - begin + 1)).astype(int)
    # Where the signal changes it is most likely to have seen why. The bar before, too: a leak of one bar shows there.
    changes = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1) & np.isfinite(rows[1:]).all(axis=1))
    if changes.size > MAX_CHANGES // 2:
        changes = rng.choice(changes, MAX_CHANGES // 2, replace=False)
    chosen = {*spread.tolist(), *(int(at) for at in changes), *(int(at) + 1 for at in changes)}
    return sorted(cut for cut in chosen if FIRST_CUT <= cut <= last)


def _changed(columns: Columns, cut: int, kind: Kind, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    if kind == "truncate":
        return {name: values[: cut + 1] for name, values in columns.items()}
    after = slice(cut + 1, None)
    changed = {name: values.copy() for name, values in columns.items()}
    count = _length(columns) - cut - 1
    order = rng.permutation(count)
    # One factor for the four prices of a bar: high stays the highest, so that what checks its bars takes them.
    factor = np.exp(rng.normal(0, 0.1, count))
    for name, values in changed.items():
        if not np.issubdtype(values.dtype, np.floating):
            continue  # stamps stay: the calendar is known in advance
        if kind == "noise":
            values[after] = values[after] * (factor if name in PRICES else np.exp(rng.normal(0, 0.5, count)))
        elif kind == "nan":
            values[after] = np.nan
        else:
            values[after] = values[after][order]
    return changed


def _first_difference(before: Floats, after: Floats, tolerance: float) -> tuple[int, int] | None:
    """Row and column of the first value that differs by more than the tolerance, NaN equal to NaN."""
    close = np.abs(before - after) <= tolerance * np.maximum(np.abs(before), np.abs(after))
    same = (before == after) | close | (np.isnan(before) & np.isnan(after))
    if same.all():
        return None
    row, column = np.argwhere(~same)[0]
    return int(row), int(column)
