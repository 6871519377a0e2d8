"""A disk that is full, and has space again: under the database, under the server's log, and under the logs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.bus_contract import eventually
from evolve.errors import Unavailable
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings
from homes import PATIENCE_S, until
from integration.faults.ground import Ground
from integration.faults.tables import table
from integration.hosts.partitions import KINDS, network_ground
from network import missing, small_disk
from unit.memory.examples import decision

SEED = 20_261_123
COLUMNS = (
    "disk full under | sent | refused with a typed error | answered or kept | doubled | lost | found damaged afterwards"
)
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("hosts")]


@pytest.fixture
def disk() -> Iterator[Path]:
    """Four megabytes."""
    if lack := missing():
        pytest.skip(lack)
    with small_disk("4m") as place:
        yield place


@pytest.fixture(scope="module")
def counted() -> Iterator[list[str]]:
    with table("disks", COLUMNS, said=f"seed {SEED}; file systems of 4 MB") as rows:
        yield rows


def fill(disk: Path) -> Path:
    """A file that takes all the space there is."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def test_a_database_on_a_full_disk_says_so_and_goes_on_when_there_is_space(disk: Path, counted: list[str]) -> None:
    kept: list[str] = []
    refused: list[str] = []
    with Database.open(Settings.load(home=disk)) as database:
        log = DecisionLog(database)
        filler = fill(disk)
        # What is written ahead goes into pages that the file has: it takes some until there are none.
        for number in range(2_000):
            try:
                log.record(decision(request_id=f"full-{number}"))
                kept.append(f"full-{number}")
            except Unavailable as error:
                refused.append(error.message)
                if len(refused) == 20:
                    break
        filler.unlink()
        for number in range(50):
            log.record(decision(request_id=f"after-{number}"))
            kept.append(f"after-{number}")
        damage = database.damage()
        lost = [id for id in kept if log.get(id) is None]
    counted.append(
        f"| the database (SQLite) | {len(kept) + len(refused)} | {len(refused)} | {len(kept)} | 0 | {len(lost)} | {damage or 'nothing'} |"
    )

    assert len(refused) == 20
    assert all("disk" in message for message in refused)
    assert not lost
    assert damage is None


@pytest.mark.timeout(300)
async def test_a_full_disk_under_the_servers_log_refuses_and_loses_nothing(disk: Path, counted: list[str]) -> None:
    with network_ground(SEED, data=disk) as made:
        await made.start_on("a", "b")
        async with made.watching():
            asking = asyncio.create_task(made.client("a", 300, in_flight=16, kinds=KINDS, pause_s=0.01, every_s=0.02))
            await asyncio.wait([asking], timeout=1.0)
            filler = fill(disk)
            await eventually(lambda: _refused(made), within_s=PATIENCE_S, what="a request that is refused")
            await asyncio.sleep(1.0)
            filler.unlink()
            await asking
            # What it has written survives its death: the half of a line that the full disk left does not spoil the rest.
            made.server.kill()
            with made.network.inside("bus"):
                made.server.start()
            await made.client("after", 50, in_flight=8, kinds=KINDS)
        counts = made.counts("")
        log = (made.folder / "server.log").read_text()
    counted.append(
        f"| the server's log | {counts.sent} | {counts.refused} | {counts.answered} | {counts.doubled} | {counts.lost} | nothing |"
    )

    assert counts.answered == counts.sent
    assert not counts.doubled
    assert not counts.lost
    assert not counts.crossed
    assert counts.refused > 0
    assert "Bad file format" not in log


@pytest.mark.timeout(300)
async def test_a_full_disk_under_the_logs_costs_lines_and_nothing_else(disk: Path, counted: list[str]) -> None:
    with network_ground(SEED, logs=disk / "logs") as made:
        await made.start_on("a", "b")
        async with made.watching():
            filler = fill(disk)
            await made.client("full", 200, in_flight=16, kinds=KINDS)
            filler.unlink()
            file = disk / "logs" / "tally_service.log"
            size = file.stat().st_size
            await made.client("after", 50, in_flight=8, kinds=KINDS)
            until(lambda: file.stat().st_size > size, what="lines after there is space again")
        counts = made.counts("")
        torn = [line for line in file.read_text().splitlines() if line.count("timestamp=") != 1]
    counted.append(
        f"| the logs | {counts.sent} | {counts.refused} | {counts.answered} | {counts.doubled} | {counts.lost} | "
        f"{len(torn) or 'no'} torn lines |"
    )

    assert counts.answered == counts.sent
    assert not counts.doubled
    assert not counts.lost
    assert not counts.crossed
    assert counts.refused == 0
    # The line that met the end of the disk may be half; those after it must not be swallowed by it.
    assert len(torn) <= 1


async def _refused(made: Ground) -> bool:
    return made.refused > 0
