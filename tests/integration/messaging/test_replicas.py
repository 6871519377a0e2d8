"""Replicas that start late, stop, and die; a server that restarts: nothing lost, nothing answered twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from contracts.bus_contract import eventually
from evolve.errors import Unavailable
from evolve.messaging import embedded
from evolve.messaging.envelope import new_request_id
from homes import PATIENCE_S, environment_of, processes_of, until
from integration.messaging.fronts import Fronts, connected, gone, kill
from services_under_test.echo import AskToRun, Echo, EchoService, LightEcho, Run, Sleep, SlowEcho


def of(request_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("request_id") == request_id


def runs_in(journal: Path) -> list[int]:
    return [int(line) for line in journal.read_text().split()] if journal.exists() else []


async def running(journal: Path, count: int = 1) -> list[int]:
    """The processes that ran a `Run`, once there are `count`."""
    await asyncio.to_thread(until, lambda: len(runs_in(journal)) >= count, what=f"{count} runs")
    return runs_in(journal)


def front_of(job: int) -> int:
    """The front whose job process this is: its fork server's parent."""
    server = psutil.Process(job).parent()
    assert server is not None
    return server.ppid()


async def test_a_request_sent_before_the_first_start_is_answered_after_it(fronts: Fronts) -> None:
    early = new_request_id()
    async with connected(fronts.settings) as lines:
        with pytest.raises(Unavailable, match="echo is not running"):
            await lines.ask(Echo(text="early"), request_id=early)
        await fronts.start()

        async def answered() -> bytes | None:
            return await lines.bus.stored_reply("echo", early)

        reply = orjson.loads(await eventually(answered, within_s=PATIENCE_S) or b"")
    assert reply["data"]["text"] == "early"


async def test_stop_drains_answers_what_runs_and_ends_with_status_0(fronts: Fronts, tmp_path: Path) -> None:
    journal, marker = tmp_path / "journal", tmp_path / "go"
    front = await fronts.start()
    async with connected(fronts.settings) as lines, lines.outputs() as outputs:
        ask = asyncio.create_task(
            lines.ask(Run(text="drained", journal=str(journal), marker=str(marker)), must_live=False)
        )
        await running(journal)
        await lines.control(type="stop", request_id="stop")
        assert (await outputs.first(of("stop")))["data"]["state"] == "stopping"
        marker.touch()

        assert (await ask)["data"]["text"] == "drained"
        assert await asyncio.to_thread(front.wait, PATIENCE_S) == 0
        await outputs.first(lambda m: m["type"] == "service_stopped")
        assert await lines.bus.replicas("echo") == []
    assert [p.name() for p in processes_of(fronts.home)] == [psutil.Process(embedded.pid(fronts.home)).name()]


async def test_a_light_handler_that_never_ends_does_not_keep_its_process_alive(fronts: Fronts) -> None:
    front = await fronts.start(EVOLVE_DRAIN_S="0.2")
    sleeping = asyncio.Event()
    async with connected(fronts.settings) as lines:
        ask = asyncio.create_task(lines.ask(Sleep(seconds=3600), must_live=False, on_progress=lambda _: sleeping.set()))
        await asyncio.wait_for(sleeping.wait(), PATIENCE_S)
        front.terminate()

        assert await asyncio.to_thread(front.wait, PATIENCE_S) == 0
        ask.cancel()


async def test_work_of_a_replica_that_is_stopped_or_killed_is_finished_by_the_other_with_one_reply(
    fronts: Fronts, tmp_path: Path
) -> None:
    first, second = await fronts.start(EVOLVE_DRAIN_S="0"), await fronts.start(EVOLVE_DRAIN_S="0")
    async with connected(fronts.settings) as lines, lines.outputs() as outputs:
        # Published by hand, with two bridges listening: each enters once.
        for number in range(10):
            await lines.publish(orjson.dumps({"type": "light_echo", "data": {"text": f"hand{number}"}}))
        by_hand = await outputs.count(lambda m: str(m["data"].get("text", "")).startswith("hand"), 10)
        assert sorted(m["data"]["text"] for m in by_hand) == [f"hand{n}" for n in range(10)]

        request_id, journal, marker = new_request_id(), tmp_path / "journal", tmp_path / "go"
        ask = asyncio.create_task(
            lines.ask(Run(text="once", journal=str(journal), marker=str(marker)), request_id=request_id)
        )
        [job] = await running(journal)
        victim = front_of(job)
        assert victim in (first.pid, second.pid)
        kill(victim, signal.SIGKILL)

        await running(journal, 2)
        await gone(job)
        marker.touch()
        reply = await ask
        # A later request is answered after everything that was published before it.
        await lines.value(LightEcho(text="later"))
        await outputs.first(lambda m: m["data"].get("text") == "later")

    assert reply["data"]["text"] == "once"
    assert len([m for m in outputs.messages if of(request_id)(m)]) == 1
    assert len(runs_in(journal)) == 2


