"""Where do bars come from? What every source can say and do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evolve.market.bars import Bars
from evolve.market.types import Timeframe


@dataclass(frozen=True, slots=True, order=True)
class BarSpec:
    """Which bars: one symbol at one timeframe."""

    symbol: str
    timeframe: Timeframe


class Source(Protocol):
    @property
    def name(self) -> str: ...

    def symbols(self) -> list[BarSpec]:
        """Everything that `load` can answer, sorted."""
        ...

    def load(self, spec: BarSpec) -> Bars:
        """The bars, oldest first. Raises DataUnavailable when the source has none."""
        ...
