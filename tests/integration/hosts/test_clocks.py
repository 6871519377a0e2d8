"""Hosts whose clocks are an hour apart (libfaketime): leases, timers, deadlines, roles and records go by the servers' clocks."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from evolve.memory.database import Database
from evolve.memory.tables import decisions
from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from homes import PATIENCE_S
from integration.faults.faults import faketime
from integration.faults.ground import LEASE_S, Counts
from integration.hosts.estate import estate
from integration.hosts.partitions import NetworkGround, network_ground
from integration.hosts.soak import KINDS, Soak
from services_under_test.tally import HeavyWork, QuickWork, Work

ROOT = Path(__file__).resolve().parents[3]
SEED = 20_261_123
HOUR_S = 3_600
APART = {"a": HOUR_S, "b": -HOUR_S}
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
def table() -> Iterator[list[str]]:
    found: list[str] = []
    yield found
    if found:
        sys.path.insert(0, str(ROOT / "bench"))
        from report.page import load, provenance, write_section

        head = [
            f"{provenance()}; load {load()}; seed {SEED}; replicas an hour ahead and an hour behind the servers and the clients.",
            "",
            "| fault | sent | refused | run | answered | doubled | lost | crossed | longest gap s |",
            "|---" * 9 + "|",
        ]
        write_section(ROOT / "docs" / "reliability.md", "clocks", "\n".join([*head, *found]))


async def start_apart(ground: NetworkGround) -> list[subprocess.Popen[bytes]]:
    started = []
    for host, seconds in APART.items():
        ground.environment = clock_ahead(seconds)
        started.append(ground.launch(on=host))
    await ground.until_alive(started)
    return started


@pytest.mark.timeout(300)
async def test_hosts_two_hours_apart_lose_and_double_nothing(table: list[str]) -> None:
    with network_ground(SEED) as made:
        ahead, behind = await start_apart(made)
        async with made.watching():
            kinds = (QuickWork, Work, HeavyWork)
            asking = asyncio.create_task(made.client("a", 300, in_flight=16, kinds=kinds, pause_s=0.02, every_s=0.03))
            for victim, host in ((ahead, "a"), (behind, "b")):
                await asyncio.wait([asking], timeout=1.5)
                victim.kill()
                made.environment = clock_ahead(APART[host])
                made.launch(on=host)
            await asyncio.wait([asking], timeout=1.0)
            made.network.cut("a", "bus")
            await asyncio.sleep(LEASE_S + 1.0)
            made.network.join("a", "bus")
            await asking
        counts = made.counts("hosts two hours apart; a replica of each killed, one cut off")
    table.append(counts.row())

    assert_well(counts)
    # A lease goes by the server's clock: it lapses when it should, not an hour later.
    assert counts.longest_gap_s < 20


@pytest.mark.timeout(120)
async def test_a_deadline_is_judged_by_the_servers_clock() -> None:
    with network_ground(SEED) as made:
        await start_apart(made)
        bus = bus_for(made.settings("client"))
        asker = Asker(bus)

        async def code(deadline: float) -> str:
            data = {"client": "a", "number": 1, "journal": str(made.journal)}
            envelope = RequestEnvelope(
                "work", data, request_id=new_request_id(), reply_to=asker.name, deadline=deadline
            )
            reply = await asker.ask("tally", "light", envelope, timeout_s=PATIENCE_S, must_live=False)
            return str(reply["data"].get("code", "answered"))

        # Both replicas take some of so many.
        in_time = await asyncio.gather(*(code(time.time() + 60) for _ in range(40)))
        too_late = await asyncio.gather(*(code(time.time() - 60) for _ in range(40)))
        await asker.close()
        await bus.close()
        lines = (made.folder / "logs" / "tally_service.log").read_text().splitlines()
        took = {line.partition("replica='")[2].partition("'")[0] for line in lines if "'answered'" in line}

    assert len(took) == 2, "one replica took all: the other clock was not tried"
    assert set(in_time) == {"answered"}
    assert set(too_late) == {"deadline_exceeded"}


@pytest.mark.timeout(300)
async def test_what_hosts_two_hours_apart_record_is_recorded_once(table: list[str]) -> None:
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
    table.append(counts.row().rsplit("|", 2)[0] + "| – |")

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
