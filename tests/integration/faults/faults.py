"""The faults themselves. Each takes a ground and a size (1: the sample that every test run takes; 10: in full)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from contracts.bus_contract import eventually
from homes import PATIENCE_S, environment_of
from integration.faults.ground import LEASE_S, Ground, during
from services_under_test.tally import HeavyWork, QuickWork, Work

Fault = Callable[[Ground, int], Awaitable[None]]
FAULTS: dict[str, Fault] = {}
KINDS = (QuickWork, Work)


def fault(name: str) -> Callable[[Fault], Fault]:
    def note(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return note


async def dying_at(ground: Ground, size: int, step: str) -> None:
    """Replicas that die at a step, one after the other, beside one that is well."""
    deaths = 1 if size == 1 else 5
    await ground.start(1)
    dying = ground.launch(step, 3)
    await ground.until_alive([dying])
    asking = asyncio.create_task(ground.client("a", 60 * size, in_flight=24, pause_s=0.01))
    seen = 0
    while not asking.done():
        await asyncio.wait([asking], timeout=0.1)
        if dying.poll() is not None:
            seen += 1
            if seen < deaths:
                dying = ground.launch(step, 3)
            else:
                break
    await asking
    assert seen >= 1, "no replica died"


@fault("worker killed before the handler")
async def before_the_handler(ground: Ground, size: int) -> None:
    await dying_at(ground, size, "begin")


@fault("worker killed after the handler, before its reply")
async def after_the_handler(ground: Ground, size: int) -> None:
    await dying_at(ground, size, "finish")


@fault("worker killed between reply and acknowledgement")
async def after_the_reply(ground: Ground, size: int) -> None:
    """Both are one script: it is killed when the server has run it, before it hears so."""
    await dying_at(ground, size, "finish-done")


@fault("worker killed during the handler")
async def during_the_handler(ground: Ground, size: int) -> None:
    await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 30 * size, in_flight=8, pause_s=0.02))
    for number in range(1 if size == 1 else 4):
        await ground.client(f"fatal{number}", 1, fatal=str(ground.folder / f"died{number}"))
        assert (ground.folder / f"died{number}").exists()
        await ground.start(1)
    await asking


@fault("job process killed with its front, heavy work")
async def heavy_work(ground: Ground, size: int) -> None:
    first, *_ = await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 10 * size, in_flight=4, kinds=(HeavyWork,), pause_s=0.1))
    await _runs(ground, 3)
    first.kill()
    await asking


@fault("both workers killed")
async def both_killed(ground: Ground, size: int) -> None:
    for _ in range(1 if size == 1 else 4):
        pair = await ground.start(2)
        before = len(ground.replies)
        asking = asyncio.create_task(
            ground.client(f"a{before}", 60 * size, in_flight=24, kinds=KINDS, pause_s=0.02, every_s=0.002)
        )
        await eventually(lambda before=before: _more_than(ground, before + 10), within_s=PATIENCE_S)  # type: ignore[misc]
        for replica in pair:
            replica.kill()
        await ground.start(2)
        await asking


@fault("worker stopped for longer than its lease, then continued")
async def zombie(ground: Ground, size: int) -> None:
    first, _ = await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=24, pause_s=0.15))
    await _runs(ground, 5)
    for _ in range(1 if size == 1 else 3):
        first.send_signal(signal.SIGSTOP)
        await asyncio.wait([asking], timeout=LEASE_S + 1.5)
        first.send_signal(signal.SIGCONT)
        await asyncio.wait([asking], timeout=1.0)
    await asking
    # Until it is heard of again, and has had its say about what it held.
    await ground.until_alive([first])
    await ground.client("after", 40, in_flight=24, pause_s=0.05)
    runs = len(ground.journal.read_text().split())
    assert runs > len(ground.sent), "it held nothing when it was stopped"


@fault("server killed and restarted with its log")
async def server_restart(ground: Ground, size: int) -> None:
    await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=24, kinds=KINDS, pause_s=0.01, every_s=0.01))
    for _ in range(1 if size == 1 else 4):
        await asyncio.wait([asking], timeout=0.5 + ground.rng.random() / 2)
        ground.server.kill()
        await asyncio.sleep(0.5)
        ground.server.start()
    await asking


@fault("server emptied")
async def server_emptied(ground: Ground, size: int) -> None:
    """Whoever waits sends again what the server forgot; the id sees to it that nobody is answered twice."""
    await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 60 * size, in_flight=24, kinds=KINDS, pause_s=0.01, every_s=0.01))
    for _ in range(1 if size == 1 else 3):
        await asyncio.wait([asking], timeout=0.3 + ground.rng.random() / 4)
        await _flush(ground)
    await asking


@fault("server paused for longer than the lease")
async def server_paused(ground: Ground, size: int) -> None:
    await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 60 * size, in_flight=24, kinds=KINDS, pause_s=0.01, every_s=0.01))
    for _ in range(1 if size == 1 else 3):
        await asyncio.wait([asking], timeout=0.3)
        ground.server.kill(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S + (0.5 if size == 1 else 4.0))
        ground.server.kill(signal.SIGCONT)
        await asyncio.wait([asking], timeout=1.0)
    await asking


@fault("two workers under load, one killed every 2 s")
async def killed_again_and_again(ground: Ground, size: int) -> None:
    await ground.start(2)
    requests, every_s = (150, 0.02) if size == 1 else (2_000, 0.01)
    asking = asyncio.create_task(ground.client("a", requests, in_flight=64, kinds=KINDS, pause_s=0.01, every_s=every_s))

    def kill_one() -> None:
        ground.rng.choice(ground.living()).kill()
        ground.launch()

    assert await during(asking, kill_one, every_s=lambda: 2.0) >= 1


@fault("eight clients at once, each its own answers")
async def eight_clients(ground: Ground, size: int) -> None:
    await ground.start(2)
    requests = 40 if size == 1 else 500
    await asyncio.gather(*(ground.client(f"c{n}", requests, in_flight=16, kinds=KINDS) for n in range(8)))


@fault("a client that vanishes")
async def client_vanishes(ground: Ground, size: int) -> None:
    """Its requests are done all the same, and cost the others nothing."""
    await ground.start(2)
    settings = ground.settings("client")
    program = (
        "import asyncio, sys; from integration.faults.ground import *; from integration.faults.vanishing import ask; "
        "asyncio.run(ask(*sys.argv[1:]))"
    )
    vanishing = subprocess.Popen(
        [sys.executable, "-c", program, str(ground.journal), str(30 * size)],
        env=environment_of(ground.folder, REDIS_URL=str(settings.redis_url), REDIS_USERNAME="client",
                           REDIS_PASSWORD=ground.server.passwords["client"]),
    )  # fmt: skip
    try:
        await _runs(ground, 5)
    finally:
        vanishing.kill()
        vanishing.wait()
    await ground.client("a", 60 * size, in_flight=16, kinds=KINDS, pause_s=0.005)


@fault("wall clocks of the workers jump by an hour")
async def clock_step(ground: Ground, size: int) -> None:
    await ground.start(1, "clock", 3600)
    await ground.start(1, "clock", -3600)
    await ground.client("a", 80 * size, in_flight=16, kinds=KINDS, pause_s=0.005, every_s=0.005)


@fault("the server's clock jumps by an hour, and back")
async def server_clock_step(ground: Ground, size: int) -> None:
    """Ahead, every lease seems to have lapsed, so requests may run twice; back, the leases last longer. Neither loses or doubles."""
    offset = ground.folder / "clock"
    offset.write_text("+0")
    ground.server.kill()
    ground.server.environment = {
        "LD_PRELOAD": str(faketime()), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_CACHE_DURATION": "0",
        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    ground.server.start()
    await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=16, kinds=KINDS, pause_s=0.05, every_s=0.005))
    for _ in range(1 if size == 1 else 4):
        before = await _server_time(ground)
        offset.write_text("+3600")
        assert await _server_time(ground) - before > 3_500, "the server's clock did not jump"
        await asyncio.wait([asking], timeout=0.5)
        offset.write_text("+0")
        await asyncio.wait([asking], timeout=0.5)
    await asking


def faketime() -> Path:
    """The library that shifts a process's clock."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if found is None:
        pytest.skip("package faketime is not installed")
    return found


