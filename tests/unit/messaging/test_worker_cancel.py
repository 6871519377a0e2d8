"""Is a request that is withdrawn at an awkward moment answered, and its place free again?"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from evolve.messaging.bus import Begin, Delivery
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.jobs import SlotGate
from evolve.messaging.memory_bus import MemoryBus
from evolve.messaging.worker import Worker
from evolve.settings import Settings
from services_under_test.echo import EchoService


class WithdrawnWhileItBegins(MemoryBus):
    async def begin(self, delivery: Delivery, replica: str, content_hash: str, reply_to: str | None) -> Begin:
        found = await super().begin(delivery, replica, content_hash, reply_to)
        await self.withdraw(delivery.service, delivery.request_id)
        for _ in range(20):  # the control message reaches the replica meanwhile
            await asyncio.sleep(0)
        return found


class InterruptedBeforeTheFirstStep(Worker):
    def _take(self, delivery: Delivery, gate: SlotGate) -> None:
        super()._take(delivery, gate)
        self._interrupt(delivery.entry, "cancelled")


@contextlib.asynccontextmanager
async def serving(worker: Worker) -> AsyncIterator[None]:
    served = asyncio.create_task(worker.serve())
    await worker.ready.wait()
    yield
    worker.stop()
    await served


async def answer_to(bus: MemoryBus, request_id: str) -> dict[str, object]:
    envelope = RequestEnvelope(
        "light_echo", {"text": "hello"}, 0.0, request_id=request_id, reply_to=f"asker-{request_id}"
    )
    await bus.send("echo", "light", envelope.to_bytes(), request_id=request_id)
    [(_, raw), *_] = await bus.read_replies("echo", f"asker-{request_id}", "0-0", block_s=5.0)
    return dict(json.loads(raw))


@pytest.fixture
def one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request at a time: a place that is not given back blocks the next."""
    monkeypatch.setenv("EVOLVE_ECHO_IN_FLIGHT", "1")


@pytest.mark.usefixtures("one_place")
async def test_a_request_withdrawn_while_it_begins_is_answered_with_cancelled(settings: Settings) -> None:
    bus = WithdrawnWhileItBegins()
    async with serving(Worker(EchoService, settings, bus)):
        reply = await answer_to(bus, "awkward")
    assert (reply["type"], reply["data"]["code"]) == ("error", "cancelled")  # type: ignore[index]


@pytest.mark.usefixtures("one_place")
async def test_a_request_interrupted_before_its_first_step_is_answered_and_its_place_is_free(
    settings: Settings,
) -> None:
    bus = MemoryBus()
    async with serving(InterruptedBeforeTheFirstStep(EchoService, settings, bus)):
        first = await answer_to(bus, "first")
        second = await answer_to(bus, "second")
    assert [reply["data"]["code"] for reply in (first, second)] == ["cancelled", "cancelled"]  # type: ignore[index]
