"""Markets made for a test, and the agents over real stores: bars, registry, ledger, evaluations, answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evolve.agents.model_builder import BuildOrder, Built, ModelBuilderAgent
from evolve.agents.performance_critic import PerformanceCriticAgent
from evolve.cards import ComparisonCard, EvaluationCard
from evolve.clock import FrozenClock
from evolve.market.bars import Bars
from evolve.market.catalog import Catalog
from evolve.market.store import BarStore
from evolve.memory.aliases import Aliases
from evolve.memory.answers import Answers
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.evaluations import Evaluations
from evolve.memory.registry import Registry
from evolve.memory.studies import Studies
from evolve.memory.trials import TrialLedger
from evolve.settings import Settings

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_262_304_000_000  # 2010-01-01


def silent(stage: str, done: int, total: int, message: str = "") -> None:
    """Progress that nobody watches."""


def daily_bars(log_returns: np.ndarray, *, symbol: str = "TEST", volume: float = 1e6) -> Bars:
    """One bar a calendar day from a close of 100; each opens at the close before it, so that a fill misses no move."""
    close = 100 * np.exp(np.cumsum(log_returns))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars(
        symbol=symbol,
        timeframe="1d",
        time=FIRST_DAY_MS + DAY_MS * np.arange(len(close)),
        open=open_,
        high=np.maximum(open_, close) * 1.001,
        low=np.minimum(open_, close) / 1.001,
        close=close,
        volume=np.full(len(close), volume),
        source="made for a test",
        bars_per_year=252.0,
    )


def noise(bars: int, *, seed: int = 1, symbol: str = "NOISE") -> Bars:
    return daily_bars(np.random.default_rng(seed).normal(0.0002, 0.015, bars), symbol=symbol)


def autoregressive(bars: int, *, coefficient: float = 0.3, seed: int = 2, symbol: str = "EDGY") -> Bars:
    """A market that remembers: each return holds `coefficient` of the one before, far more than trading it costs."""
    shocks = np.random.default_rng(seed).normal(0, 0.015, bars)
    returns = np.zeros(bars)
    for bar in range(1, bars):
        returns[bar] = coefficient * returns[bar - 1] + shocks[bar]
    return daily_bars(returns, symbol=symbol)


@dataclass(frozen=True)
class Desk:
    """Everything the agents share. build, evaluate, compare: with what a test rarely cares about filled in."""

    settings: Settings
    store: BarStore
    catalog: Catalog
    registry: Registry
    ledger: TrialLedger
    evaluations: Evaluations
    answers: Answers
    log: DecisionLog
    clock: FrozenClock
    builder: ModelBuilderAgent
    critic: PerformanceCriticAgent

    def build(self, model_type: str, symbol: str, *, request_id: str | None = None, **options: object) -> Built:
        order = BuildOrder(model_type, symbol, options.pop("timeframe", None), **options)  # type: ignore[arg-type]
        return self.builder.build(order, request_id=request_id or next_id(), progress=silent)

    def evaluate(self, model_id: str, **options: object) -> EvaluationCard:
        usual: dict[str, object] = {
            "symbol": None,
            "timeframe": None,
            "period": "90d",
            "metrics": ("sharpe",),
            "simulate": False,
        }
        return self.critic.evaluate(model_id, request_id=next_id(), progress=silent, **{**usual, **options})  # type: ignore[arg-type]

    def compare(self, *model_ids: str, **options: object) -> ComparisonCard:
        usual: dict[str, object] = {"symbol": None, "timeframe": None, "period": "90d", "simulate": False}
        return self.critic.compare(model_ids, request_id=next_id(), progress=silent, **{**usual, **options})  # type: ignore[arg-type]


_count = 0


def next_id() -> str:
    global _count
    _count += 1
    return f"request-{_count}"


def open_desk(settings: Settings) -> Iterator[Desk]:
    clock = FrozenClock(seconds=1_767_225_600.0)  # 2026-01-01
    with Database.open(settings) as database:
        store = BarStore(settings.home)
        catalog, registry = Catalog(store), Registry(database, ArtifactStore.open(settings))
        ledger, evaluations = TrialLedger(database), Evaluations(database)
        yield Desk(
            settings, store, catalog, registry, ledger, evaluations, Answers(database), DecisionLog(database), clock,
            ModelBuilderAgent(catalog, registry, ledger, Aliases(database), Studies(database), clock=clock),
            PerformanceCriticAgent(catalog, registry, evaluations, ledger, clock=clock),
        )  # fmt: skip
