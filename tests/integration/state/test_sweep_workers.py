"""A sweep over hundreds of symbols that is killed in its middle, or whose workers are, ends with what it would have ended with: counted."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from clusters import ONE_THREAD, dask_processes, ray_processes
from evolve.market.bars import Bars
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.settings import Settings
from integration.state.conftest import Count

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]
SYMBOLS = 120
KILLS = 3
NAMED = {"local": "local processes", "dask": "Dask", "ray": "Ray by its client port"}


def made_up(symbol: str, seed: int) -> Bars:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, 420)))
    time_ms = 1_577_836_800_000 + 86_400_000 * np.arange(420)
    return Bars(symbol=symbol, timeframe="1d", time=time_ms, open=close, high=close * 1.01, low=close * 0.99, close=close, volume=np.full(420, 1e6), source="made up", bars_per_year=252.0, currency="USD")  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of bars that all homes of these tests read, and the file that names its symbols."""
    place = tmp_path_factory.mktemp("shared")
    store = BarStore.open(Settings.load(home=place, bars_url=f"file://{place}/bars"))
    symbols = [f"S{number}" for number in range(SYMBOLS)]
    for number, symbol in enumerate(symbols):
        store.save(made_up(symbol, number))
    (place / "symbols.txt").write_text("\n".join(symbols))
    return place


def command(shared: Path, models: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "evolve", "sweep", "--symbols", str(shared / "symbols.txt"), "--models", models, "--workers", "2", "--json", *more]  # fmt: skip


def environment(shared: Path, home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, **ONE_THREAD, "EVOLVE_HOME": str(home), "EVOLVE_LOG_DIR": str(home / "logs"), "EVOLVE_BARS_URL": f"file://{shared}/bars", **more}  # fmt: skip


def counts(home: Path) -> tuple[int, int, int]:
    """Scores, trials, and distinct symbols of trials."""
    with closing(sqlite3.connect(f"file:{home / 'evolve.db'}?mode=ro", uri=True)) as database:
        query = "SELECT (SELECT count(*) FROM sweep_scores), count(*), count(DISTINCT symbol) FROM trials"
        scores, trials, symbols = database.execute(query).fetchone()
    return int(scores), int(trials), int(symbols)


def finished(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr[-3000:]
    about: dict[str, object] = json.loads(done.stdout)
    return about


def told(
    counted: Count, fault: str, kills: int, about: dict[str, object], undisturbed: dict[str, object], home: Path
) -> None:
    scores, trials, _ = counts(home)
    mine, theirs = (
        {(each["symbol"], each["model_type"]): each for each in found["ranked"]} for found in (about, undisturbed)
    )  # type: ignore[attr-defined]
    different = sum(mine[pair] != theirs[pair] for pair in mine.keys() & theirs.keys())
    counted(
        fault,
        f"{len(theirs)} pairs",
        kills,
        len(theirs.keys() - mine.keys()),
        max(scores, trials) - len(mine),
        different,
    )


@pytest.fixture(scope="module")
def undisturbed(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    home = tmp_path_factory.mktemp("local")
    return finished(
        subprocess.run(
            command(shared, "ridge,ets"), env=environment(shared, home), capture_output=True, text=True, timeout=600
        )
    )


def disturbed(process: subprocess.Popen[str], home: Path, kill: Callable[[], bool]) -> int:
    """Kill when a fifth, two fifths … of the pairs are scored. How many were killed."""
    killed = 0
    while process.poll() is None and killed < KILLS:
        if counts(home)[0] >= (killed + 1) * 2 * SYMBOLS // 5:
            killed += kill()
        threading.Event().wait(0.1)
    return killed


def test_a_sweep_that_is_killed_again_and_again_resumes_and_doubles_nothing(
    shared: Path, undisturbed: dict[str, object], tmp_path: Path, counted: Count
) -> None:
    Database.open(Settings.load(home=tmp_path)).close()
    stood = [0]
    for kill in range(KILLS):
        process = subprocess.Popen(
            command(shared, "ridge,ets"),
            env=environment(shared, tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        workers: list[psutil.Process] = []
        while counts(tmp_path)[0] < (kill + 1) * 2 * SYMBOLS // 5:
            assert process.poll() is None, process.communicate()[1]
            workers = psutil.Process(process.pid).children() or workers
            threading.Event().wait(0.1)
        assert len(workers) == 2, "the work did not run on workers"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        psutil.wait_procs(workers, timeout=10)
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
        stood.append(counts(tmp_path)[0])

    done = subprocess.run(
        command(shared, "ridge,ets"), env=environment(shared, tmp_path), capture_output=True, text=True, timeout=600
    )

    about = finished(done)
    assert stood == sorted(stood)
    told(counted, "`evolve sweep` killed (SIGKILL) and begun again", KILLS, about, undisturbed, tmp_path)
    assert about["found"] == stood[-1] < 2 * SYMBOLS
    assert counts(tmp_path) == (2 * SYMBOLS, 2 * SYMBOLS, SYMBOLS)
    assert (about["ranked"], about["trials"]) == (undisturbed["ranked"], undisturbed["trials"])
    assert "pairs scored" in done.stderr


@pytest.mark.parametrize("kind", ["local", "dask", "ray"])
def test_workers_killed_in_mid_sweep_cost_nothing_but_time(
    kind: str, shared: Path, undisturbed: dict[str, object], tmp_path: Path, counted: Count
) -> None:
    pytest.importorskip({"local": "psutil", "dask": "distributed", "ray": "ray"}[kind])

    Database.open(Settings.load(home=tmp_path)).close()

    def run(
        engine: str, working: Callable[[], list[psutil.Process]] | None, **more: str
    ) -> tuple[int, dict[str, object]]:
        process = subprocess.Popen(
            command(shared, "ridge,ets"), env=environment(shared, tmp_path, EVOLVE_COMPUTE=engine, **more), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.extend(process.communicate()))
        reading.start()

        def kill() -> bool:
            there = working() if working else psutil.Process(process.pid).children()
            # Dask's workers do not come back here (no nanny): one has to stay.
            if not there or (kind == "dask" and len(there) < 2):
                return False
            there[0].kill()
            return True

        killed = disturbed(process, tmp_path, kill)
        reading.join(600)
        return killed, finished(subprocess.CompletedProcess([], process.returncode, *said))

    if kind == "local":
        killed, about = run("local", None)
    elif kind == "dask":
        with dask_processes() as dask:
            killed, about = run(dask.engine, dask.working)
    else:
        with ray_processes() as ray:
            killed, about = run(ray.client, ray.working)

    told(counted, f"worker killed in mid-sweep, {NAMED[kind]}", killed, about, undisturbed, tmp_path)
    assert killed >= (1 if kind == "dask" else KILLS)
    assert about["skipped"] == []
    assert about["ranked"] == undisturbed["ranked"]
    assert counts(tmp_path) == (2 * SYMBOLS, 2 * SYMBOLS, SYMBOLS)
