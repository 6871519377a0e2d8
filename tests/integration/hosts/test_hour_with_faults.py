"""An hour (SOAK_S seconds) with faults on: nothing lost, doubled or crossed, and nothing grows without bound."""

from __future__ import annotations

import os
import random

import pytest
from sqlalchemy import select

from evolve.logs import KEPT, MAX_BYTES
from evolve.memory.database import Database
from evolve.memory.tables import decisions
from integration.faults import tables
from integration.hosts.estate import KEEP_S, estate
from integration.hosts.soak import ANSWERED_WITHIN_S, KEPT_FOR_GOOD, SERVICES, Soak, growth

SEED = 20_261_123
SOAK_S = float(os.environ.get("SOAK_S", "600"))
WARM_UP = 0.25  # of the time: caches fill, every recipe is built once, the first replies expire

# How much more there may be at the end than after the warm-up, by the slope of all samples.
TOLERATED = {
    "front, memory MB": 3.0,  # 1 KB for each of 3,000 requests a replica answers in an hour
    # Jobs come and go, some 10 MB each, and what a library leaks in one goes with it after `jobs.MAX_RUNS` requests: it swings by 40.
    "with its jobs, memory MB": 40.0,
    "open files": 2.0,
    "processes": 1.5,  # a job more or less at the moment of a sample
    "keys": 40.0,  # a tenth of those that wait for their end
    "keys that never expire": 2.0,
    "consumers of the groups": 3.0,  # of replicas that were killed within the last minute
    "bus: memory MB": 1.0,
    "homes without logs MB": 1.0,
    "rows": 3.0,
}


def tolerated(name: str) -> float | None:
    """None for what grows by design and is bounded otherwise."""
    found = [limit for words, limit in TOLERATED.items() if name.endswith(words) or name.startswith(f"{words}:")]
    if not found or name.removeprefix("rows: ") in KEPT_FOR_GOOD | {"fences"}:
        return None
    return min(found)


@pytest.mark.prove
@pytest.mark.timeout(SOAK_S + 600)
async def test_an_hour_of_faults_loses_nothing_and_leaves_nothing_behind() -> None:
    with estate(SERVICES, seed=SEED) as made:
        soak = Soak(made, random.Random(SEED))
        await soak.run(SOAK_S)
        with Database.open(made.settings()) as database, database.read() as connection:
            kept = list(connection.execute(select(decisions.c.request_id)).scalars())
        lines = report(soak)
    write(soak, lines)

    grown = [line for line in lines if line.grew > (line.limit if line.limit is not None else line.grew)]
    wrong = {"lost": soak.lost, "doubled": soak.doubled, "crossed": soak.crossed}
    assert not any(wrong.values()), wrong
    assert soak.answered == soak.sent > SOAK_S
    assert not grown, grown
    # One decision for each that was recorded, whoever ran it and however often; none but what was asked.
    assert sorted(kept) == sorted(soak.recorded)
    last = soak.samples[-1]
    assert last["files: logs MB"] <= 2 * len(SERVICES) * (KEPT + 1) * MAX_BYTES / 2**20


class Line:
    def __init__(self, name: str, times: list[float], values: list[float]) -> None:
        self.name, self.grew, self.limit = name, growth(times, values), tolerated(name)
        self.first, self.last, self.most = values[0], values[-1], max(values)

    def __repr__(self) -> str:
        limit = "by design" if self.limit is None else f"{self.limit:g}"
        return f"| {self.name} | {self.first:.1f} | {self.last:.1f} | {self.most:.1f} | {self.grew:+.2f} | {limit} |"


def report(soak: Soak) -> list[Line]:
    after_s = max(WARM_UP * SOAK_S, min(2 * KEEP_S, SOAK_S / 2))
    return [
        Line(name, times, values)
        for name in soak.names()
        for times, values in [soak.series(name, after_s=after_s)]
        if len(values) > 2
    ]


def write(soak: Soak, lines: list[Line]) -> None:
    faults = ", ".join(f"{count} × {name.replace('_', ' ')}" for name, count in sorted(soak.faults.items()))
    errors = "; ".join(f"{count} × {error}" for error, count in soak.errors.most_common()) or "none"
    requests = [
        soak.sent,
        soak.refused,
        soak.answered,
        sum(soak.errors.values()),
        soak.doubled,
        len(soak.lost),
        soak.crossed,
    ]
    tables.write(
        "soak",
        f"seed {SEED}; {SOAK_S:.0f} s, {len(soak.samples)} samples",
        f"Faults: {sum(soak.faults.values())} ({faults}).",
        "",
        *tables.head(
            f"sent | refused | answered | of these errors | doubled | lost (not within {ANSWERED_WITHIN_S:.0f} s) | crossed"
        ),
        f"| {' | '.join(map(str, requests))} |",
        "",
        f"Errors: {errors}.",
        "",
        *tables.head("what | after the warm-up | at the end | most | growth by slope | tolerated"),
        # Tables that stayed empty say nothing.
        *(repr(line) for line in lines if line.most),
    )
