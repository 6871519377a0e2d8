"""A primary, two replicas and three Sentinels, on three hosts, and a partition that leaves the primary on the smaller side.

On that side stays a client which goes on adding requests; on the other side another waits for its answers, and a service works.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.bus_contract import eventually
from evolve.errors import Unavailable
from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.settings import Settings
from homes import PATIENCE_S, environment_of, until
from integration.faults.ground import HEARTBEAT_S, LEASE_S, PORT, PROGRAM, SERVICE, Ground, Server, binary
from integration.hosts.partitions import KINDS
from network import Network, missing, new_folder

SENTINEL_PORT = 26379
PRIMARY, REPLICA, THIRD = "one", "two", "three"
HOSTS = (PRIMARY, REPLICA, THIRD, "service", "client", "beside")
BESIDE = "beside"  # on the side of the old primary
NAME = "evolve"
DOWN_MS = 1_500
WRITTEN, EVERY_S = 400, 0.03


@dataclass(frozen=True)
class Protection:
    """What is set against loss at a failover. lag_s: min-replicas-max-lag, with min-replicas-to-write 1; 0: neither."""

    name: str
    lag_s: int = 0
    wait: int = 0


PROTECTIONS = (
    Protection("none (Redis's defaults)"),
    Protection("min-replicas-to-write 1, min-replicas-max-lag 2", lag_s=2),
    Protection("REDIS_WAIT_REPLICAS=1", wait=1),
    Protection("both", lag_s=2, wait=1),
)


@dataclass
class Watched(Ground):
    """Asks by way of the Sentinels."""

    network: Network = field(default_factory=lambda: Network(HOSTS))
    protection: Protection = PROTECTIONS[0]
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        watchers = ",".join(f"{self.network.address(host)}:{SENTINEL_PORT}" for host in (PRIMARY, REPLICA, THIRD))
        return f"redis+sentinel://{watchers}/{NAME}"

    def environment_here(self) -> dict[str, str]:
        return environment_of(
            self.folder, REDIS_URL=self.url, REDIS_WAIT_REPLICAS=str(self.protection.wait), EVOLVE_LEASE_S=str(LEASE_S),
            EVOLVE_HEARTBEAT_S=str(HEARTBEAT_S), EVOLVE_DRAIN_S="2", EVOLVE_MAX_ATTEMPTS="20",
        )  # fmt: skip

    def settings(self, user: str) -> Settings:
        del user
        return Settings.load(home=self.folder, log_dir=self.folder / "logs", redis_url=self.url, redis_wait_replicas=self.protection.wait)  # fmt: skip

    def launch(self, *fault: object) -> subprocess.Popen[bytes]:
        program = "import sys; from services_under_test.tally import main; sys.exit(main())"
        replica = self._start("service", [sys.executable, "-c", program], self.folder / "replicas.log")
        self.replicas.append(replica)
        return replica

    def start_servers(self) -> None:
        kept = ["--save", "", "--appendonly", "yes", "--protected-mode", "no", "--port", str(PORT)]
        if self.protection.lag_s:
            kept += ["--min-replicas-to-write", "1", "--min-replicas-max-lag", str(self.protection.lag_s)]
        for host in (PRIMARY, REPLICA, THIRD):
            data = self.folder / host
            data.mkdir()
            role = ["--replicaof", f"{self.network.address(PRIMARY)} {PORT}"] if host != PRIMARY else []
            self._start(host, [self.program, "--dir", str(data), *kept, *role], self.folder / f"{host}.log")
        # Two replicas: a new primary needs one of its own, where each request is to be confirmed.
        for host in (REPLICA, THIRD):
            self.until_said(host, "info", "replication", expected="master_link_status:up")
        for host in (PRIMARY, REPLICA, THIRD):
            conf = self.folder / f"{host}-sentinel.conf"
            conf.write_text(
                f"port {SENTINEL_PORT}\ndir {self.folder}\nprotected-mode no\n"
                f"sentinel monitor {NAME} {self.network.address(PRIMARY)} {PORT} 2\n"
                f"sentinel down-after-milliseconds {NAME} {DOWN_MS}\nsentinel failover-timeout {NAME} 6000\n"
            )
            self._start(host, [self.program, str(conf), "--sentinel"], self.folder / f"{host}-sentinel.log")
        for host in (PRIMARY, REPLICA, THIRD):
            self.until_said(host, "info", "sentinel", port=SENTINEL_PORT, expected="sentinels=3")

    @property
    def program(self) -> str:
        return PROGRAM or str(binary())

    def _start(self, host: str, words: list[str], log: Path) -> subprocess.Popen[bytes]:
        with self.network.inside(host), open(log, "ab") as out:
            process = subprocess.Popen(
                words, env=self.environment_here(), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.others.append(process)
        return process

    def said(self, host: str, *words: str, port: int = PORT) -> str:
        with self.network.inside(host):
            done = subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True, timeout=10, check=False)  # fmt: skip
        return done.stdout

    def until_said(self, host: str, *words: str, expected: str, port: int = PORT) -> None:
        until(lambda: expected in self.said(host, *words, port=port), what=f"{expected} on {host}")

    def start_writer(self) -> subprocess.Popen[bytes]:
        program = str(Path(__file__).with_name("cut_off_writer.py"))
        words = [sys.executable, program, str(self.journal), str(self.notes), str(WRITTEN), str(EVERY_S)]
        return self._start(BESIDE, words, self.folder / "writer.log")

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def accepted(self) -> list[tuple[float, int, str]]:
        """When, number and request id of what the client beside the old primary was told is accepted."""
        lines = [line.split("\t") for line in self.notes.read_text().splitlines()]
        return [(float(at), int(number), id) for at, number, id, said in lines if said == "accepted"]

    def split(self) -> None:
        for host in (PRIMARY, BESIDE):
            self.network.cut(host, REPLICA, THIRD, "service", "client")

    def heal(self) -> None:
        for host in (PRIMARY, BESIDE):
            self.network.join(host, REPLICA, THIRD, "service", "client")

    def end(self) -> None:
        super().end()
        for process in self.others:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Failover:
    protection: Protection
    accepted: int
    lost: int
    accepted_after_s: float  # how long after the cut the last was accepted that got lost; 0 when none was
    refused: int
    asked: int
    answered: int
    doubled: int
    gap_s: float
    heard_s: float  # from the cut until the service heard its control channel on the new primary

    def row(self) -> str:
        late = f"{self.accepted_after_s:.1f}" if self.lost else "–"
        return (
            f"| {self.protection.name} | {self.accepted} | {self.refused} | {self.lost} | {late} | {self.asked} | {self.answered} | "
            f"{self.doubled} | {self.gap_s:.1f} | {self.heard_s:.1f} |"
        )


async def fail_over(ground: Watched) -> Failover:
    """Cut the primary off with a client beside it, let the others choose a new one, and join both sides again."""
    await ground.start(1)
    asking = asyncio.create_task(ground.client("asking", 250, in_flight=4, kinds=KINDS, every_s=0.05))
    writer = ground.start_writer()
    await eventually(lambda: _noted(ground, 60), within_s=PATIENCE_S, what="the writer")
    cut_at = time.time()
    ground.split()
    await eventually(lambda: _promoted(ground), within_s=PATIENCE_S, what="a new primary")
    await _heard(ground)
    heard_s = time.time() - cut_at
    await asyncio.to_thread(writer.wait, PATIENCE_S)
    await asking
    ground.heal()
    await asyncio.to_thread(
        ground.until_said, PRIMARY, "info", "replication", expected="master_link_status:up"
    )  # the old primary has taken over what the new one has
    accepted = ground.accepted()
    bus = bus_for(ground.settings("client"))
    try:
        lost = [(at, number) for at, number, id in accepted if not await bus.is_known(SERVICE, id)]
    finally:
        await bus.close()
    kept = {number for _, number, _ in accepted} - {number for _, number in lost}
    await eventually(
        lambda: _ran(ground, kept), within_s=PATIENCE_S, what="all that is known to the new primary to be run"
    )
    counts = ground.counts("")
    return Failover(
        ground.protection, len(accepted), len(lost), max((at - cut_at for at, _ in lost), default=0.0), WRITTEN - len(accepted),
        counts.sent, counts.answered, counts.doubled, counts.longest_gap_s, heard_s,
    )  # fmt: skip


async def _heard(ground: Watched) -> None:
    """Until the service, which only listened on the old primary and was told nothing of its end, listens on the new one."""
    bus = bus_for(ground.settings("client"))
    asker = Asker(bus)

    async def heard() -> bool:
        with contextlib.suppress(Unavailable):
            await asker.control(SERVICE, "ping", {}, timeout_s=1.0)
            return True
        return False

    try:
        await eventually(heard, within_s=PATIENCE_S, what="an answer on the control channel")
    finally:
        await asker.close()
        await bus.close()


async def _noted(ground: Watched, count: int) -> bool:
    return ground.notes.exists() and len(ground.notes.read_text().splitlines()) >= count


async def _promoted(ground: Watched) -> bool:
    said = [await asyncio.to_thread(ground.said, host, "info", "replication") for host in (REPLICA, THIRD)]
    return any("role:master" in one for one in said)


async def _ran(ground: Watched, numbers: set[int]) -> bool:
    done = {line.partition(":")[2] for line in ground.journal.read_text().split() if line.startswith("cut-off:")}
    return {str(number) for number in numbers} <= done


@contextlib.contextmanager
def watched_ground(protection: Protection, seed: int) -> Iterator[Watched]:
    if lack := missing() or ("" if shutil.which("redis-cli") else "needs the package redis-tools"):
        pytest.skip(lack)
    folder = new_folder()
    try:
        with Network(HOSTS, seed=seed) as network, network.inside("client"):
            made = Watched(folder, Server(folder), random.Random(seed), network=network, protection=protection)
            try:
                made.start_servers()
                yield made
            finally:
                made.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
