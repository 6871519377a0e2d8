"""A replica and what goes wrong around it: the other one is away, the server is away, clients ask too much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.bus_contract import eventually
from evolve.errors import InvalidRequest, Unavailable
from evolve.messaging.asker import Asker
from evolve.messaging.bus import Delivery, Finish
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from evolve.messaging.memory_bus import MemoryBus
from evolve.messaging.worker import Worker
from evolve.settings import Settings
from services_under_test import odd
from services_under_test.odd import OddService
from unit.messaging.test_worker import asked, outputs, replica, reply_to, send

WITHIN_S = 20.0


@pytest.fixture
def quick(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, log_dir=tmp_path, lease_s=0.3, heartbeat_s=0.1, drain_s=0.0, retry_first_s=0.01)


@pytest.fixture(autouse=True)
def gate(monkeypatch: pytest.MonkeyPatch) -> odd.Gate:
    fresh = odd.Gate()
    monkeypatch.setattr(odd, "gate", fresh)
    return fresh


async def ask(bus: MemoryBus, asker: Asker, wire_type: str, data: dict[str, Any] | None = None, **fields: Any) -> Any:
    envelope = RequestEnvelope(
        wire_type, data or {}, request_id=fields.pop("request_id", new_request_id()), reply_to=asker.name, **fields
    )
    return await asker.ask("odd", "light", envelope, timeout_s=WITHIN_S, must_live=False)


async def test_a_request_that_leans_on_somebody_who_is_away_is_tried_again_with_a_pause(
    quick: Settings, gate: odd.Gate
) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        reply = await reply_to(await send(bus, "lean_on"), messages)

    assert reply["data"]["value"] == 3
    told = [m["data"]["message"] for m in map(orjson.loads, messages.raw) if m["type"] == "progress"]
    assert [text.partition(" in ")[0] for text in told] == [
        "the other one is away; attempt 2 of 3",
        "the other one is away; attempt 3 of 3",
    ]


async def test_when_no_attempt_is_left_the_last_error_is_the_answer(quick: Settings, gate: odd.Gate) -> None:
    gate.leaned = -100
    bus = MemoryBus()
    async with replica(bus, quick):
        reply = await asked(bus, "lean_on")

    assert (reply["data"]["code"], gate.leaned) == ("unavailable", -97)


async def test_inline_requests_are_answered_together_and_each_to_its_own(quick: Settings) -> None:
    bus = MemoryBus()
    asker = Asker(bus)
    async with replica(bus, quick):
        values = [n if n % 7 else -n for n in range(1, 60)]
        replies = await asyncio.gather(*(ask(bus, asker, "note", {"value": value}) for value in values))
        await asker.close()

    assert [r["data"].get("value", r["data"].get("code")) for r in replies] == [
        value if value > 0 else "invalid_request" for value in values
    ]


class Away(MemoryBus):
    """A server that does not take replies for a while."""

    refusals = 3

    async def finish_many(self, answered: Sequence[tuple[Delivery, bytes]], replica: str) -> list[Finish]:
        self._refuse()
        return await super().finish_many(answered, replica)

    async def finish(self, *arguments: Any, **options: Any) -> Finish:
        self._refuse()
        return await super().finish(*arguments, **options)

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("the Redis server is full")


@pytest.mark.parametrize("wire_type", ["note", "wait"])
async def test_work_that_is_done_waits_for_the_server_and_is_not_done_again(
    quick: Settings, gate: odd.Gate, wire_type: str
) -> None:
    gate.open.set()
    bus = Away()
    asker = Asker(bus)
    async with replica(bus, quick):
        assert (await ask(bus, asker, wire_type))["status"] == "success"
        await asker.close()

    assert (bus.refusals, gate.runs) == (0, int(wire_type == "wait"))


async def test_a_client_that_asks_too_often_is_told_when_to_ask_again(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOLVE_ODD_RATE", "12")  # two in ten seconds
    bus = MemoryBus()
    asker = Asker(bus)
    async with replica(bus, quick):
        replies = [await ask(bus, asker, "note", sender="me", request_id=f"r{n}") for n in range(3)]
        other = await ask(bus, asker, "note", sender="another")
        await asker.close()

    assert [r["status"] for r in replies] == ["success", "success", "error"]
    assert replies[2]["data"]["code"] == "rate_limited"
    assert 0 < replies[2]["data"]["retry_after_s"] <= 5
    assert "more than 12 times a minute" in replies[2]["data"]["error"]
    assert other["status"] == "success"
    assert await bus.stored_reply("odd", "r2") is None, "asked again later, it must run"


async def test_a_request_that_killed_two_replicas_waits_before_it_gets_a_third(quick: Settings) -> None:
    bus = MemoryBus()
    await send(bus, "note", {"value": 5}, request_id="poison")
    for name in ("one", "two"):  # each takes it, and is never heard of again
        if name == "one":
            await bus.receive("odd", "light", name, 1, block_s=1)
        else:
            await eventually(lambda: bus.reclaim("odd", "light", "two", idle_s=0.3, count=1), within_s=WITHIN_S)
    postponed: list[float] = []
    put_off = bus.postpone

    async def seen(delivery: Delivery, replica: str, *, delay_s: float, made: int) -> bool:
        postponed.append(delay_s)
        return await put_off(delivery, replica, delay_s=delay_s, made=made)

    bus.postpone = seen  # type: ignore[method-assign]
    async with replica(bus, quick), outputs(bus) as messages:
        reply = await reply_to("poison", messages)

    assert reply["data"]["value"] == 5
    assert len(postponed) == 1


async def test_a_reply_over_the_limit_is_an_error_that_says_so(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, log_dir=tmp_path, drain_s=0.0, max_reply_bytes=50)
    bus = MemoryBus()
    async with replica(bus, settings):
        reply = await asked(bus, "note", {"value": 1})

    assert reply["data"]["code"] == "too_large"
    assert "over the limit of 50" in reply["data"]["error"]


@pytest.mark.parametrize("name", ["SLOTS", "IN_FLIGHT"])
def test_a_replica_without_room_for_a_request_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"EVOLVE_ODD_{name}", "0")

    with pytest.raises(InvalidRequest, match=f"EVOLVE_ODD_{name} must be a whole number of at least 1, not '0'"):
        Worker(OddService, Settings.load(home=tmp_path), MemoryBus())
