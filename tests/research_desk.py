"""A research desk in one process: the real sandbox and the real critic, and bars with an edge that costs remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_services import Waits
from evolve.agents.performance_critic import PerformanceCriticAgent
from evolve.agents.replication import ProgramRun
from evolve.agents.research import ResearchAgent
from evolve.agents.strategy import Strategy, columns_of
from evolve.cards import ComparisonCard
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog
from evolve.market.pair import Pair
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.memory.library import Library
from evolve.memory.research_log import ResearchLog
from evolve.sandbox.executor import SafeExecutor
from evolve.settings import Settings
from research_services import outside

DAY_MS = 86_400_000
NOWHERE = {"github_url": "http://127.0.0.1:9", "arxiv_url": "http://127.0.0.1:9"}  # nobody listens on port 9
REVERSAL = (
    "Short-term reversal: a contrarian strategy that buys what fell over the last 1 day and shorts what has risen."
)


def bouncing(bars: int = 1500) -> Bars:
    """A price that jumps between bid and ask: yesterday's fall is tomorrow's rise, by less than a trade costs (5 bp a leg)."""
    chance = np.random.default_rng(5)
    fair = np.cumsum(chance.normal(0, 2e-4, bars))
    close = 100 * np.exp(fair + 3e-4 * chance.choice([-1.0, 1.0], bars))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars(
        symbol="BOUNCE", timeframe="1d", time=1_400_000_000_000 + DAY_MS * np.arange(bars), open=open_, high=np.maximum(open_, close),
        low=np.minimum(open_, close), close=close, volume=np.full(bars, 1e6), source="made for a test", bars_per_year=252.0,
    )  # fmt: skip


class Bench:
    """The real sandbox and the real critic, without the bus between them. spoil: what to do to a program before it runs."""

    def __init__(self, executor: SafeExecutor, settings: Settings) -> None:
        self.executor = executor
        self.critic = PerformanceCriticAgent.from_settings(settings)
        self.runs = 0
        self.fails: list[ProgramRun] = []

    def run(self, code: str, name: str, bars: Mapping[str, Sequence[Any]], about: Mapping[str, str]) -> ProgramRun:
        self.runs += 1
        if self.fails:
            return self.fails.pop(0)
        rows = [{column: bars[column][bar] for column in bars} for bar in range(len(bars["close"]))]
        done = self.executor.run_bars(code, name, rows, {})
        return ProgramRun(done.result.status, done.result.error or "", done.decisions)

    def backtest(self, code: str, name: str, given: Bars | Pair) -> ComparisonCard:
        if isinstance(given, Pair):
            made, notes = self.critic.pair_for(given.first.symbol, given.second.symbol, "1d", simulate=False)
            bars = made.bars
        else:
            bars, notes = self.critic.bars_for(given.symbol, given.timeframe, simulate=False)
            made = bars
        run = self.run(code, name, columns_of(made), {})
        return self.critic.backtest(
            Strategy(code, name),
            run.decisions,
            bars,
            period="1y",
            notes=notes,
            again=run.decisions,
            request_id="b",
            progress=self.progress,
        )

    def progress(self, *_: object) -> None:
        pass


def agent(settings: Settings, database: Database, waits: Waits | None = None, **urls: object) -> ResearchAgent:
    waits = waits or Waits()
    return ResearchAgent(
        outside(settings.home, waits, **{**NOWHERE, **urls}), Library(database, clock=waits.clock), ResearchLog(database, clock=waits.clock),
        Catalog(BarStore(settings.home)), clock=waits.clock,
    )  # fmt: skip


def suggest(
    desk: ResearchAgent, bench: Bench, description: str, reference: str = "", request_id: str = "r", **more: Any
):
    return desk.suggest(
        description, reference, "strategy", workbench=bench, request_id=request_id,
        **{"symbol": "BOUNCE", "timeframe": "1d", "simulate": False, **more},
    )  # fmt: skip
