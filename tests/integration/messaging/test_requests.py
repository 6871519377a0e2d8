"""One replica as a real process over a real server: what it answers, and what it survives."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.bus_contract import eventually
from evolve import services
from evolve.client.core import AsyncClient
from evolve.errors import Cancelled, DeadlineExceeded, Internal, InvalidRequest, JobDied, RequestIdReused
from evolve.messaging.envelope import new_request_id
from homes import PATIENCE_S
from integration.messaging.fronts import Fronts, connected, gone, kill
from services_under_test.echo import AskItself, Die, Echo, Fail, LightEcho, SlowEcho, Spin


def of(request_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("request_id") == request_id


async def test_inline_and_light_requests_are_answered_by_the_front_and_heavy_ones_by_a_job_process(
    echo: Fronts,
) -> None:
    async with connected(echo.settings) as lines:
        inline, light = await lines.value(Echo(text="ä")), await lines.value(LightEcho(text="b"))
        heavy = await lines.value(SlowEcho(text="c", steps=1))

    front = echo.launched[0].pid
    assert inline == {"text": "ä", "pid": front}
    assert light == {"text": "b", "pid": front}
    assert (heavy["text"], heavy["pid"] != front) == ("c", True)


async def test_a_job_reports_its_progress_and_then_replies(echo: Fronts) -> None:
    seen: list[dict[str, Any]] = []
    request_id = new_request_id()
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        await lines.value(SlowEcho(text="a", steps=3), request_id=request_id, on_progress=seen.append)
        await outputs.first(lambda message: of(request_id)(message) and message["type"] == "echoed")

    assert [(event["stage"], event["done"], event["total"]) for event in seen] == [
        ("counting", 1, 3),
        ("counting", 2, 3),
        ("counting", 3, 3),
    ]
    types = [message["type"] for message in outputs.messages if of(request_id)(message)]
    assert types == ["progress", "progress", "progress", "echoed"]


async def test_what_a_job_says_last_comes_before_its_reply(echo: Fronts) -> None:
    """Both stand in the socket when the front reads them: published in two steps, they may change places."""

    ids = [new_request_id() for _ in range(10)]
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        await asyncio.gather(*(lines.value(SlowEcho(text="q", steps=1, pause_s=0.0), request_id=one) for one in ids))
        for one in ids:
            await outputs.first(lambda message, one=one: of(one)(message) and message["type"] == "echoed")  # type: ignore[misc]

    for one in ids:
        assert [m["type"] for m in outputs.messages if of(one)(m)] == ["progress", "echoed"]


async def test_a_job_asks_others_and_gets_their_answers_in_order(echo: Fronts) -> None:
    """With as many parents as slots: a job that waits holds none, else they would wait for each other for ever."""
    async with connected(echo.settings) as lines:
        answers = await asyncio.gather(*(lines.value(AskItself(text=text, times=3)) for text in "ab"))

    assert [answer["text"] for answer in answers] == ["a0+a1+a2", "b0+b1+b2"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_job_process_that_dies_is_an_error_reply_and_the_next_request_is_answered(
    echo: Fronts, number: int
) -> None:
    async with connected(echo.settings) as lines:
        with pytest.raises(JobDied, match="SIGKILL" if number == signal.SIGKILL else "SIGSEGV"):
            await lines.value(Die(signal_number=number))

        assert (await lines.value(SlowEcho(text="next", steps=1)))["text"] == "next"


async def test_a_job_process_that_died_while_idle_costs_no_request_its_answer(echo: Fronts) -> None:
    async with connected(echo.settings) as lines:
        first = await lines.value(SlowEcho(text="a", steps=1))
        kill(first["pid"], signal.SIGKILL)
        await gone(first["pid"])

        for _ in range(3):
            assert (await lines.value(SlowEcho(text="b", steps=1)))["pid"] != first["pid"]


async def test_ping_and_inline_requests_are_answered_while_jobs_use_every_core(echo: Fronts, tmp_path: Path) -> None:
    spinning = asyncio.Event()
    marker = tmp_path / "enough"
    async with connected(echo.settings) as lines:
        jobs = [
            asyncio.create_task(lines.value(Spin(marker=str(marker)), on_progress=lambda event: spinning.set()))
            for _ in range(2)
        ]
        await asyncio.wait_for(spinning.wait(), PATIENCE_S)

        pong = await lines.asker.control("echo", "ping", {}, timeout_s=PATIENCE_S)
        echoed = await lines.value(Echo(text="meanwhile"))

        assert (pong["type"], echoed["text"]) == ("pong", "meanwhile")
        assert not any(job.done() for job in jobs), "it must answer before they end"
        marker.touch()
        assert [answer["text"] for answer in await asyncio.gather(*jobs)] == ["spun", "spun"]


async def test_ctrl_c_in_a_client_ends_the_job_and_its_process(
    echo: Fronts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(services.SERVICES, "echo", "services_under_test.echo:EchoService")
    spinning, request_id = asyncio.Event(), new_request_id()
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        warm = [await lines.value(SlowEcho(text="warm", steps=1))]
        async with AsyncClient(settings=echo.settings) as client:
            asking = asyncio.create_task(
                client.ask(
                    Spin(marker=str(tmp_path / "never")),
                    on_progress=lambda event: spinning.set(),
                    request_id=request_id,
                )
            )
            await asyncio.wait_for(spinning.wait(), PATIENCE_S)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        ended = await outputs.first(lambda m: of(request_id)(m) and m["type"] == "error")

        assert ended["data"]["code"] == "cancelled"
        await gone(warm[0]["pid"])  # the warm process took the job, so it is the one that ended
        assert (await lines.value(SlowEcho(text="next", steps=1)))["text"] == "next"


async def test_cancel_published_by_hand_ends_a_queued_request_too(echo: Fronts, tmp_path: Path) -> None:
    marker, queued = tmp_path / "enough", new_request_id()
    async with connected(echo.settings) as lines:
        busy = [asyncio.create_task(lines.value(Spin(marker=str(marker)))) for _ in range(2)]

        async def both_taken() -> bool:
            [info] = await lines.bus.replicas("echo")
            return info.in_flight == 2

        await eventually(both_taken, within_s=PATIENCE_S)
        waiting = asyncio.create_task(lines.value(SlowEcho(text="queued"), request_id=queued))
        await lines.control(type="cancel", data={"request_id": queued})

        async def marked() -> bool:
            return await lines.bus._calls.call("HGET", f"evolve:{{echo}}:request:{queued}", "state") == b"cancelled"

        await eventually(marked, within_s=PATIENCE_S)
        marker.touch()
        await asyncio.gather(*busy)
        with pytest.raises(Cancelled, match="before it began"):
            await waiting


async def test_a_job_is_killed_at_its_deadline(echo: Fronts, tmp_path: Path) -> None:
    async with connected(echo.settings) as lines:
        warm = await lines.value(SlowEcho(text="warm", steps=1))
        with pytest.raises(DeadlineExceeded):
            await lines.value(Spin(marker=str(tmp_path / "never")), deadline=time.time() + 0.5)
        await gone(warm["pid"])


async def test_a_typed_error_and_a_bug_arrive_as_what_they_are(echo: Fronts) -> None:
    async with connected(echo.settings) as lines:
        with pytest.raises(InvalidRequest, match="how must be") as typed:
            await lines.value(Fail(how="typed"))
        with pytest.raises(Internal, match=r"bug of ours \(ZeroDivisionError\); its traceback is in the log of echo"):
            await lines.value(Fail(how="bug"))

    assert typed.value.details["allowed"] == ["bug"]
    assert "ZeroDivisionError: a bug" in (echo.settings.logs / "echo_service.log").read_text()


async def test_the_same_request_id_is_answered_from_the_store_and_other_content_is_refused(echo: Fronts) -> None:
    request_id = new_request_id()
    async with connected(echo.settings) as lines, connected(echo.settings) as later:
        first = await lines.ask(SlowEcho(text="a", steps=1), request_id=request_id)

        assert await later.ask(SlowEcho(text="a", steps=1), request_id=request_id) == first
        with pytest.raises(RequestIdReused):
            await later.value(SlowEcho(text="b", steps=1), request_id=request_id)


async def test_a_request_joined_while_it_runs_replies_to_both(echo: Fronts, tmp_path: Path) -> None:
    request_id, marker, spinning = new_request_id(), tmp_path / "enough", asyncio.Event()
    request = Spin(marker=str(marker))
    async with connected(echo.settings) as one, connected(echo.settings) as two, one.outputs() as outputs:
        first = asyncio.create_task(one.ask(request, request_id=request_id, on_progress=lambda _: spinning.set()))
        await asyncio.wait_for(spinning.wait(), PATIENCE_S)
        second = asyncio.create_task(two.ask(request, request_id=request_id))

        async def joined() -> bool:
            return len(await one.bus._calls.call("XRANGE", "evolve:{echo}:requests:heavy", "-", "+")) == 1

        await eventually(lambda: _both(two, request_id), within_s=PATIENCE_S)
        await eventually(joined, within_s=PATIENCE_S)
        marker.touch()

        assert await first == await second

        async def said() -> list[dict[str, Any]]:
            return [m for m in outputs.messages if of(request_id)(m) and m["type"] == "echoed"]

        # It comes by another connection than the replies, sooner or later than they do.
        assert len(await eventually(said, within_s=PATIENCE_S)) == 1


async def _both(lines: Any, request_id: str) -> bool:
    """Whether both askers are noted with the request."""
    fields = await lines.bus._calls.call("HKEYS", f"evolve:{{echo}}:request:{request_id}")
    return sum(field.startswith(b"to:") for field in fields) == 2


# --- by hand, with publish and subscribe ---


async def test_a_published_request_is_answered_on_the_output_with_its_id_only_if_it_gave_one(echo: Fronts) -> None:
    named = new_request_id()
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        await lines.publish(b'{"type":"echo","data":{"text":"nameless"}}')
        await lines.publish(orjson.dumps({"type": "echo", "data": {"text": "named"}, "request_id": named}))

        nameless = await outputs.first(lambda m: m["data"].get("text") == "nameless")
        answered = await outputs.first(of(named))

    assert "request_id" not in nameless
    assert nameless.keys() == {"type", "service", "data", "status", "timestamp"}
    assert (answered["data"]["text"], answered["status"]) == ("named", "success")


async def test_two_equal_published_messages_are_two_and_with_one_id_they_are_one(echo: Fronts) -> None:
    equal, named = new_request_id(), new_request_id()
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        for _ in range(2):
            await lines.publish(orjson.dumps({"type": "light_echo", "data": {"text": equal}}))
            await lines.publish(orjson.dumps({"type": "light_echo", "data": {"text": named}, "request_id": named}))
        replies = await outputs.count(lambda m: m["data"].get("text") == equal, 2)
        # Answered again from the store, or joined: the same reply, from one run.
        same = await outputs.count(of(named), 1)

    assert len(replies) == 2
    assert len({message["timestamp"] for message in same}) == 1


async def test_progress_of_a_published_request_shows_on_the_output_without_an_id(echo: Fronts) -> None:
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        await lines.publish(b'{"type":"slow_echo","data":{"text":"by hand","steps":2}}')
        await outputs.first(lambda m: m["data"].get("text") == "by hand")

    progress = [m for m in outputs.messages if m["type"] == "progress"]
    assert [m["data"]["done"] for m in progress] == [1, 2]
    assert all("request_id" not in m for m in progress)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"not json", "malformed"),
        (b'\x00\xff{"type"', "malformed"),
        (b'{"data":{}}', "malformed"),
        (b'{"type":"echo","data":' + b"[" * 500 + b"]" * 500 + b"}", "malformed"),
        (b"[" + b"[]," * 600_000 + b"[]]", "too_large"),
        (b'{"type":"echo","data":{"text":"' + b"x" * (10 << 20) + b'"}}', "too_large"),
        (b'{"type":"ehco","data":{}}', "unknown_type"),
    ],
    ids=["text", "binary", "no type", "deep", "many elements", "10 MB", "unknown type"],
)
async def test_what_cannot_be_served_is_answered_on_the_output_and_kept_and_the_service_lives(
    echo: Fronts, raw: bytes, code: str
) -> None:
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        before = (await lines.bus.queue("echo")).dead
        await lines.publish(raw)
        error = await outputs.first(lambda m: m["type"] == "error")

        assert (error["status"], error["data"]["code"]) == ("error", code)
        [letter] = await lines.bus.dead_letters("echo", 1)
        assert raw.startswith(letter.raw)
        assert letter.reason.startswith(code)
        assert (await lines.bus.queue("echo")).dead == before + 1
        assert (await lines.value(Echo(text="alive")))["text"] == "alive"


async def test_control_answers_ping_status_start_and_what_it_does_not_know(echo: Fronts) -> None:
    async with connected(echo.settings) as lines, lines.outputs() as outputs:
        await lines.control(type="ping", request_id="p")
        pong = await outputs.first(of("p"))
        await lines.control(type="status", request_id="s")
        status = await outputs.first(of("s"))
        await lines.control(type="start", request_id="t")
        started = await outputs.first(of("t"))
        await lines.control(type="reboot", request_id="u")
        unknown = await outputs.first(of("u"))
        await lines.bus.publish("echo_control", b"not json")
        malformed = await outputs.first(lambda m: m["data"].get("code") == "malformed")

    front = echo.launched[0].pid
    assert (pong["type"], pong["data"].keys()) == ("pong", {"replica"})
    assert (status["type"], started["type"]) == ("status", "status")
    assert status["data"]["state"] == "running"
    assert [replica["pid"] for replica in status["data"]["replicas"]] == [front]
    assert status["data"]["replicas"][0].keys() == {"replica", "pid", "host", "in_flight", "cpu_s", "rss_mb"}
    assert (unknown["data"]["code"], unknown["data"]["request"]) == ("unknown_type", "reboot")
    assert "request_id" not in malformed
