"""How many trials does a search need, what does a trial cost beside the fit, and how long does a whole search take?

Trials until the target on Branin, Hartmann-6, Levy-4 and a table of an xgboost model's error, with our Gaussian process, TPE and random
search beside hyperopt's TPE and nevergrad's NGOpt (environments of their own under `.bench/`, made on demand). Then the overhead of a
trial, with the durable table and the choice of the point, beside Optuna's own storages; and two whole searches on two cores.

    python bench/tuning.py [--write docs/performance.md] [--only trials|overhead|searches] [--seeds 5]
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from report.page import ROOT, load, provenance, write_section

PEERS = Path(__file__).resolve().parent / "peers"
sys.path.insert(0, str(PEERS))

from surfaces import XGBOOST_BOUNDS, XGBOOST_LOG, Surface, Table, surfaces, unit  # noqa: E402

from evolve.agents.meta_tuner import MetaTunerAgent, TuneOrder  # noqa: E402
from evolve.agents.tuning_work import Progress, StudyWorker, Work  # noqa: E402
from evolve.forecasting.tuning.sampler import Observed, sampler  # noqa: E402
from evolve.forecasting.tuning.space import SearchSpace, at  # noqa: E402
from evolve.market.bars import Bars  # noqa: E402
from evolve.market.store import BarStore  # noqa: E402
from evolve.memory.database import Database  # noqa: E402
from evolve.memory.studies import Studies  # noqa: E402
from evolve.settings import Settings  # noqa: E402
from evolve.tunings import Dimension, StudyPlan  # noqa: E402

TABLE = ROOT / ".bench" / "xgboost_surface.npz"
TABLE_POINTS, TABLE_ROWS = 300, 600
TRIALS = 60
OVERHEAD_TRIALS = 50
DAY_MS = 86_400_000


# --- trials to target ---


def measured_table() -> Path:
    """Errors of an xgboost regression by threefold cross-validation, at random points; measured once and kept."""
    if TABLE.exists():
        return TABLE
    import xgboost

    random = np.random.default_rng(0)
    rows = random.normal(size=(TABLE_ROWS, 8))
    outcome = (
        np.sin(2 * rows[:, 0]) + rows[:, 1] * rows[:, 2] + 0.5 * (rows[:, 3] > 0) + random.normal(0, 0.5, TABLE_ROWS)
    )
    space = [
        Dimension(name, "float", *bounds, "log" if name in XGBOOST_LOG else "linear")
        for name, bounds in XGBOOST_BOUNDS.items()
    ]
    points, errors = [], []
    for _ in range(TABLE_POINTS):
        point = {each.name: float(at(each, float(random.random()))) for each in space}
        settings = {
            "max_depth": round(point["max_depth"]), "learning_rate": point["learning_rate"], "subsample": point["subsample"],
            "min_child_weight": point["min_child_weight"], "nthread": 1, "verbosity": 0, "seed": 0,
        }  # fmt: skip
        lost = 0.0
        for fold in range(3):
            tested = np.arange(TABLE_ROWS) % 3 == fold
            fitted = xgboost.train(
                settings, xgboost.DMatrix(rows[~tested], outcome[~tested]), round(point["n_estimators"])
            )
            lost += float(((fitted.predict(xgboost.DMatrix(rows[tested])) - outcome[tested]) ** 2).sum())
        points.append(unit(point))
        errors.append(lost / TABLE_ROWS)
    TABLE.parent.mkdir(exist_ok=True)
    spline = Table.fit(np.array(points), np.array(errors))
    drawn = [
        spline({each.name: float(at(each, float(share))) for each, share in zip(space, random.random(5), strict=True)})
        for _ in range(4000)
    ]
    # Reached by chance once in two hundred trials.
    np.savez(TABLE, points=np.array(points), errors=np.array(errors), target=np.quantile(drawn, 0.005))
    return TABLE


def trials_to_target(name: str, surface: Surface, seed: int) -> int | None:
    dimensions = tuple(
        Dimension(key, "float", low, high, "log" if key in surface.log else "linear")
        for key, (low, high) in surface.bounds.items()
    )
    chooser = sampler(name, SearchSpace(surface.name, dimensions, {}, {}), seed=seed)  # type: ignore[arg-type]
    seen: list[Observed] = []
    for number in range(TRIALS):
        chosen = chooser.choose(number, seen)
        value = surface.value({key: float(each) for key, each in chosen.items()})
        if value <= surface.target:
            return number + 1
        seen.append(Observed(number, chosen, -value))
    return None


def peer(name: str, table: Path, seeds: int) -> dict[str, list[int | None]]:
    """Raises CalledProcessError or OSError with why there are no figures."""
    environment = ROOT / ".bench" / f"tuning-{name}"
    python = environment / "bin" / "python"
    if not python.exists():
        print(f"installing {name} into {environment.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        requirements = PEERS / f"tuning_{name}.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True, timeout=600)
    done = subprocess.run(
        [str(python), str(PEERS / f"tuning_{name}.py"), str(table), str(TRIALS), str(seeds)],
        check=True, capture_output=True, text=True, timeout=1200, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    found: dict[str, list[int | None]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def trials_table(seeds: int) -> str:
    table = measured_table()
    columns = surfaces(table)
    rows: dict[str, dict[str, list[int | None]]] = {}
    for name in ("gp", "tpe", "random"):
        rows[f"evolve, {name}"] = {
            each.name: [trials_to_target(name, each, seed) for seed in range(seeds)] for each in columns
        }
        print(name, rows[f"evolve, {name}"], file=sys.stderr)
    for name in ("hyperopt", "nevergrad"):
        try:
            rows[name] = peer(name, table, seeds)
        except (subprocess.SubprocessError, OSError) as error:
            said = getattr(error, "stderr", None) or str(error)
            print(f"{name}: no figures: {said[-400:]}", file=sys.stderr)
            rows[name] = {}
    lines = [
        f"| sampler | {' | '.join(f'{each.name} ≤ {each.target:.3g}' for each in columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {name} | {' | '.join(_reached(found.get(each.name)) for each in columns)} |"
            for name, found in rows.items()
        ),
    ]
    return "\n".join(lines)


def _reached(found: list[int | None] | None) -> str:
    if not found:
        return "no figures"
    middle = statistics.median_low([TRIALS + 1 if each is None else each for each in found])
    missed = sum(each is None for each in found)
    return f"{f'> {TRIALS}' if middle > TRIALS else middle}{f' ({missed} of {len(found)} never)' if missed else ''}"


# --- overhead of a trial ---


@dataclass(frozen=True)
class Nought:
    """An objective that costs nothing: what remains is overhead."""

    folds: int = 5

    def losses(self, params: object, fold: int, *, progress: object = None) -> np.ndarray:
        return np.full(120, float(dict(params)["x0"]) ** 2)  # type: ignore[call-overload]

    def score(self, losses: np.ndarray) -> float:
        return -float(losses.mean())


def space_of(dimensions: int) -> SearchSpace:
    each = tuple(Dimension(f"x{number}", "float", -1.0, 1.0) for number in range(dimensions))
    return SearchSpace("nought", each, {}, {one.name: 0.5 for one in each})


def ours(dimensions: int, name: str, seeds: Iterator[int]) -> Callable[[], None]:
    """A study of its own each time, in one home: opening a database is no part of a trial."""
    home = tempfile.mkdtemp(prefix="evolve-bench-")
    database = Database.open(Settings.load(home=home))
    atexit.register(shutil.rmtree, home, ignore_errors=True)

    def run() -> None:
        space = space_of(dimensions)
        plan = StudyPlan(
            "nought", "X", "1d", False, "f", (), 1, next(seeds), "bayesian", "tpe", space.dimensions, {}, dict(space.defaults), 5, 300, 900,
            "2004-01-01", 3000, 1, False, False, 0, "1",
        )  # fmt: skip
        studies = Studies(database)
        study = studies.open(plan, wanted=OVERHEAD_TRIALS, warm=(), request_id="r")
        work = Work(study, space, Nought(), sampler(name, space, seed=0), lambda _: None)  # type: ignore[arg-type]
        StudyWorker(work, studies, "w/0", lambda *_: None).run()

    return run


def optunas(dimensions: int, journal: bool) -> Callable[[], None]:
    def run() -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = JournalStorage(JournalFileBackend(f"{home}/j.log")) if journal else f"sqlite:///{home}/o.db"
            study = optuna.create_study(storage=storage, sampler=optuna.samplers.TPESampler(seed=0))
            study.optimize(
                lambda trial: sum(trial.suggest_float(f"x{number}", -1, 1) ** 2 for number in range(dimensions)),
                n_trials=OVERHEAD_TRIALS,
            )

    return run


def overhead_table() -> str:
    lines = [
        "| 50 trials of nothing | 2 hyperparameters: wall ms a trial | CPU ms | 7 hyperparameters: wall ms | CPU ms |",
        "|---|---|---|---|---|",
    ]
    for said, made in (
        ("evolve: own table, TPE", lambda n: ours(n, "tpe", count())),
        ("evolve: own table, random", lambda n: ours(n, "random", count())),
        ("Optuna: journal file, TPE", lambda n: optunas(n, True)),
        ("Optuna: SQLite, TPE", lambda n: optunas(n, False)),
    ):
        cells = []
        for dimensions in (2, 7):
            run = made(dimensions)
            run()  # imports
            walls, cpus = [], []
            for _ in range(3):
                wall, cpu = time.perf_counter(), time.process_time()
                run()
                walls.append(1e3 * (time.perf_counter() - wall) / OVERHEAD_TRIALS)
                cpus.append(1e3 * (time.process_time() - cpu) / OVERHEAD_TRIALS)
            cells += [f"{min(walls):.1f}", f"{min(cpus):.1f}"]
        lines.append(f"| {said} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


# --- whole searches ---


class TwoCores:
    """Two workers as two processes, as two replicas are."""

    workers = 2

    def __init__(self, home: str) -> None:
        self._home = home

    def work(self, study_id: str, progress: Progress) -> None:
        command = [sys.executable, __file__, "--work-on", self._home, study_id]
        workers = [subprocess.Popen([*command, f"bench/{number}"]) for number in range(self.workers)]
        for worker in workers:
            if worker.wait():
                raise SystemExit(f"a worker ended with status {worker.returncode}")


def walk(bars: int) -> Bars:
    """A random walk: a search in which there is nothing to find does not stop early by luck."""
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars(
        symbol="WALK", timeframe="1d", time=1_000_000_000_000 + DAY_MS * np.arange(bars), open=open_, high=np.maximum(open_, close) * 1.002,
        low=np.minimum(open_, close) / 1.002, close=close, volume=random.lognormal(10, 0.3, bars), source="made for a benchmark", bars_per_year=252.0,
    )  # fmt: skip


def searches_table() -> str:
    lines = ["| search, two workers | wall s | CPU s | whole, pruned, failed trials |", "|---|---|---|---|"]
    for said, order in (
        ("xgboost, 50 trials, 5 folds, 3,000 bars, to the end", TuneOrder("xgboost", "WALK", "1d", stop_early=False)),
        (
            "`tune_hyperparameters('lstm')`: BTCUSDT 1h (simulated), to the end",
            TuneOrder("lstm", "BTCUSDT", "1h", stop_early=False),
        ),
        ("the same, as it is: may stop early", TuneOrder("lstm", "BTCUSDT", "1h")),
    ):
        with tempfile.TemporaryDirectory() as home:
            settings = Settings.load(home=home)
            BarStore(settings.home).save(walk(3_000))
            agent = MetaTunerAgent.from_settings(settings)
            wall, cpu = time.perf_counter(), _cpu()
            card = agent.tune(order, TwoCores(home), request_id="bench", progress=lambda *_: None)
            cells = (
                f"{time.perf_counter() - wall:.0f} | {_cpu() - cpu:.0f} | {card.complete}, {card.pruned}, {card.failed}"
            )
            lines.append(f"| {said} ({card.sampler}) | {cells} |")
            print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> int:
    parser = argparse.ArgumentParser(description="Trials to target, overhead per trial, and whole searches.")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--work-on", nargs=3, metavar=("HOME", "STUDY", "WORKER"), help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=("trials", "overhead", "searches"))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if given.work_on:
        home, study_id, worker = given.work_on
        MetaTunerAgent.from_settings(Settings.load(home=home)).work(study_id, worker, progress=lambda *_: None)
        return 0
    before = load()
    made = {"searches": searches_table, "overhead": overhead_table, "trials": lambda: trials_table(given.seeds)}
    for name in (given.only,) if given.only else tuple(made):
        text = f"{provenance()}; load {before} before, {load()} after.\n\n{made[name]()}"
        print(f"\n{text}\n")
        if given.write:
            write_section(given.write, f"tuning-{name}", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
