"""Evolve on several hosts: the bus on one, the database on another, services on two more, and clients on the last."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evolve.settings import Settings
from homes import environment_of
from integration.faults.ground import Server
from network import Network, missing, new_folder
from postgres_server import PACKAGE, PostgresServer, postgres_server

HOSTS = ("bus", "db", "a", "b", "client")
LEASE_S, HEARTBEAT_S = 3.0, 0.5
KEEP_S = 120  # replies are kept for so long, in the place of a day: growth without bound then shows within an hour
# Some limits are constants of the bus, an hour and more; a replica of ours has them shortened before it starts.
PROGRAM = f"""
import sys
from evolve.messaging import redis_bus
redis_bus.REPLIES_TTL_S = {KEEP_S}
from evolve.services.launch import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Replica:
    service: str
    host: str
    process: subprocess.Popen[bytes]


@dataclass
class Estate:
    folder: Path
    network: Network
    server: Server
    postgres: PostgresServer
    replicas: list[Replica] = field(default_factory=list)

    def environment(self, host: str) -> dict[str, str]:
        return environment_of(
            self.home(host), REDIS_URL=self.server.url, EVOLVE_DATABASE_URL=self.postgres.url, EVOLVE_ARTIFACTS_URL=f"file://{self.folder}/artifacts",
            EVOLVE_LEASE_S=str(LEASE_S), EVOLVE_HEARTBEAT_S=str(HEARTBEAT_S), EVOLVE_DONE_RETENTION_S=str(KEEP_S),
            EVOLVE_DRAIN_S="5", EVOLVE_MAX_ATTEMPTS="20", EVOLVE_SIMULATE="1", SAFE_EXECUTOR_TIMEOUT="20",
        )  # fmt: skip

    def launch(self, service: str, host: str, **extra: str) -> Replica:
        """extra: of the environment."""
        login = {"REDIS_USERNAME": service, "REDIS_PASSWORD": self.server.passwords[service]}
        environment = self.environment(host) | login | extra
        with self.network.inside(host), open(self.folder / f"{host}-{service}.out", "ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, service], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )  # fmt: skip
        replica = Replica(service, host, process)
        self.replicas.append(replica)
        return replica

    def home(self, host: str) -> Path:
        home = self.folder / host
        home.mkdir(mode=0o700, exist_ok=True)
        return home

    def start_bus(self) -> None:
        with self.network.inside("bus"):
            self.server.start()

    def settings(self, user: str = "client") -> Settings:
        return Settings.load(
            home=self.home("client"), log_dir=self.folder / "client" / "logs", redis_url=self.server.url,
            redis_username=user, redis_password=self.server.passwords[user], database_url=self.postgres.url,
        )  # fmt: skip

    def end(self) -> None:
        for replica in self.replicas:
            if replica.process.poll() is None:
                replica.process.terminate()
        for replica in self.replicas:
            with contextlib.suppress(subprocess.TimeoutExpired):
                replica.process.wait(15)
            replica.process.kill()
            replica.process.wait()


@contextlib.contextmanager
def estate(services: Sequence[str], *, seed: int) -> Iterator[Estate]:
    """Servers on their hosts, nothing else; this thread is on `client`. Skips where the machine cannot do it."""
    if lack := missing():
        pytest.skip(lack)
    folder = new_folder()
    try:
        with Network(HOSTS, seed=seed) as network, network.inside("client"), contextlib.ExitStack() as stack:
            with network.inside("db"):
                postgres = stack.enter_context(postgres_server(address=network.address("db")))
            if postgres is None:
                pytest.skip(f"needs the package {PACKAGE}")
            made = Estate(folder, network, Server(folder, tuple(services), network.address("bus")), postgres)
            made.start_bus()
            try:
                yield made
            finally:
                made.end()
                if made.server.process is not None:
                    made.server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
