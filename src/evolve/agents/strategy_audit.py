"""Does a user's program look ahead? It is run in the sandbox again and again, with the bars after a cut changed.

A program is asked first for its decisions on all bars at once. If it answers with one value per bar, it had all bars in its hands,
and is tried as any function of whole columns is (`backtest.lookahead`). If it answers with one decision, it decides bar by bar, as
`evolve backtest` runs it: then no later bar was ever sent to it, and what is left to ask is whether it decides the same again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from evolve.agents.lookahead_audit import SEED, audit_figures
from evolve.agents.strategy import SIGNALS, Strategy, columns_of
from evolve.backtest.lookahead import KINDS, Columns, audit_lookahead, settled_after
from evolve.cards import AuditCard
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.evidence import EvidenceBook
from evolve.market.bars import FIELDS, Bars, Floats

AUDITED_BARS = 400  # more than the windows that people use, and a few hundred runs stay within seconds
MIN_BARS = 100
Cells = dict[str, list[Any]]
Progress = Callable[[str, int, int, str], None]


class Program(Protocol):
    """The user's program, each call in a fresh process behind the wall. Columns: one list each, oldest first, None for no number."""

    def at_once(self, columns: Cells) -> Any:
        """What its entry point returns when it is handed all bars. Raises InvalidRequest when it fails."""
        ...

    def bar_by_bar(self, columns: Cells) -> Sequence[Any]:
        """Its decision at each bar, which it is sent only after the decision before. Raises InvalidRequest when it fails."""
        ...


def audit_strategy(strategy: Strategy, program: Program, bars: Bars, *, progress: Progress) -> AuditCard:
    """The verdict on a program. Raises InvalidRequest for a program that fails, DataUnavailable for too few bars."""
    if len(bars) < MIN_BARS:
        raise DataUnavailable(
            f"{len(bars)} bars of {bars.symbol} are too few to audit {strategy.name}: {MIN_BARS} are needed",
            bars=len(bars),
            needed=MIN_BARS,
        )
    seen = bars.slice(max(0, len(bars) - AUDITED_BARS), len(bars))
    progress("audit", 0, 1, f"handing {strategy.name} {len(seen)} bars of {bars.symbol}")
    try:
        answer = program.at_once(columns_of(seen))
    except InvalidRequest:
        answer = None  # written for one bar after the other, or wrong: the run below tells which
    rows = rows_of(answer, len(seen))
    card = (
        _bar_by_bar(strategy, program, bars, progress)
        if rows is None
        else _at_once(strategy, program, seen, rows, progress)
    )
    progress("audit", 1, 1, card.reason)
    return card


def _at_once(strategy: Strategy, program: Program, bars: Bars, rows: Floats, progress: Progress) -> AuditCard:
    cells = columns_of(bars)
    runs = 0

    def signal(columns: Columns) -> Floats:
        nonlocal runs
        runs += 1
        progress("audit", 0, 1, f"run {runs} of {strategy.name} with another future")
        count = len(columns["close"])
        given = {name: _cells(columns[name]) for name in FIELDS} | {"time": cells["time"][:count]}
        found = rows_of(program.at_once(given), count)
        if found is None:
            raise InvalidRequest(f"{strategy.name} gave one value per bar of {len(bars)} bars, and none of {count}")
        return found

    columns: Mapping[str, Any] = {name: np.array(getattr(bars, name)) for name in FIELDS}
    audit = audit_lookahead(signal, columns, rng=np.random.default_rng(SEED))
    half = len(bars) // 2
    later = rows_of(program.at_once({name: values[half:] for name, values in cells.items()}), len(bars) - half)
    settled = None if later is None else settled_after(rows[half:], later)
    position = np.nan_to_num(rows[:, 0])
    book = EvidenceBook()
    audit_figures(
        strategy.name, bars, book, warm_up_bars=audit.warm_up_bars, settled_bars=settled, compared_bars=len(bars) - half,
        position=position if rows.shape[1] == 1 and (np.abs(position) <= 1).all() else None,
    )  # fmt: skip
    return AuditCard(
        model_id=strategy.name,
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        passed=audit.passed,
        reason=audit.reason,
        bars=len(bars),
        cuts=len(audit.cuts),
        runs=audit.runs,
        kinds=tuple(kind for kind in KINDS if kind not in audit.not_run),
        tolerance=0.0,
        handed="all bars at once",
        figures=tuple(book),
        notes=tuple(f"{kind}: {why}" for kind, why in audit.not_run.items()),
    )


def _bar_by_bar(strategy: Strategy, program: Program, bars: Bars, progress: Progress) -> AuditCard:
    cells = columns_of(bars)
    progress("audit", 0, 1, f"{strategy.name} decides bar by bar, twice")
    decisions = program.bar_by_bar(cells)
    differs = strategy.differs(decisions, program.bar_by_bar(cells), bars)
    half = len(bars) // 2
    later = program.bar_by_bar({name: values[half:] for name, values in cells.items()})
    position = strategy.positions(decisions, bars)
    decided = [bar for bar, decision in enumerate(decisions) if decision is not None]
    book = EvidenceBook()
    audit_figures(
        strategy.name, bars, book, warm_up_bars=decided[0] if decided else len(bars), position=position,
        settled_bars=settled_after(position[half:], strategy.positions(later, bars)), compared_bars=len(bars) - half,
    )  # fmt: skip
    return AuditCard(
        model_id=strategy.name,
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        passed=not differs,
        reason=differs
        or f"no look-ahead: it was sent each of {len(bars):,} bars only after its decision on the one before, and decided the same twice",
        bars=len(bars),
        cuts=0,
        runs=3,
        kinds=(),
        tolerance=0.0,
        handed="bar by bar",
        figures=tuple(book),
    )


def rows_of(answer: Any, bars: int) -> Floats | None:
    """One row per bar from a list, or from a dict of lists; None where the answer is no such thing.

    Numbers stay, BUY, SELL and FLAT become positions, no value is NaN.
    """
    columns = list(answer.values()) if isinstance(answer, dict) else [answer]
    columns = [column for column in columns if isinstance(column, list) and len(column) == bars]
    if not columns:
        return None
    return np.array([[_value(cell) for cell in column] for column in columns], dtype=np.float64).T


def _value(cell: Any) -> float:
    if isinstance(cell, dict):
        cell = cell.get("position", cell.get("signal"))
    if isinstance(cell, str):
        return SIGNALS.get(cell.strip().upper(), math.nan)
    return float(cell) if isinstance(cell, int | float) else math.nan


def _cells(values: Any) -> list[Any]:
    """JSON has no NaN: no number is sent as null."""
    return [None if math.isnan(value) else value for value in values.tolist()]
