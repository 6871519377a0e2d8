"""Who asks gets each answer where it belongs, and never waits for what cannot come."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from contracts.bus_contract import eventually
from evolve.clock import FrozenClock
from evolve.errors import TimedOut, TooLarge, Unavailable
from evolve.messaging.asker import Asker
from evolve.messaging.bus import Delivery, ReplicaInfo
from evolve.messaging.envelope import RequestEnvelope, read_request
from evolve.messaging.memory_bus import MemoryBus


def request(request_id: str, asker: Asker, **data: Any) -> RequestEnvelope:
    return RequestEnvelope("t", data, request_id=request_id, reply_to=asker.name)


async def take(bus: MemoryBus) -> Delivery:
    [delivery] = await bus.receive("svc", "light", "a", 1, block_s=10)
    envelope = read_request(delivery.raw, max_bytes=1 << 20)
    assert await bus.begin(delivery, "a", envelope.content_hash, envelope.reply_to) == "run"
    return delivery


def reply(delivery: Delivery, **data: Any) -> bytes:
    return orjson.dumps({"type": "u", "status": "success", "data": data, "request_id": delivery.request_id})


async def living(bus: MemoryBus) -> MemoryBus:
    await bus.heartbeat("svc", ReplicaInfo("a", 1, "host"))
    return bus


async def test_many_questions_at_once_get_each_its_own_answer() -> None:
    bus = await living(MemoryBus())
    asker = Asker(bus)
    asks = [asyncio.create_task(asker.ask("svc", "light", request(f"r{n}", asker), timeout_s=10)) for n in range(20)]
    deliveries = [await take(bus) for _ in range(20)]

    for delivery in reversed(deliveries):
        await bus.finish(delivery, "a", reply(delivery, mine=delivery.request_id))

    assert [(await ask)["data"]["mine"] for ask in asks] == [f"r{n}" for n in range(20)]
    await asker.close()


async def test_two_askers_do_not_get_each_others_answers() -> None:
    bus = await living(MemoryBus())
    one, two = Asker(bus), Asker(bus)
    asks = [asyncio.create_task(a.ask("svc", "light", request(f"r{a.name}", a), timeout_s=10)) for a in (one, two)]
    for _ in range(2):
        delivery = await take(bus)
        await bus.finish(delivery, "a", reply(delivery, mine=delivery.request_id))

    assert [(await ask)["data"]["mine"] for ask in asks] == [f"r{one.name}", f"r{two.name}"]
    await one.close()
    await two.close()


async def test_progress_comes_before_the_reply_and_is_not_taken_for_it() -> None:
    bus, seen = await living(MemoryBus()), []
    asker = Asker(bus)
    ask = asyncio.create_task(
        asker.ask("svc", "light", request("r", asker), timeout_s=10, on_progress=lambda event: seen.append(event))
    )
    delivery = await take(bus)
    await bus.report("svc", asker.name, orjson.dumps({"type": "progress", "data": {"done": 1}, "request_id": "r"}))
    await bus.finish(delivery, "a", reply(delivery))

    assert (await ask)["type"] == "u"
    assert seen == [{"done": 1}]
    await asker.close()


async def test_a_service_that_is_down_is_said_with_how_to_start_it_and_the_request_stays() -> None:
    bus = MemoryBus()
    asker = Asker(bus)

    with pytest.raises(Unavailable, match=r"svc is not running.*evolve up") as raised:
        await asker.ask("svc", "light", request("r", asker), timeout_s=10)

    assert raised.value.details == {"service": "svc", "asked_id": "r"}
    assert (await bus.queue("svc")).queued == 1
    await asker.close()


async def test_who_gives_up_waiting_learns_how_to_fetch_the_late_reply() -> None:
    bus = await living(MemoryBus())
    asker = Asker(bus)

    with pytest.raises(TimedOut, match=r"did not answer within 0.01 s.*evolve reply svc r"):
        await asker.ask("svc", "light", request("r", asker), timeout_s=0.01, must_live=False)

    await asker.close()


async def test_what_no_replica_would_read_is_not_sent() -> None:
    bus = MemoryBus()
    asker = Asker(bus, max_bytes=100)

    with pytest.raises(TooLarge, match="over the limit of 100"):
        await asker.ask("svc", "light", request("r", asker, padding="x" * 100), timeout_s=10)

    assert (await bus.queue("svc")).queued == 0


class RestartingBus(MemoryBus):
    """The server is away, and when it comes back it remembers heartbeats that are old by then."""

    away = False

    async def replicas(self, service: str) -> list[ReplicaInfo]:
        if self.away:
            raise Unavailable("the Redis server does not answer")
        return await super().replicas(service)


async def test_a_server_that_restarts_costs_no_answer_even_if_the_heartbeats_on_it_are_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The replicas find it again a moment after we do."""
    monkeypatch.setattr("evolve.messaging.asker.CHECK_S", 0.01)
    bus, clock = RestartingBus(), FrozenClock()
    asker = Asker(bus, clock=clock)
    bus.away = True
    ask = asyncio.create_task(asker.ask("svc", "light", request("r", asker), timeout_s=60))
    delivery = await take(bus)
    await asyncio.sleep(0.1)  # it has looked, and found the server away
    clock.advance(4)
    bus.away = False
    await asyncio.sleep(0.1)  # it looks again, and finds no living replica
    assert not ask.done()

    await living(bus)
    await bus.finish(delivery, "a", reply(delivery))

    assert (await ask)["type"] == "u"
    await asker.close()


