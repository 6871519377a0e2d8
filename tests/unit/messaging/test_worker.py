"""A replica on the bus in memory: what it answers, to whom, in which order, and what it does when things go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.bus_contract import Heard, eventually, heard
from evolve.clock import SYSTEM_CLOCK, FrozenClock
from evolve.messaging.bus import control_channel, output_channel
from evolve.messaging.memory_bus import MemoryBus
from evolve.messaging.worker import Worker
from evolve.settings import Settings
from services_under_test import odd
from services_under_test.odd import OddService

WITHIN_S = 20.0
_ids = itertools.count(1)


@pytest.fixture
def quick(tmp_path: Path) -> Settings:
    """Short leases, and no time to drain."""
    return Settings.load(home=tmp_path, log_dir=tmp_path, lease_s=0.3, heartbeat_s=0.1, drain_s=0.0)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> odd.Gate:
    fresh = odd.Gate()
    monkeypatch.setattr(odd, "gate", fresh)
    return fresh


@contextlib.asynccontextmanager
async def replica(bus: MemoryBus, settings: Settings, name: str = "a") -> AsyncIterator[Worker]:
    worker = Worker(OddService, settings, bus, name=name)
    serving = asyncio.create_task(worker.serve())
    ready = asyncio.create_task(worker.ready.wait())
    await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED, timeout=WITHIN_S)
    ready.cancel()
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(serving, WITHIN_S)


@contextlib.asynccontextmanager
async def outputs(bus: MemoryBus) -> AsyncIterator[Heard]:
    async with heard(bus, output_channel("odd")) as messages:
        yield messages


async def send(bus: MemoryBus, type: str, data: dict[str, Any] | None = None, **fields: Any) -> str:
    request_id = str(fields.pop("request_id", f"r{next(_ids)}"))
    raw = orjson.dumps({"type": type, "data": data or {}, "request_id": request_id, **fields})
    await bus.send("odd", "light", raw, request_id=request_id)
    return request_id


def parsed(messages: Heard) -> list[dict[str, Any]]:
    return [orjson.loads(raw) for raw in messages.raw]


async def reply_to(request_id: str, messages: Heard) -> dict[str, Any]:
    """The reply or error under `request_id`, once it was published."""

    async def found() -> dict[str, Any] | None:
        return next(
            (m for m in parsed(messages) if m.get("request_id") == request_id and m["type"] != "progress"), None
        )

    return await eventually(found, within_s=WITHIN_S, what=f"the reply to {request_id} in {messages.raw}")


async def asked(bus: MemoryBus, type: str, data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    async with outputs(bus) as messages:
        return await reply_to(await send(bus, type, data, **fields), messages)


async def told(bus: MemoryBus, messages: Heard, raw: bytes, count: int = 1) -> list[dict[str, Any]]:
    """What a control message brings on the output: `count` messages, waited for."""
    before = len(messages.raw)
    await bus.publish_control("odd", raw)
    await messages.wait_for(before + count)
    return parsed(messages)[before:]


# --- replies ---


async def test_a_reply_is_the_envelope_of_the_contract(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick):
        reply = await asked(bus, "report_and_reply", request_id="mine")

    assert isinstance(reply.pop("timestamp"), float)
    assert reply == {
        "type": "answer",
        "service": "odd",
        "status": "success",
        "data": {"value": "replied"},
        "request_id": "mine",
    }


async def test_progress_is_never_the_last_message_of_a_request(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        ids = [await send(bus, "report_and_reply") for _ in range(50)]
        for request_id in ids:
            await reply_to(request_id, messages)

    seen: dict[str, list[str]] = {}
    for message in parsed(messages):
        if "request_id" in message:
            seen.setdefault(message["request_id"], []).append(message["type"])
    assert [seen[request_id] for request_id in ids] == [["progress", "answer"]] * 50


async def test_a_handler_that_was_cancelled_and_goes_on_reports_no_more(quick: Settings, gate: odd.Gate) -> None:
    """A thread cannot be killed; what it says after its request ended would be the request's last message."""
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        waiting = await send(bus, "wait")
        await asyncio.to_thread(gate.entered.acquire)
        await bus.withdraw("odd", waiting)
        assert (await reply_to(waiting, messages))["data"]["code"] == "cancelled"

        gate.open.set()
        await reply_to(await send(bus, "report_and_reply"), messages)

    assert [m["type"] for m in parsed(messages) if m.get("request_id") == waiting] == ["error"]