@fault("disk full under the server's log")
async def disk_full(ground: Ground, size: int) -> None:
    """Requests are refused with an error that says so, and none that was accepted is lost."""
    await ground.start(2)
    asking = asyncio.create_task(ground.client("a", 80 * size, in_flight=16, kinds=KINDS, pause_s=0.01, every_s=0.02))
    await asyncio.wait([asking], timeout=0.3)
    ground.server.limit_files(ground.server.log_file().stat().st_size + 2_000)
    await eventually(lambda: _refused(ground), within_s=PATIENCE_S, what="a request that is refused")
    await asyncio.sleep(0.5)
    ground.server.limit_files(-1)
    await asking


async def _refused(ground: Ground) -> bool:
    return ground.refused > 0


async def _more_than(ground: Ground, count: int) -> bool:
    return len(ground.replies) > count


async def _runs(ground: Ground, count: int) -> None:
    async def enough() -> bool:
        return ground.journal.exists() and len(ground.journal.read_text().split()) >= count

    await eventually(enough, within_s=PATIENCE_S, what=f"{count} runs")


async def _server_time(ground: Ground) -> float:
    monitor = ground.server.monitor()
    try:
        return float((await monitor.time())[0])
    finally:
        await monitor.aclose()


async def _flush(ground: Ground) -> None:
    monitor = ground.server.monitor()
    try:
        await monitor.flushall()
    finally:
        await monitor.aclose()