async def test_a_stopped_replica_gives_its_work_back_with_its_questions(fronts: Fronts, tmp_path: Path) -> None:
    """The questions of the job must not be cancelled with it: its successor asks them again under the same ids."""
    first = await fronts.start(EVOLVE_DRAIN_S="0")
    journal, marker = tmp_path / "journal", tmp_path / "go"
    async with connected(fronts.settings) as lines:
        ask = asyncio.create_task(
            lines.ask(AskToRun(text="kept", journal=str(journal), marker=str(marker)), must_live=False)
        )
        await running(journal)
        first.terminate()
        assert await asyncio.to_thread(first.wait, PATIENCE_S) == 0
        await fronts.start()
        await running(journal, 2)
        marker.touch()

        assert (await ask)["data"].get("text") == "kept"


async def test_work_whose_fork_server_was_killed_runs_again_and_no_error_is_answered(
    fronts: Fronts, tmp_path: Path
) -> None:
    """As when the supervisor, which owns the shared one, is killed outright."""
    await fronts.start(EVOLVE_RETRY_FIRST_S="0.1")
    journal, marker = tmp_path / "journal", tmp_path / "go"
    async with connected(fronts.settings) as lines:
        ask = asyncio.create_task(lines.ask(Run(text="kept", journal=str(journal), marker=str(marker))))
        [job] = await running(journal)
        forks = psutil.Process(job).parent()
        assert forks is not None
        forks.kill()
        await running(journal, 2)
        marker.touch()

        reply = await ask

    assert (reply["status"], reply["data"]["text"]) == ("success", "kept")


async def test_a_server_that_is_killed_and_restarted_in_the_middle_of_a_request_loses_nothing(
    fronts: Fronts, tmp_path: Path
) -> None:
    await fronts.start()
    request_id, journal, marker = new_request_id(), tmp_path / "journal", tmp_path / "go"
    async with connected(fronts.settings) as lines:
        ask = asyncio.create_task(
            lines.ask(Run(text="kept", journal=str(journal), marker=str(marker)), request_id=request_id)
        )
        await running(journal)
        server = psutil.Process(embedded.pid(fronts.home))
        server.kill()
        await gone(server.pid)
        await asyncio.to_thread(embedded.ensure, fronts.home)
        marker.touch()

        assert (await ask)["data"]["text"] == "kept"
        assert (await lines.value(Echo(text="next"), must_live=False))["text"] == "next"


@pytest.mark.prove  # ten to twenty seconds, for the time that `make test` has
async def test_a_server_that_stays_down_is_a_typed_error_and_no_hang(fronts: Fronts) -> None:
    await fronts.start(EVOLVE_DRAIN_S="0")
    async with connected(fronts.settings) as lines:
        ask = asyncio.create_task(lines.ask(SlowEcho(text="a", steps=1000)))
        await eventually(lambda: _in_flight(lines), within_s=PATIENCE_S)
        psutil.Process(embedded.pid(fronts.home)).kill()

        with pytest.raises(Unavailable, match="the Redis server does not answer"):
            await ask


async def _in_flight(lines: Any) -> bool:
    return any(info.in_flight for info in await lines.bus.replicas("echo"))


async def test_a_service_of_this_process_answers_between_start_and_stop(
    fronts: Fronts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment_of(fronts.home)["PYTHONPATH"])  # for its job processes
    service = EchoService(settings=fronts.settings)
    await asyncio.to_thread(service.start)
    try:
        assert service.get_service_info()["running"]
        async with connected(fronts.settings) as lines:
            assert (await lines.value(LightEcho(text="here")))["text"] == "here"
            assert (await lines.value(SlowEcho(text="there", steps=1)))["text"] == "there"
    finally:
        await asyncio.to_thread(service.stop)

    assert not service.get_service_info()["running"]
    async with connected(fronts.settings) as lines:
        assert await lines.bus.replicas("echo") == []


def test_a_service_that_cannot_reach_its_server_says_so_and_ends_with_status_1(fronts: Fronts, free_port: int) -> None:
    front = fronts.launch(REDIS_URL=f"redis://localhost:{free_port}/0")

    assert front.wait(PATIENCE_S) == 1
    assert front.stderr is not None
    text = front.stderr.read().decode()
    assert text.startswith("echo: the Redis server does not answer")
    assert "Traceback" not in text


async def test_a_heavy_job_ends_with_its_killed_front(fronts: Fronts, tmp_path: Path) -> None:
    front = await fronts.start()
    journal = tmp_path / "journal"
    async with connected(fronts.settings) as lines:
        ask = asyncio.create_task(
            lines.ask(Run(text="x", journal=str(journal), marker=str(tmp_path / "never")), must_live=False)
        )
        [job] = await running(journal)
        front.kill()

        await gone(job)
        ask.cancel()
