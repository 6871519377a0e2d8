"""Does a study survive the death of those who work on it? Replicas of the meta tuner as processes, killed with SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.client.client import ServiceClient
from evolve.contracts.meta_tuner import HyperparametersTuned, TuneHyperparameters
from evolve.errors import Cancelled, EvolveError
from evolve.market.bars import Bars
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.memory.studies import Studies, StudyTrial
from evolve.memory.trials import TrialLedger
from evolve.messaging import embedded
from evolve.messaging.envelope import new_request_id
from evolve.settings import Settings
from evolve.tunings import FINISHED
from homes import END_S, environment_of, until

pytestmark = [pytest.mark.xdist_group("tuner replicas"), pytest.mark.timeout(1_800)]

PROGRAM = "import sys; from evolve.services.launch import main; sys.exit(main(['meta_tuner']))"
QUICK = {
    "EVOLVE_LEASE_S": "2",
    "EVOLVE_HEARTBEAT_S": "0.3",
    "EVOLVE_META_TUNER_SLOTS": "2",
    "EVOLVE_RETRY_FIRST_S": "0.1",
}
DAY_MS = 86_400_000


def market(bars: int = 1_500) -> Bars:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars(
        symbol="NOISE", timeframe="1d", time=1_300_000_000_000 + DAY_MS * np.arange(bars), open=open_, high=np.maximum(open_, close),
        low=np.minimum(open_, close), close=close, volume=np.full(bars, 1e6), source="made for a test", bars_per_year=252.0,
    )  # fmt: skip


@dataclass
class Tuners:
    """Replicas in one home, who asks them, and their table of trials."""

    home: Path
    client: ServiceClient
    studies: Studies
    ledger: TrialLedger
    launched: list[subprocess.Popen[bytes]] = field(default_factory=list)
    outcome: HyperparametersTuned | EvolveError | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """One more replica, that answers."""
        front = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment_of(self.home, OMP_NUM_THREADS="1", **QUICK),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.launched.append(front)
        until(lambda: front.pid in self.pids(), what="a replica's heartbeat")
        return front

    def replicas(self) -> list[dict[str, Any]]:
        return list(self.client.get_service_status("meta_tuner").get("replicas", []))

    def pids(self) -> list[int]:
        return [replica["pid"] for replica in self.replicas()]

    def in_flight(self) -> int:
        return sum(replica["in_flight"] for replica in self.replicas())

    def kill_one_at_work(self) -> None:
        """The busiest: of one that tunes and two that work on it, among two replicas, it holds a worker."""
        alive = {front.pid: front for front in self.launched if front.poll() is None}
        busiest = max((each for each in self.replicas() if each["pid"] in alive), key=lambda each: each["in_flight"])
        os.kill(busiest["pid"], signal.SIGKILL)
        alive[busiest["pid"]].wait()

    def tune(self, trials: int) -> str:
        """Ask for a search in the background; returns the request's id. `outcome` becomes the reply, or the error."""
        request_id = new_request_id()
        request = TuneHyperparameters(
            model_type="xgboost", symbol="NOISE", timeframe="1d", n_trials=trials, cv_folds=2, features=("return_1",),
            optimization_method="random", stop_early=False, prune=False, workers=2,
            param_space={"max_depth": [1, 2], "learning_rate": {"low": 0.01, "high": 0.2}, "n_estimators": [10, 15, 20]},
        )  # fmt: skip

        def ask() -> None:
            try:
                self.outcome = self.client.ask(request, timeout=1_500, request_id=request_id)
            except EvolveError as error:
                self.outcome = error

        self.asking = threading.Thread(target=ask)
        self.asking.start()
        return request_id

    def trials(self, study_id: str | None = None) -> tuple[StudyTrial, ...]:
        found = study_id or self.study_id()
        return self.studies.trials(found) if found else ()

    def study_id(self) -> str | None:
        ids = self.studies.ids()
        return ids[0] if ids else None

    def finished(self) -> dict[int, tuple[float | None, str]]:
        return {trial.number: (trial.score, str(trial.params)) for trial in self.trials() if trial.state in FINISHED}

    def end(self) -> None:
        for front in self.launched:
            front.terminate()
        for front in self.launched:
            try:
                front.wait(END_S)
            finally:
                front.kill()
                front.wait()


@pytest.fixture
def tuners(home: Path, settings: Settings) -> Iterator[Tuners]:
    BarStore(settings.home).save(market())
    embedded.ensure(home)
    with ServiceClient(settings=settings) as client, Database.open(settings) as database:
        tuners = Tuners(home, client, Studies(database), TrialLedger(database))
        yield tuners
        tuners.end()


def outlive(tuners: Tuners, trials: int, *, every: int, replace: bool) -> int:
    """Tune, and kill a replica at work whenever `every` more trials are finished, at most all but one at once unless replaced.

    Returns how many were killed.
    """
    tuners.tune(trials)
    killed = 0
    seen = tuners.finished()
    while len(seen) + every < trials and (replace or not killed):
        aim = len(seen) + every
        until(
            lambda aim=aim: len(tuners.finished()) >= aim or tuners.outcome, within_s=240, what=f"{aim} finished trials"
        )  # type: ignore[misc]
        now = tuners.finished()
        assert {number: now[number] for number in seen} == seen, "a finished trial changed"
        seen = now
        if tuners.outcome:
            break
        tuners.kill_one_at_work()
        killed += 1
        if replace:
            tuners.start()
    tuners.asking.join(timeout=600)
    assert {number: tuners.finished()[number] for number in seen} == seen, "a finished trial changed"
    return killed


def check(tuners: Tuners, trials: int) -> None:
    """All trials finished, none doubled, each counted."""
    assert isinstance(tuners.outcome, HyperparametersTuned), tuners.outcome
    card = tuners.outcome.result
    found = tuners.trials(card.study_id)

    assert [trial.number for trial in found] == list(range(trials))
    assert {trial.state for trial in found} == {"complete"}
    assert (card.complete, card.n_trials) == (trials, trials)
    assert tuners.ledger.count("NOISE") == len({str(trial.params) for trial in found})
    assert any(trial.runs > 1 for trial in found), "no trial was under way when its worker died"


@pytest.mark.prove
def test_a_cancelled_search_keeps_its_trials_and_the_next_outlives_a_killed_replica_with_all_of_them(
    tuners: Tuners,
) -> None:
    tuners.start()
    tuners.start()
    request_id = tuners.tune(12)
    until(lambda: len(tuners.finished()) >= 3, within_s=60, what="three trials")
    tuners.client.cancel(request_id)
    tuners.asking.join(timeout=30)
    assert isinstance(tuners.outcome, Cancelled)
    until(lambda: tuners.in_flight() == 0, what="the workers to end")
    tuners.outcome = None

    killed = outlive(tuners, 12, every=3, replace=False)

    assert killed == 1
    check(tuners, 12)


@pytest.mark.prove
def test_two_hundred_trials_are_finished_once_each_whatever_dies(tuners: Tuners) -> None:
    tuners.start()
    tuners.start()

    killed = outlive(tuners, 200, every=20, replace=True)

    assert killed >= 8
    check(tuners, 200)