async def test_a_question_asked_twice_by_one_job_is_answered_twice(quick: Settings) -> None:
    """The second answer must not be the stored first one: the world may have changed in between."""
    bus = MemoryBus()
    async with replica(bus, quick):
        first, second = (await asked(bus, "count_twice"))["data"]["value"]

    assert second == first + 1


async def test_a_reply_that_no_json_can_hold_is_a_bug_and_answered_as_one(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick):
        for what in ("too large an integer", "a typed error with an object in it"):
            reply = await asked(bus, "reply_with", {"what": what})
            assert reply["data"]["code"] == "internal", what

    assert (await bus.queue("odd")).queued == 0


async def test_an_inline_handler_that_reports_is_a_bug_and_answered_as_one(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick):
        assert (await asked(bus, "report"))["data"]["code"] == "internal"


# --- what cannot be answered ---


async def test_an_unknown_type_is_answered_with_the_nearest_and_kept(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick):
        reply = await asked(bus, "conut", reply_to="asker")

    assert (reply["status"], reply["data"]["code"], reply["data"]["request"]) == ("error", "unknown_type", "conut")
    assert "count" in reply["data"]["error"]
    [letter] = await bus.dead_letters("odd")
    assert letter.reason.startswith("unknown_type")
    assert orjson.loads(letter.raw)["type"] == "conut"
    [(_, raw)] = await bus.read_replies("odd", "asker", "0-0", block_s=0.1)
    assert orjson.loads(raw) == reply


@pytest.mark.parametrize(
    "raw",
    [b"\x00\xff", b"[]", b'{"data":{}}', b'{"type":"count","data":' + b"[" * 300 + b"]" * 300 + b"}", b"[" * 5000],
    ids=["junk", "a list", "no type", "nested 300 deep", "nested 5000 deep"],
)
async def test_what_is_no_request_is_answered_with_an_error_and_kept(quick: Settings, raw: bytes) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        await bus.send("odd", "light", raw, request_id="r1")
        reply = await reply_to("r1", messages)
        assert reply["data"]["code"] == "malformed"
        assert (await asked(bus, "count"))["status"] == "success"

    assert [letter.raw for letter in await bus.dead_letters("odd")] == [raw]
    assert (await bus.queue("odd")).queued == 0


async def test_a_message_over_the_size_limit_is_refused_and_the_service_lives(tmp_path: Path) -> None:
    bus = MemoryBus()
    settings = Settings.load(home=tmp_path, log_dir=tmp_path, max_message_bytes=100)
    async with replica(bus, settings):
        reply = await asked(bus, "count", {"padding": "x" * 100})
        assert reply["data"]["code"] == "too_large"
        assert (await asked(bus, "count"))["status"] == "success"


async def test_a_message_that_kills_every_replica_is_given_up_and_kept(quick: Settings) -> None:
    bus = MemoryBus()
    poison = await send(bus, "count", reply_to="asker")
    for number in range(quick.max_attempts):  # each takes it and dies without a word
        taken = (
            await bus.receive("odd", "light", f"dead{number}", 1, block_s=1)
            if number == 0
            else await bus.reclaim("odd", "light", f"dead{number}", idle_s=0.0, count=1)
        )
        assert len(taken) == 1

    async with outputs(bus) as messages, replica(bus, quick):
        reply = await reply_to(poison, messages)

    assert reply["data"]["code"] == "job_died"
    assert "after 3 attempts" in reply["data"]["error"]
    [letter] = await bus.dead_letters("odd")
    assert letter.reason.startswith("job_died")
    assert (await bus.queue("odd")).queued == 0


