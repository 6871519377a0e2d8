"""Replicas of the echo service as processes of their own, and somebody who asks them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from contracts.bus_contract import Heard, eventually, heard
from evolve.messaging import embedded
from evolve.messaging.asker import Asker
from evolve.messaging.bus import control_channel, input_channel, output_channel
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, error_in, new_request_id
from evolve.messaging.messages import Request
from evolve.messaging.redis_bus import RedisBus
from evolve.settings import Settings
from homes import END_S, PATIENCE_S, environment_of, until

PROGRAM = (
    "import sys; from evolve.messaging.serving import run_service; from evolve.settings import Settings; "
    "from services_under_test.echo import EchoService; sys.exit(run_service(EchoService, Settings.load()))"
)
# Short, so that a lost replica is noticed soon; long enough for a stalled machine.
LEASE_S, HEARTBEAT_S = 2.0, 0.3
QUICK = {"EVOLVE_LEASE_S": str(LEASE_S), "EVOLVE_HEARTBEAT_S": str(HEARTBEAT_S), "EVOLVE_ECHO_SLOTS": "2"}


@dataclass
class Fronts:
    """Launches replicas in one home. `settings` are those of who asks them."""

    home: Path
    launched: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings.load(home=self.home, log_dir=self.home / "logs", lease_s=LEASE_S, heartbeat_s=HEARTBEAT_S)

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a replica; returns at once."""
        front = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment_of(self.home, **{**QUICK, **environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.launched.append(front)
        return front

    async def start(self, **environment: str) -> subprocess.Popen[bytes]:
        """A replica that takes requests."""
        front = self.launch(**environment)
        async with connected(self.settings) as lines:

            async def listed() -> bool:
                assert front.poll() is None, f"it ended: {(front.stderr.read() if front.stderr else b'').decode()}"
                return front.pid in [info.pid for info in await lines.bus.replicas("echo")]

            await eventually(listed, within_s=PATIENCE_S, what="the replica's heartbeat")
        return front

    def end(self) -> None:
        for front in self.launched:
            front.terminate()
        for front in self.launched:
            with contextlib.suppress(subprocess.TimeoutExpired):
                front.wait(END_S)
            front.kill()  # nothing, if it has ended
            front.wait()
            if front.stderr is not None:
                front.stderr.close()


@dataclass
class Lines:
    """Somebody's connection: ask, listen, publish."""

    bus: RedisBus
    asker: Asker

    async def ask(
        self,
        request: Request[Any],
        *,
        request_id: str | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        deadline: float | None = None,
        must_live: bool = True,
    ) -> dict[str, Any]:
        """The reply envelope, success or error."""
        envelope = RequestEnvelope(
            request.wire_type,
            request.model_dump(mode="json"),
            request_id=request_id or new_request_id(),
            reply_to=self.asker.name,
            deadline=deadline,
        )
        lane = "heavy" if request.slot == "heavy" else "light"
        return await self.asker.ask(
            "echo", lane, envelope, timeout_s=PATIENCE_S, on_progress=on_progress, must_live=must_live
        )

    async def value(self, request: Request[Any], **options: Any) -> Any:
        """The data of a successful reply; raises its error."""
        reply = await self.ask(request, **options)
        if reply["status"] == "error":
            raise error_in(reply)
        return reply["data"]

    @contextlib.asynccontextmanager
    async def outputs(self) -> AsyncIterator[Outputs]:
        async with heard(self.bus, output_channel("echo")) as messages:
            yield Outputs(messages)

    async def publish(self, raw: bytes) -> None:
        """What `redis-cli publish echo_input …` does."""
        assert await self.bus.publish(input_channel("echo"), raw) > 0

    async def control(self, **message: Any) -> None:
        await self.bus.publish(control_channel("echo"), orjson.dumps(message))


@dataclass
class Outputs:
    heard: Heard

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [orjson.loads(raw) for raw in self.heard.raw]

    async def first(self, matches: Callable[[dict[str, Any]], bool], *, what: str = "an output") -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            return next((message for message in self.messages if matches(message)), None)

        return await eventually(found, within_s=PATIENCE_S, what=f"{what} in {self.messages}")

    async def count(self, matches: Callable[[dict[str, Any]], bool], count: int) -> list[dict[str, Any]]:
        async def enough() -> bool:
            return sum(map(matches, self.messages)) >= count

        await eventually(enough, within_s=PATIENCE_S, what=f"{count} outputs in {self.messages}")
        return [message for message in self.messages if matches(message)]


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Lines]:
    bus = bus_for(settings)
    asker = Asker(bus)
    try:
        yield Lines(bus, asker)
    finally:
        await asker.close()
        await bus.close()


@contextlib.contextmanager
def fronts_in(home: Path) -> Iterator[Fronts]:
    embedded.ensure(home)
    fronts = Fronts(home)
    try:
        yield fronts
    finally:
        fronts.end()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def gone(pid: int) -> None:
    await asyncio.to_thread(until, lambda: is_gone(pid), what=f"the end of process {pid}")


def kill(pid: int, number: int) -> None:
    os.kill(pid, number)
