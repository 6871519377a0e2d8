"""A server, replicas that may be killed, clients that count: what every fault is tried on.

Everything runs as users would run it in earnest: a server process of its own with its log synced each second and the ACL on,
replicas as processes, clients with connections of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from contracts.bus_contract import eventually
from evolve.messaging import acl
from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.messaging.embedded import binary
from evolve.messaging.envelope import new_request_id
from evolve.messaging.messages import Request
from evolve.settings import Settings
from homes import PATIENCE_S, environment_of
from integration.faults.asking import insist, watching
from services_under_test.tally import Work

LEASE_S, HEARTBEAT_S = 1.5, 0.3
ANSWERED_WITHIN_S = 60.0  # after the last fault; what is not answered by then counts as lost
MONITOR = "user monitor on nopass ~* &* +@all"
SERVICE = "tally"
PORT = 6379
COLUMNS = "fault | sent | refused | run | answered | doubled | lost | crossed | longest gap s"


# Another server to try the faults on: TEST_SERVER=/usr/bin/redis-server
PROGRAM = os.environ.get("TEST_SERVER", "")


def server_version() -> str:
    """What the faults are tried on, as it names itself: `Valkey server v=9.1.0`."""
    said = subprocess.run([PROGRAM or str(binary()), "--version"], capture_output=True, text=True, check=True)
    return " ".join(said.stdout.split()[:3])


@dataclass
class Server:
    """A server with its data in a folder, which can be stopped, killed and started again."""

    folder: Path
    services: tuple[str, ...] = (SERVICE,)
    address: str = (
        ""  # where other hosts reach it; without one only by its socket, which works from everywhere on this machine
    )
    data: Path | None = None  # where its log goes, if not into `folder`
    passwords: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.passwords = self.passwords or {name: acl.new_password() for name in acl.users(self.services)}

    @property
    def socket(self) -> Path:
        return self.folder / "s.sock"

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{PORT}/0" if self.address else f"unix://{self.socket}?db=0"

    def users(self) -> str:
        """Each with its own rights only; Redis 6 does not know selectors, there all may do all."""
        if " v=6." not in server_version():
            return acl.acl_file(self.services, self.passwords)
        return "".join(f"user {name} on >{word} ~* &* +@all\n" for name, word in self.passwords.items())

    def start(self) -> None:
        (self.folder / "users.acl").write_text(self.users() + MONITOR + "\n")
        self.socket.unlink(missing_ok=True)
        listen = ["--bind", self.address, "--port", str(PORT)] if self.address else ["--port", "0"]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM or str(binary()), "--unixsocket", str(self.socket), *listen, "--dir", str(self.data or self.folder), "--save", "",
                 "--appendonly", "yes", "--appendfsync", "everysec", "--aclfile", str(self.folder / "users.acl")],
                env={**os.environ, **self.environment}, stdout=log, stderr=log, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            )  # fmt: skip

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def monitor(self) -> Redis:
        """A client that may do all, by the socket, which no partition touches."""
        return Redis(unix_socket_path=str(self.socket), username="monitor", password="x", protocol=2)

    def log_file(self) -> Path:
        """What it appends to now: since Redis 7 one of several files in a folder."""
        return next(((self.data or self.folder) / "appendonlydir").glob("*.incr.aof"), self.folder / "appendonly.aof")

    def limit_files(self, size: int) -> None:
        """As a full disk: no file grows beyond `size` bytes (-1: any size)."""
        assert self.process is not None
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, -1))


@dataclass
class Counts:
    """What came of a fault: a row of COLUMNS, and how many of the answers were errors."""

    fault: str
    sent: int
    refused: int
    run: int
    answered: int
    doubled: int
    lost: int
    crossed: int
    errors: int
    longest_gap_s: float

    def row(self) -> str:
        return (
            f"| {self.fault} | {self.sent} | {self.refused} | {self.run} | {self.answered} | {self.doubled} | {self.lost} | "
            f"{self.crossed} | {self.longest_gap_s:.1f} |"
        )


@dataclass
class Ground:
    folder: Path
    server: Server
    rng: random.Random
    logs: Path | None = None  # where the replicas keep theirs, if not with the rest
    environment: dict[str, str] = field(default_factory=dict)  # of the replicas started from now on
    replicas: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    refused: int = 0
    replies: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    crossed: int = 0
    errors: list[str] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # s, from the asking to the answer

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def settings(self, user: str) -> Settings:
        return Settings.load(
            home=self.folder, log_dir=self.folder / "logs", redis_url=self.server.url,
            redis_username=user, redis_password=self.server.passwords[user], lease_s=LEASE_S, heartbeat_s=HEARTBEAT_S,
        )  # fmt: skip

    # --- replicas ---

    def launch(self, *fault: object) -> subprocess.Popen[bytes]:
        """Start a replica, with a fault built in or without; returns at once."""
        environment = environment_of(
            self.folder, REDIS_URL=self.server.url, REDIS_USERNAME=SERVICE,
            REDIS_PASSWORD=self.server.passwords[SERVICE], EVOLVE_LEASE_S=str(LEASE_S),
            EVOLVE_HEARTBEAT_S=str(HEARTBEAT_S), EVOLVE_DRAIN_S="2", EVOLVE_MAX_ATTEMPTS="20",
            EVOLVE_LOG_DIR=str(self.logs or self.folder / "logs"), **self.environment,
        )  # fmt: skip
        program = "import sys; from services_under_test.tally import main; sys.exit(main())"
        with open(self.folder / "replicas.log", "ab") as log:
            replica = subprocess.Popen(
                [sys.executable, "-c", program, *map(str, fault)],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.replicas.append(replica)
        return replica

    async def start(self, count: int = 2, *fault: object) -> list[subprocess.Popen[bytes]]:
        """Replicas that take requests."""
        started = [self.launch(*fault) for _ in range(count)]
        await self.until_alive(started)
        return started

    async def until_alive(self, replicas: list[subprocess.Popen[bytes]]) -> None:
        bus = bus_for(self.settings("client"))

        async def alive() -> bool:
            living = {info.pid for info in await bus.replicas(SERVICE)}
            return all(replica.pid in living for replica in replicas)

        try:
            await eventually(alive, within_s=PATIENCE_S, what="the replicas' heartbeats")
        finally:
            await bus.close()

    def living(self) -> list[subprocess.Popen[bytes]]:
        return [replica for replica in self.replicas if replica.poll() is None]

    # --- clients ---

    async def client(
        self, name: str, requests: int, *, in_flight: int = 16, kinds: tuple[type[Work], ...] = (Work,), every_s: float = 0.0,
        **fields: object,
    ) -> None:  # fmt: skip
        """Ask `requests` times and count the answers; what the server does not take is offered again under its id."""
        bus = bus_for(self.settings("client"))
        asker = Asker(bus)
        places = asyncio.Semaphore(in_flight)

        async def one(number: int) -> None:
            kind = kinds[number % len(kinds)]
            request: Request[object] = kind(client=name, number=number, journal=str(self.journal), **fields)  # type: ignore[arg-type]
            async with places:
                await self._ask(asker, request, name, number)

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(requests):
                    group.create_task(one(number))
                    await asyncio.sleep(every_s)
        finally:
            await asker.close()
            await bus.close()

    async def _ask(self, asker: Asker, request: Request[object], name: str, number: int) -> None:
        id = new_request_id()
        self.sent.add(id)
        started = time.monotonic()
        reply = await insist(asker, SERVICE, request, id, within_s=ANSWERED_WITHIN_S, pause_s=0.2, refused=self._refuse)
        if reply is None:
            return
        self.answered_at.append(time.monotonic())
        self.waits.append(self.answered_at[-1] - started)
        self.replies[id] += 1
        if reply["status"] == "error":
            self.errors.append(str(reply["data"]))
        elif (reply["data"]["client"], reply["data"]["number"]) != (name, number) or reply["request_id"] != id:
            self.crossed += 1

    def _refuse(self) -> None:
        self.refused += 1

    def watching(self) -> contextlib.AbstractAsyncContextManager[None]:
        return watching(self.server.monitor(), [SERVICE], self.published)

    def counts(self, fault: str) -> Counts:
        runs = self.journal.read_text().split() if self.journal.exists() else []
        doubled = sum(1 for id in self.sent if self.replies[id] > 1 or self.published[id] > 1)
        moments = sorted(self.answered_at)
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        return Counts(
            fault, len(self.sent), self.refused, len(runs), sum(1 for id in self.sent if self.replies[id]), doubled,
            sum(1 for id in self.sent if not self.replies[id]), self.crossed, len(self.errors), max(gaps, default=0.0),
        )  # fmt: skip

    def end(self) -> None:
        for replica in self.living():
            replica.send_signal(signal.SIGCONT)
            replica.terminate()
        for replica in self.replicas:
            with contextlib.suppress(subprocess.TimeoutExpired):
                replica.wait(15)
            replica.kill()
            replica.wait()
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.kill(signal.SIGCONT)
            self.server.kill()


@contextlib.contextmanager
def ground(seed: int) -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    server = Server(folder)
    server.start()
    made = Ground(folder, server, random.Random(seed))
    try:
        yield made
    finally:
        made.end()
        if os.environ.get("KEEP_FAULTS"):
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def during(work: asyncio.Task[None], step: Callable[[], object], *, every_s: Callable[[], float]) -> int:
    """Take `step` again and again while `work` goes on; how often."""
    steps = 0
    while True:
        done, _ = await asyncio.wait([work], timeout=every_s())
        if done:
            return steps
        step()
        steps += 1
