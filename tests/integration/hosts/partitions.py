"""Networks that fail between hosts that are well: what each fault of the table in docs/reliability.md does.

The server on `bus`, replicas on `a` and `b`, clients on `client`; each fault takes a ground and a size, as in `faults`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from homes import until
from integration.faults.ground import LEASE_S, Ground, Server
from network import Network, missing, new_folder
from services_under_test.tally import HeavyWork, QuickWork, Work

HOSTS = ("bus", "a", "b", "client")
KINDS = (QuickWork, Work)


@dataclass
class NetworkGround(Ground):
    network: Network = field(default_factory=lambda: Network(HOSTS))

    def launch(self, *fault: object, on: str = "b") -> subprocess.Popen[bytes]:
        with self.network.inside(on):
            return super().launch(*fault)

    async def start_on(self, *hosts: str) -> list[subprocess.Popen[bytes]]:
        started = [self.launch(on=host) for host in hosts]
        await self.until_alive(started)
        return started

    def logged(self, words: str) -> int:
        """How many lines of the replicas' log say so."""
        file = (self.logs or self.folder / "logs") / "tally_service.log"
        return sum(words in line for line in file.read_text().splitlines())


Fault = Callable[[NetworkGround, int], Awaitable[None]]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    def note(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return note


@fault("a replica cut off from the server for longer than its lease")
async def replica_cut_off(ground: NetworkGround, size: int) -> None:
    """Its work is taken over; when it is back, what it had finished meanwhile is dropped."""
    [first, _] = await ground.start_on("a", "b")
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=24, pause_s=0.1))
    for _ in range(1 if size == 1 else 4):
        await asyncio.wait([asking], timeout=0.7)
        ground.network.cut("a", "bus")
        await asyncio.sleep(LEASE_S + 2.0)
        ground.network.join("a", "bus")
        await asyncio.wait([asking], timeout=1.5)
    await asking
    moments = list(ground.answered_at)
    await ground.until_alive([first])
    await ground.client("after", 40, in_flight=24, pause_s=0.05)
    ground.answered_at = moments  # that it was waited for is no gap in the answers
    runs = len(ground.journal.read_text().split())
    assert runs > len(ground.sent), "it held nothing when it was cut off"
    assert ground.logged("the lease is another's") + ground.logged("lease lost") > 0, "no late result came"


@fault("heavy work on a replica that is cut off and comes back")
async def heavy_replica_cut_off(ground: NetworkGround, size: int) -> None:
    [first, _] = await ground.start_on("a", "b")
    asking = asyncio.create_task(ground.client("a", 12 * size, in_flight=6, kinds=(HeavyWork,), pause_s=0.6))
    await asyncio.wait([asking], timeout=1.0)
    ground.network.cut("a")
    await asyncio.sleep(LEASE_S + 2.0)
    ground.network.join("a")
    await asking
    await ground.until_alive([first])


@fault("the clients cut off from the server")
async def client_cut_off(ground: NetworkGround, size: int) -> None:
    """For less, and for more than the 4 s after which a silent server counts as gone."""
    await ground.start_on("a", "b")
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=16, kinds=KINDS, pause_s=0.02, every_s=0.02))
    for seconds in (6.0,) if size == 1 else (1.0, 3.0, 6.0, 10.0):
        await asyncio.wait([asking], timeout=0.5)
        ground.network.cut("client", "bus")
        await asyncio.sleep(seconds)
        ground.network.join("client", "bus")
        await asyncio.wait([asking], timeout=1.0)
    await asking


@fault("all replicas cut off, one way after the other")
async def all_cut_off(ground: NetworkGround, size: int) -> None:
    pair = await ground.start_on("a", "b")
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=16, kinds=KINDS, pause_s=0.02, every_s=0.02))
    for _ in range(1 if size == 1 else 4):
        await asyncio.wait([asking], timeout=0.5)
        for host in ("a", "b"):
            ground.network.cut(host, "bus")
            await asyncio.sleep(1.0)
        await asyncio.sleep(LEASE_S)
        for host in ("b", "a"):
            ground.network.join(host, "bus")
            await asyncio.sleep(0.5)
    await asking
    await ground.until_alive(pair)


@fault("links that come and go, a second each")
async def flapping(ground: NetworkGround, size: int) -> None:
    await ground.start_on("a", "b")
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=16, kinds=KINDS, pause_s=0.02, every_s=0.03))
    flaps = 0
    while not asking.done():
        host = ground.rng.choice(("a", "b", "client"))
        ground.network.cut(host, "bus")
        await asyncio.wait([asking], timeout=ground.rng.uniform(0.3, 1.5))
        ground.network.join(host, "bus")
        await asyncio.wait([asking], timeout=ground.rng.uniform(0.2, 1.0))
        flaps += 1
    await asking
    assert flaps > 1


@fault("links of 50 to 150 ms that lose 5 % of all packets, and a replica killed")
async def slow_and_lossy_with_a_death(ground: NetworkGround, size: int) -> None:
    first, _ = await ground.start_on("a", "b")
    for host in ("a", "b", "client"):
        ground.network.set_link(host, "bus", delay_s=0.05, jitter_s=0.1, loss=0.05)
    asking = asyncio.create_task(ground.client("a", 60 * size, in_flight=16, kinds=KINDS, pause_s=0.01, every_s=0.02))
    await asyncio.wait([asking], timeout=2.0)
    first.kill()
    ground.launch(on="a")
    await asking
    assert ground.network.dropped() > 0


@contextlib.contextmanager
def network_ground(seed: int, *, data: Path | None = None, logs: Path | None = None) -> Iterator[NetworkGround]:
    """A server, no replicas; this thread is on `client`. Skips where the machine cannot do it.

    data, logs: where the server keeps its log, and the replicas theirs, if not with the rest.
    """
    if lack := missing():
        pytest.skip(lack)
    folder = new_folder()
    try:
        with Network(HOSTS, seed=seed) as network, network.inside("client"):
            server = Server(folder, address=network.address("bus"), data=data)
            with network.inside("bus"):
                server.start()
            made = NetworkGround(folder, server, random.Random(seed), logs=logs, network=network)
            try:
                until(server.socket.exists, what="the server")
                yield made
            finally:
                made.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
