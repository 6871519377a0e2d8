"""A watched model on a SIMULATED feed: drift, retraining, shadow, promotion, a bad promotion forced in, and its rollback.

Everything but the prices is the real thing: registry, decision log, timetable, tests. The prices are invented: yesterday's return
carries on into today's, until the day it begins to turn around instead.

    python examples/watched_model.py            # about half a minute
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evolve.agents.model_builder import BuildOrder, ModelBuilderAgent
from evolve.agents.roster import Roster
from evolve.agents.timetable import Round, Timetable
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
from evolve.memory.leadership import Leadership
from evolve.memory.registry import Registry
from evolve.memory.trials import TrialLedger
from evolve.memory.watches import Watches
from evolve.settings import Settings

SYMBOL, TIMEFRAME = "FEEDUSDT", "1d"  # a crypto pair by its name: it trades every day
DAY_MS = 86_400_000
FIRST_DAY_MS = 1_577_836_800_000  # 2020-01-01
TRAINED, TURNS, DAYS = 700, 800, 1_500
CARRIES_ON = 0.45  # of yesterday's return over volatility: a fifth of the variance, far more than any market gives


@dataclass
class SimulatedFeed:
    """Bars of an invented symbol, one more each day of the clock."""

    clock: FrozenClock

    def __post_init__(self) -> None:
        rng = np.random.default_rng(8)
        log_variance = np.zeros(DAYS)
        for day in range(1, DAYS):
            log_variance[day] = 0.98 * log_variance[day - 1] + 0.15 * rng.standard_normal()
        scaled = np.zeros(DAYS)
        for day in range(1, DAYS):
            carry = CARRIES_ON if day < TURNS else -CARRIES_ON
            scaled[day] = carry * scaled[day - 1] + np.sqrt(1 - CARRIES_ON**2) * rng.standard_normal()
        volatility = 0.02 * np.exp(log_variance / 2)
        close = 100 * np.exp(np.cumsum(volatility * scaled))
        open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(0.1 * volatility * rng.standard_normal(DAYS))
        reach = np.exp(volatility * np.abs(rng.standard_normal((2, DAYS))) / 2)
        self._all = Bars(
            symbol=SYMBOL, timeframe=TIMEFRAME, time=FIRST_DAY_MS + DAY_MS * np.arange(DAYS), open=open_,
            high=np.maximum(open_, close) * reach[0], low=np.minimum(open_, close) / reach[1], close=close, volume=np.full(DAYS, 1e6),
            source="SIMULATED", bars_per_year=365.0, simulated=True, notes=("SIMULATED: an invented feed",),
        )  # fmt: skip

    def load(self, symbol: str, timeframe: str | None = None, *, simulate: bool = False) -> Bars:
        return self._all.slice(0, int(np.searchsorted(self._all.available_at, 1000 * self.clock.now(), side="right")))


class InProcess:
    """The other services, called directly."""

    def __init__(self, builder: ModelBuilderAgent) -> None:
        self._builder = builder
        self._count = 0

    def build(self, order: BuildOrder) -> ModelCard:
        self._count += 1
        return self._builder.build(order, request_id=f"build-{self._count}", progress=self.progress).card

    def tune(self, order: TuningOrder) -> Tuning:
        raise Unavailable("the meta tuner is not part of this run", service="meta_tuner")

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        pass


def main(home: Path) -> None:
    clock = FrozenClock(FIRST_DAY_MS / 1000 + TRAINED * 86_400 + 60)
    feed, database = SimulatedFeed(clock), Database.open(Settings.load(home=home))
    registry = Registry(database, ArtifactStore.open(Settings.load(home=home)), clock=clock)
    aliases, ledger = Aliases(database, clock=clock), TrialLedger(database)
    log, watches = DecisionLog(database), Watches(database, clock=clock)
    desk = InProcess(ModelBuilderAgent(feed, registry, ledger, aliases, clock=clock))  # type: ignore[arg-type]
    agent = UpdaterAgent(Roster(feed, registry, aliases), log, watches, ledger, clock=clock)
    timetable = Timetable(watches, Leadership(database, clock=clock), holder="this run", clock=clock)

    def say(text: str) -> None:
        day = round((clock.now() * 1000 - FIRST_DAY_MS) / DAY_MS)
        print(f"{datetime.fromtimestamp(clock.now(), UTC):%Y-%m-%d} bar {day:>4}  {text}")

    def carry_out(due: Round) -> None:
        done = agent.auto_update(due.symbol, due.timeframe, update_type="smart", desk=desk, request_id=due.name)
        agent.finish_round(due.symbol, due.timeframe, due.at, done.reason)
        for step in done.steps:
            if step.kind not in ("looked", "drifted"):
                say(f"{step.kind:<11} {step.model_id}{f' (other: {step.other})' if step.other else ''}: {step.reason}")

    def live(days: int, *, until_champion_is_not: str | None = None) -> None:
        for _ in range(days):
            clock.advance(86_400)
            timetable.step(carry_out)
            if (
                until_champion_is_not
                and aliases.holder("champion", symbol=SYMBOL, timeframe=TIMEFRAME) != until_champion_is_not
            ):
                return

    first = desk.build(BuildOrder("ridge", SYMBOL, TIMEFRAME, simulate=True)).model_id
    agent.watch(first, cron="0 1 * * 1", timezone="UTC", max_age_bars=250, request_id="watch")
    say(f"watched     {first}, every Monday at 01:00 UTC")
    live(TURNS - TRAINED)
    say("            — from here on yesterday's return no longer carries on: it turns around —")
    live(400, until_champion_is_not=first)
    live(120)
    champion = aliases.holder("champion", symbol=SYMBOL, timeframe=TIMEFRAME)
    assert champion is not None
    assert champion != first
    refused = agent.replace(champion, first, reason="I liked the old one", force=False, desk=desk, request_id="by-hand")
    say(f"replace_model success={refused.success}: {refused.reason}")
    forced = agent.replace(champion, first, reason="I liked the old one", force=True, desk=desk, request_id="by-force")
    say(f"replace_model success={forced.success}, forced={forced.forced}: {forced.reason}")
    live(180, until_champion_is_not=first)
    now = aliases.holder("champion", symbol=SYMBOL, timeframe=TIMEFRAME)
    say(f"in charge   {now}")
    print(f"\nsteps on record of {first}: " + ", ".join(step.kind for step in reversed(agent.history(first, 100))))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(directory))