async def test_a_server_that_stays_away_is_said_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.messaging.asker.CHECK_S", 0.01)
    bus, clock = RestartingBus(), FrozenClock()
    asker = Asker(bus, clock=clock)
    bus.away = True
    ask = asyncio.create_task(asker.ask("svc", "light", request("r", asker), timeout_s=60))
    await take(bus)

    async def said() -> bool:
        clock.advance(1)
        return ask.done()

    await eventually(said, within_s=10)
    with pytest.raises(Unavailable, match="the Redis server does not answer"):
        await ask
    await asker.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.messaging.asker.CHECK_S", 0.01)
    monkeypatch.setattr("evolve.messaging.asker.REREAD_S", 0.01)


async def test_a_reply_that_was_lost_on_its_way_is_read_where_it_is_stored(impatient: None) -> None:
    """Its stream was trimmed, or had expired, or a clock went back."""
    bus = await living(MemoryBus())
    asker = Asker(bus)
    ask = asyncio.create_task(asker.ask("svc", "light", request("r", asker), timeout_s=10))
    delivery = await take(bus)
    bus._states["svc", "r"].readers.clear()

    assert await bus.finish(delivery, "a", reply(delivery, mine=True)) == "sent"

    assert (await ask)["data"] == {"mine": True}
    await asker.close()


async def test_what_the_server_forgot_is_sent_again_by_who_waits_for_it(impatient: None) -> None:
    bus = await living(MemoryBus())
    asker = Asker(bus)
    ask = asyncio.create_task(asker.ask("svc", "light", request("r", asker), timeout_s=10))
    forgotten = await take(bus)
    bus._queues.clear()
    bus._states.clear()

    again = await take(bus)
    assert await bus.finish(forgotten, "a", reply(forgotten)) == "lost"
    assert await bus.finish(again, "a", reply(again, again=True)) == "sent"

    assert (await ask)["data"] == {"again": True}
    await asker.close()


async def test_what_waits_long_and_is_known_is_not_sent_again(impatient: None) -> None:
    bus = await living(MemoryBus())
    asker = Asker(bus)
    ask = asyncio.create_task(asker.ask("svc", "light", request("r", asker), timeout_s=10))
    delivery = await take(bus)
    await asyncio.sleep(0.1)  # it has looked several times

    assert (await bus.queue("svc")).queued == 1
    await bus.finish(delivery, "a", reply(delivery))
    await ask
    await asker.close()
