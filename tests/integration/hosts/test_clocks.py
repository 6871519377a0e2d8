"""Hosts whose clocks are an hour apart (libfaketime): leases, timers, deadlines, roles and records go by the servers' clocks."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from evolve.memory.database import Database
from evolve.memory.tables import decisions
from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from homes import PATIENCE_S
from integration.faults.faults import faketime
from integration.faults.ground import COLUMNS, LEASE_S, Counts
from integration.faults.tables import table
from integration.hosts.estate import estate
from integration.hosts.partitions import NetworkGround, network_ground
from integration.hosts.soak import KINDS, Soak
from services_under_test.tally import HeavyWork, QuickWork, Work

SEED = 20_261_123
HOUR_S = 3_600
APART = {"a": HOUR_S, "b": -HOUR_S}
SAID = f"seed {SEED}; replicas an hour ahead and an hour behind the servers and the clients"
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("hosts")]


def clock_ahead(seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock, and only that, is ahead."""
    return {"LD_PRELOAD": str(faketime()), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def test_the_clocks_are_what_the_other_tests_think() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"],
        env={**os.environ, **clock_ahead(HOUR_S)}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip

    assert abs(float(said[0]) - time.time() - HOUR_S) < 60
    assert abs(float(said[1]) - time.monotonic()) < 60


@pytest.fixture(scope="module")
def counted() -> Iterator[list[str]]:
    with table("clocks", COLUMNS, said=SAID) as rows:
        yield rows


async def start_apart(ground: NetworkGround, **settings: str) -> list[subprocess.Popen[bytes]]:
    started = []
    for host, seconds in APART.items():
        ground.environment = clock_ahead(seconds) | settings
        started.append(ground.launch(on=host))
    await ground.until_alive(started)
    return started


async def longest_gap_s(ground: NetworkGround, name: str, fault: Callable[[], Awaitable[None]]) -> float:
    """The longest time without an answer while clients ask and a replica that is well answers, beside one that the fault meets."""
    before = len(ground.answered_at)
    kinds = (QuickWork, Work, HeavyWork)
    asking = asyncio.create_task(ground.client(name, 100, in_flight=16, kinds=kinds, pause_s=0.05, every_s=0.02))
    await asyncio.wait([asking], timeout=1.0)
    await fault()
    await asking
    return max(after - before for before, after in itertools.pairwise(sorted(ground.answered_at[before:])))


@pytest.mark.timeout(300)
async def test_hosts_two_hours_apart_lose_and_double_nothing(counted: list[str]) -> None:
    with network_ground(SEED) as made:
        replicas = dict(zip(APART, await start_apart(made), strict=True))
        gaps = []

        async def cut_off() -> None:
            made.network.cut("a", "bus")
            await asyncio.sleep(LEASE_S + 1.0)
            made.network.join("a", "bus")

        async with made.watching():
            for host, seconds in APART.items():

                async def kill(victim: subprocess.Popen[bytes] = replicas[host]) -> None:
                    victim.kill()

                gaps.append(await longest_gap_s(made, f"kill-{host}", kill))
                made.environment = clock_ahead(seconds)
                await made.start_on(host)
            gaps.append(await longest_gap_s(made, "cut", cut_off))
        taken_over = made.logged("took over")
        counts = made.counts("hosts two hours apart; a replica of each killed, one cut off")
    # That a replica's start was waited for is no gap in the answers.
    counts = replace(counts, longest_gap_s=max(gaps))
    counted.append(counts.row())

    assert_well(counts)
    assert taken_over > 0, "nobody held anything: no lease was tried"
    # A lease goes by the server's clock: it lapses after 1.5 s and not an hour later. The rest is for a machine under load.
    assert counts.longest_gap_s < 20


@pytest.mark.timeout(120)
async def test_a_deadline_is_judged_by_the_servers_clock() -> None:
    with network_ground(SEED) as made:
        # Few at once, and none done at once: what one has no hand free for, the other takes.
        await start_apart(made, EVOLVE_TALLY_IN_FLIGHT="4")
        bus = bus_for(made.settings("client"))
        asker = Asker(bus)
        codes: dict[str, dict[str, str]] = {"in time": {}, "too late": {}}

        async def ask(kind: str, deadline: float) -> None:
            id = new_request_id()
            data = {"client": "a", "number": 1, "journal": str(made.journal), "pause_s": 0.05}
            envelope = RequestEnvelope("work", data, request_id=id, reply_to=asker.name, deadline=deadline)
            reply = await asker.ask("tally", "light", envelope, timeout_s=PATIENCE_S, must_live=False)
            codes[kind][id] = str(reply["data"].get("code", "answered"))

        now = time.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(ask("in time", now + PATIENCE_S))
                group.create_task(ask("too late", now - 60))
        await asker.close()
        await bus.close()
        lines = (made.folder / "logs" / "tally_service.log").read_text().splitlines()

    for answered in codes.values():
        took = {_field(line, "replica") for line in lines if _field(line, "request_id") in answered}
        assert len(took) == 2, "one replica took all: the other clock was not tried"
    assert set(codes["in time"].values()) == {"answered"}
    assert set(codes["too late"].values()) == {"deadline_exceeded"}


def _field(line: str, name: str) -> str:
    return line.partition(f" {name}='")[2].partition("'")[0]


@pytest.mark.timeout(300)
async def test_what_hosts_two_hours_apart_record_is_recorded_once(counted: list[str]) -> None:
    with estate(("prompt_router",), seed=SEED) as made:
        Database.open(made.settings()).close()
        for host, seconds in APART.items():
            made.launch("prompt_router", host, **clock_ahead(seconds))
        soak = Soak(made, random.Random(SEED))
        route = next(kind for kind in KINDS if kind.make(1).wire_type == "route_prompt")
        bus = bus_for(made.settings())
        asker = Asker(bus)
        async with soak.watching(), asyncio.TaskGroup() as group:
            for number in range(120):
                group.create_task(soak.ask(asker, route, route.make(number), number))
                await asyncio.sleep(0.05)
                if number in (40, 80):
                    await soak.kill()
        await asker.close()
        await bus.close()
        with Database.open(made.settings()) as database, database.read() as connection:
            rows = connection.execute(select(decisions.c.request_id).order_by(decisions.c.id)).scalars().all()
    counts = Counts(
        "two hours apart, decisions recorded in PostgreSQL; a replica killed twice", soak.sent, soak.refused, len(rows), soak.answered,
        soak.doubled, len(soak.lost), soak.crossed, sum(soak.errors.values()), 0.0,
    )  # fmt: skip
    counted.append(counts.row().rsplit("|", 2)[0] + "| – |")

    assert_well(counts)
    assert sorted(rows) == sorted(soak.recorded)


LEADER = """
import sys, time
from evolve.memory.database import Database
from evolve.memory.leadership import Leadership
from evolve.settings import Settings
with Database.open(Settings.load()) as database:
    term = Leadership(database).claim("timetable", sys.argv[1], lease_s=float(sys.argv[2]))
    print("leads" if term else "waits")
"""


def test_an_hour_ahead_nobody_takes_a_role_away_or_keeps_it_after_its_end() -> None:
    with estate((), seed=SEED) as made:

        def claim(holder: str, ahead_s: int, lease_s: float) -> str:
            with made.network.inside("a"):
                done = subprocess.run(
                    [sys.executable, "-c", LEADER, holder, str(lease_s)], capture_output=True, text=True, timeout=60, check=True,
                    env={**made.environment("a"), **clock_ahead(ahead_s)},
                )  # fmt: skip
            return done.stdout.strip()

        assert claim("here", 0, 600) == "leads"
        assert claim("ahead", HOUR_S, 600) == "waits"
        assert claim("here", 0, 0.1) == "leads"
        assert claim("ahead", HOUR_S, 0.1) == "leads"
        assert claim("behind", -HOUR_S, 0.1) == "leads"


def assert_well(counts: Counts) -> None:
    assert counts.answered == counts.sent > 0
    wrong = {"lost": counts.lost, "doubled": counts.doubled, "crossed": counts.crossed, "errors": counts.errors}
    assert not any(wrong.values()), wrong
