"""A feed that grows day by day, and the updater over it with real stores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evolve.agents.model_builder import BuildOrder, ModelBuilderAgent
from evolve.agents.roster import Roster
from evolve.agents.updater import UpdaterAgent
from evolve.agents.updater_desk import Tuning, TuningOrder
from evolve.cards import ModelCard
from evolve.clock import FrozenClock
from evolve.errors import Unavailable
from evolve.market.bars import Bars
from evolve.memory.aliases import Aliases
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.registry import Registry
from evolve.memory.trials import TrialLedger
from evolve.memory.watches import Watches
from evolve.settings import Settings

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_577_836_800_000
_ids = itertools.count(1)


def next_id() -> str:
    return f"request-{next(_ids)}"


@dataclass
class Feed:
    """Daily bars of a symbol that trades every day; `carry` of each return over volatility goes on into the next, from a bar on reversed."""

    clock: FrozenClock
    turns_at: int = 10_000
    carry: float = 0.45
    bars: int = 1_400

    def __post_init__(self) -> None:
        rng = np.random.default_rng(8)
        scaled = np.zeros(self.bars)
        for bar in range(1, self.bars):
            sign = 1 if bar < self.turns_at else -1
            scaled[bar] = sign * self.carry * scaled[bar - 1] + np.sqrt(1 - self.carry**2) * rng.standard_normal()
        close = 100 * np.exp(np.cumsum(0.02 * scaled))
        open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(0.002 * rng.standard_normal(self.bars))
        reach = np.exp(0.01 * np.abs(rng.standard_normal((2, self.bars))))
        self._all = Bars(
            symbol="FEEDUSDT", timeframe="1d", time=FIRST_DAY_MS + DAY_MS * np.arange(self.bars), open=open_,
            high=np.maximum(open_, close) * reach[0], low=np.minimum(open_, close) / reach[1], close=close,
            volume=np.full(self.bars, 1e6), source="SIMULATED", bars_per_year=365.0, simulated=True,
        )  # fmt: skip

    def load(self, symbol: str, timeframe: str | None = None, *, simulate: bool = False) -> Bars:
        known = int(np.searchsorted(self._all.available_at, 1000 * self.clock.now(), side="right"))
        return replace(self._all.slice(0, known), symbol=symbol)

    def move_to(self, bars: int) -> None:
        """So many bars are known."""
        self.clock.seconds = FIRST_DAY_MS / 1000 + bars * 86_400 + 60


class Builder:
    """The model builder asked directly, and a meta tuner that answers what it is told to."""

    def __init__(self, builder: ModelBuilderAgent, finds: dict[str, float] | None = None) -> None:
        self._builder = builder
        self.finds = finds
        self.asked: list[TuningOrder] = []
        self.built = 0

    def build(self, order: BuildOrder) -> ModelCard:
        self.built += 1
        return self._builder.build(order, request_id=next_id(), progress=self.progress).card

    def tune(self, order: TuningOrder) -> Tuning:
        self.asked.append(order)
        if self.finds is None:
            raise Unavailable("meta_tuner is not running", service="meta_tuner")
        return Tuning(self.finds, self.finds, 0.01, 0.002)

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        """Nobody watches."""


@dataclass
class Stable:
    """The updater and everything around it."""

    feed: Feed
    clock: FrozenClock
    registry: Registry
    aliases: Aliases
    watches: Watches
    log: DecisionLog
    desk: Builder
    agent: UpdaterAgent

    def build(self, model_type: str = "ridge", symbol: str = "FEEDUSDT", **hyperparameters: float) -> str:
        order = BuildOrder(model_type, symbol, "1d", hyperparameters=hyperparameters, simulate=True)
        return self.desk.build(order).model_id

    def champion(self, symbol: str = "FEEDUSDT") -> str | None:
        return self.aliases.holder("champion", symbol=symbol, timeframe="1d")

    def challenger(self, symbol: str = "FEEDUSDT") -> str | None:
        return self.aliases.holder("challenger", symbol=symbol, timeframe="1d")

    def watch(self, model_id: str, **options: object) -> None:
        usual: dict[str, object] = {"cron": "0 1 * * *", "timezone": "UTC", "max_age_bars": 126}
        self.agent.watch(model_id, request_id=next_id(), **{**usual, **options})  # type: ignore[arg-type]

    def update(self, symbol: str = "FEEDUSDT", update_type: str = "smart", request_id: str | None = None):
        return self.agent.auto_update(
            symbol, "1d", update_type=update_type, desk=self.desk, request_id=request_id or next_id()
        )

    def replace(self, old: str, new: str, *, force: bool = False):
        return self.agent.replace(old, new, reason="better", force=force, desk=self.desk, request_id=next_id())

    def retrain(self, model_id: str, retrain_type: str = "incremental", request_id: str | None = None):
        return self.agent.retrain(
            model_id, period="30d", retrain_type=retrain_type, desk=self.desk, request_id=request_id or next_id()
        )


@contextmanager
def open_stable(home: Path, **feed: float) -> Iterator[Stable]:
    settings, clock = Settings.load(home=home), FrozenClock()
    with Database.open(settings) as database:
        fed = Feed(clock, **feed)  # type: ignore[arg-type]
        fed.move_to(600)
        registry = Registry(database, ArtifactStore.open(settings), clock=clock)
        aliases, ledger = Aliases(database, clock=clock), TrialLedger(database)
        log, watches = DecisionLog(database), Watches(database, clock=clock)
        desk = Builder(ModelBuilderAgent(fed, registry, ledger, aliases, clock=clock))  # type: ignore[arg-type]
        agent = UpdaterAgent(Roster(fed, registry, aliases), log, watches, ledger, clock=clock)
        yield Stable(fed, clock, registry, aliases, watches, log, desk, agent)