async def test_a_deadline_that_passed_in_the_queue_is_said(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick):
        reply = await asked(bus, "count", deadline=SYSTEM_CLOCK.now() - 1)

    assert reply["data"]["code"] == "deadline_exceeded"


async def test_a_deadline_is_judged_by_the_clock_of_the_bus(quick: Settings) -> None:
    """A host whose clock is an hour ahead must not refuse what has a minute left."""
    server = FrozenClock(SYSTEM_CLOCK.now() - 3_600)
    bus = MemoryBus(clock=server)
    async with replica(bus, quick):
        in_time = await asked(bus, "count", deadline=server.now() + 60)
        too_late = await asked(bus, "count", deadline=server.now() - 60)

    assert in_time["status"] == "success"
    assert too_late["data"]["code"] == "deadline_exceeded"


async def test_work_is_stopped_at_its_deadline(quick: Settings, gate: odd.Gate) -> None:
    bus = MemoryBus()
    async with replica(bus, quick):
        reply = await asked(bus, "wait", deadline=SYSTEM_CLOCK.now() + 0.2)
        gate.open.set()

    assert reply["data"]["code"] == "deadline_exceeded"


async def test_one_request_id_runs_once_and_other_content_under_it_is_refused(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        first = await asked(bus, "count", request_id="same")
        again = await asked(bus, "count", request_id="same")
        await send(bus, "report_and_reply", request_id="same")

        async def refused() -> list[dict[str, Any]]:
            return [m for m in parsed(messages) if m["data"].get("code") == "request_id_reused"]

        [error] = await eventually(refused)

    assert again == first
    assert error["request_id"] == "same"


# --- stopping ---


async def test_work_that_is_not_done_when_a_replica_stops_is_done_by_the_next_with_its_questions(
    quick: Settings, gate: odd.Gate
) -> None:
    """Its questions to others must not be withdrawn with it: the next attempt asks them again under the same ids."""
    bus = MemoryBus()
    async with outputs(bus) as messages:
        async with replica(bus, quick, "first"):
            parent = await send(bus, "ask_to_wait")
            await asyncio.to_thread(gate.entered.acquire)
        assert not [m for m in parsed(messages) if m.get("request_id") == parent]

        async with replica(bus, quick, "second"):
            await asyncio.to_thread(gate.entered.acquire)
            gate.open.set()
            reply = await reply_to(parent, messages)

    assert (reply["status"], reply["data"]) == ("success", {"value": "waited"})
    assert (await bus.queue("odd")).queued == 0


async def test_cancelling_a_request_cancels_what_it_asked_of_others(quick: Settings, gate: odd.Gate) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        parent = await send(bus, "ask_to_wait")
        await asyncio.to_thread(gate.entered.acquire)
        await bus.withdraw("odd", parent)
        await reply_to(parent, messages)

        async def both_cancelled() -> bool:
            return len([m for m in parsed(messages) if m["data"].get("code") == "cancelled"]) == 2

        await eventually(both_cancelled, within_s=WITHIN_S)
        gate.open.set()

    assert gate.runs == 1


async def test_a_replica_says_when_it_starts_and_stops(quick: Settings) -> None:
    bus = MemoryBus()
    async with outputs(bus) as messages, replica(bus, quick, "a"):
        pass

    assert [(m["type"], m["data"]["replica"]) for m in parsed(messages)] == [
        ("service_started", "a"),
        ("service_stopped", "a"),
    ]


class BrokenBus(MemoryBus):
    async def extend(self, *arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("a bug in the bus")


async def test_a_replica_whose_background_loop_dies_ends_rather_than_going_deaf(
    quick: Settings, gate: odd.Gate
) -> None:
    """Without the loop that extends leases every long job runs twice; who supervises it starts another."""
    bus = BrokenBus()
    worker = Worker(OddService, quick, bus, name="a")
    serving = asyncio.create_task(worker.serve())
    await asyncio.wait_for(worker.ready.wait(), WITHIN_S)
    await send(bus, "wait")
    await asyncio.to_thread(gate.entered.acquire)

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(serving, WITHIN_S)
    gate.open.set()


# --- control ---


async def test_every_replica_answers_a_ping_and_one_of_them_status_and_start(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick, "a"), replica(bus, quick, "b"), outputs(bus) as messages:
        pongs = await told(bus, messages, b'{"type":"ping","request_id":"p"}', 2)
        [status] = await told(bus, messages, b'{"type":"status","request_id":"s"}')
        [started] = await told(bus, messages, b'{"type":"start"}')
        await told(bus, messages, b'{"type":"ping"}', 2)  # nothing else came in between
        types = [m["type"] for m in parsed(messages)]

    assert sorted(pong["data"]["replica"] for pong in pongs) == ["a", "b"]
    assert {pong["request_id"] for pong in pongs} == {"p"}
    assert types == ["pong", "pong", "status", "status", "pong", "pong"]
    assert status["request_id"] == "s"
    assert status["data"].keys() == {"state", "queued", "oldest_s", "dead", "replicas"}
    assert [r.keys() for r in status["data"]["replicas"]] == [
        {"replica", "pid", "host", "in_flight", "cpu_s", "rss_mb"}
    ] * 2
    assert started["data"]["state"] == "running"
    assert "request_id" not in started


async def test_stop_ends_the_replica_it_names_and_no_other(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick, "a"), replica(bus, quick, "b"), outputs(bus) as messages:
        [status, stopped] = await told(bus, messages, b'{"type":"stop","data":{"replica":"b"}}', 2)

        assert (status["data"]["state"], stopped["type"], stopped["data"]["replica"]) == (
            "stopping",
            "service_stopped",
            "b",
        )
        assert [info.replica for info in await bus.replicas("odd")] == ["a"]


async def test_stopping_a_replica_that_is_not_there_is_said(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick, "a"), outputs(bus) as messages:
        [error] = await told(bus, messages, b'{"type":"stop","data":{"replica":"z"},"request_id":"s"}')

    assert (error["data"]["code"], error["request_id"]) == ("invalid_request", "s")
    assert "a" in error["data"]["error"]


async def test_cancel_published_by_hand_ends_a_running_request(quick: Settings, gate: odd.Gate) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        running = await send(bus, "wait")
        await asyncio.to_thread(gate.entered.acquire)
        await bus.publish(control_channel("odd"), orjson.dumps({"type": "cancel", "data": {"request_id": running}}))
        assert (await reply_to(running, messages))["data"]["code"] == "cancelled"
        gate.open.set()


async def test_an_unknown_control_message_is_answered_to_who_sent_it_and_kept(quick: Settings) -> None:
    bus = MemoryBus()
    async with replica(bus, quick, "a"), replica(bus, quick, "b"), outputs(bus) as messages:
        [error] = await told(bus, messages, b'{"type":"reboot","request_id":"c","reply_to":"asker"}')
        await told(bus, messages, b'{"type":"ping"}', 2)

    assert (error["data"]["code"], error["data"]["request"], error["request_id"]) == ("unknown_type", "reboot", "c")
    assert [m["type"] for m in parsed(messages)] == ["error", "pong", "pong"], "one of two replicas answers"
    [(_, raw)] = await bus.read_replies("odd", "asker", "0-0", block_s=0.1)
    assert orjson.loads(raw) == error
    [letter] = await bus.dead_letters("odd")
    assert orjson.loads(letter.raw)["type"] == "reboot"


@pytest.mark.parametrize("raw", [b"not json", b'{"type":"cancel"}', b'{"type":"cancel","data":{"request_id":7}}'])
async def test_a_malformed_control_message_is_answered_and_kept_and_the_service_lives(
    quick: Settings, raw: bytes
) -> None:
    bus = MemoryBus()
    async with replica(bus, quick), outputs(bus) as messages:
        [error] = await told(bus, messages, raw)
        [pong] = await told(bus, messages, b'{"type":"ping"}')

    assert (error["data"]["code"], pong["type"]) == ("malformed", "pong")
    assert [letter.raw for letter in await bus.dead_letters("odd")] == [raw]
