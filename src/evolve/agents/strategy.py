"""What does a strategy given as code want to hold at each bar, and how is such a strategy told from another?

A decision is a target position, a fraction of equity in [-1, 1], or a signal: BUY (1), SELL (-1), FLAT (0), HOLD (as before). Either
alone or as `position` or `signal` of a dict, whose other keys are its own affair. None is no decision yet, and holds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evolve.backtest.sizing import volatility_targeted
from evolve.cards import Recipe
from evolve.errors import InvalidRequest
from evolve.market.bars import Bars, Floats
from evolve.market.pair import Pair

SIGNALS = {"BUY": 1.0, "SELL": -1.0, "FLAT": 0.0}
ALLOWED = 'a position in [-1, 1], "BUY", "SELL", "FLAT" or "HOLD", or a dict with one of them as "position" or "signal"'
MODEL_TYPE = "code"


@dataclass(frozen=True)
class Strategy:
    """A program that decides at each close. long_only: SELL means out of the market, and negative positions count as 0.

    volatility_target: a year, to which its positions are scaled (0.15 is 15 %); None leaves them as they were decided.
    """

    code: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    long_only: bool = False
    volatility_target: float | None = None

    def recipe(self, bars: Bars, *, folds: int, first_bar: int) -> Recipe:
        """What makes it a trial of its own: the program, its parameters, and the symbol. first_bar: the first decision that counts."""
        return Recipe(
            model_type=MODEL_TYPE,
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            features=(),
            hyperparameters={
                "code_sha256": self.code_sha256,
                "parameters": dict(self.parameters),
                "long_only": self.long_only,
                **({} if self.volatility_target is None else {"volatility_target": self.volatility_target}),
            },
            horizon_bars=1,
            seed=0,
            folds=folds,
            embargo_bars=0,
            first_train_bars=first_bar,
        )

    @property
    def code_sha256(self) -> str:
        return hashlib.sha256(self.code.encode("utf-8")).hexdigest()

    def positions(self, decisions: Sequence[Any], bars: Bars) -> Floats:
        """The target position at each close, shape (bars,). Raises InvalidRequest naming the bar whose decision is none."""
        held = 0.0
        found = np.empty(len(decisions))
        for bar, decision in enumerate(decisions):
            wanted = _target(decision, f"{self.name} at bar {bar} ({bars.date(bar)})")
            if wanted is not None:
                held = max(0.0, wanted) if self.long_only else wanted
            found[bar] = held
        if self.volatility_target is None:
            return found
        return volatility_targeted(
            found,
            bars.close[: len(found)],
            annual_volatility=self.volatility_target,
            bars_per_year=bars.bars_per_year,
        )

    def differs(self, decisions: Sequence[Any], again: Sequence[Any], bars: Bars) -> str:
        """Where a second run on the same bars decided otherwise, as a sentence; empty when it did not. Raises as `positions` does."""
        first, second = self.positions(decisions, bars), self.positions(again, bars)
        common = min(len(first), len(second))
        different = np.flatnonzero(first[:common] != second[:common])
        if not different.size and len(first) == len(second):
            return ""
        bar = int(different[0]) if different.size else common
        return (
            f"run twice on the same bars, {self.name} decided differently, first at bar {bar} ({bars.date(min(bar, len(bars) - 1))}): "
            "fix its random seed; what cannot be repeated cannot be relied on"
        )


def _target(decision: Any, where: str) -> float | None:
    """The position asked for; None to hold what there is. Raises InvalidRequest for what is no decision."""
    asked = decision
    if isinstance(asked, dict):
        if "position" not in asked and "signal" not in asked:
            keys = ", ".join(map(str, asked)) or "no key"
            raise InvalidRequest(f"{where} returned a dict with {keys[:100]}: return {ALLOWED}")
        asked = asked["position"] if asked.get("position") is not None else asked.get("signal")
    if asked is None:
        return None
    if isinstance(asked, str):
        signal = asked.strip().upper()
        if signal == "HOLD":
            return None
        if signal in SIGNALS:
            return SIGNALS[signal]
    elif isinstance(asked, int | float) and not isinstance(asked, bool) and math.isfinite(asked) and -1 <= asked <= 1:
        return float(asked)
    raise InvalidRequest(f"{where} returned {str(asked)[:60]!r}: return {ALLOWED}")


def columns_of(bars: Bars | Pair) -> dict[str, list[Any]]:
    """The bars as a strategy is sent them, one list per column, oldest first; `time` is ISO text, UTC. Of a pair also its legs."""
    if isinstance(bars, Pair):
        # A pair has no volume of its own.
        return {**columns_of(bars.bars), "volume": [None] * len(bars.bars), **bars.columns()}
    return {
        "time": [bars.date(bar) for bar in range(len(bars))],
        "open": bars.open.tolist(),
        "high": bars.high.tolist(),
        "low": bars.low.tolist(),
        "close": bars.close.tolist(),
        "volume": bars.volume.tolist(),
    }
