"""How long does each request take, and are the answers right? The load of `bench/bus.py`, the same for every peer.

A client program of a peer connects, and then obeys lines of JSON on its standard input: `{"requests": 2000, "in_flight": 64,
"cap_s": 30}` is answered on standard output with `{"requests": 2000, "seconds": …, "p50_ms": …, "p99_ms": …, "wrong": 0}`. Standard library only:
it runs in each peer's own environment.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Handle = TypeVar("Handle")
Ask = Callable[..., Awaitable[str]]
SIZE = 1024  # bytes of text in each request, and in each reply
READY_S = 40.0  # a worker that does not answer by then does not run


def text(number: int) -> str:
    """1 KB that tells its request from every other, so that a reply to another request is noticed."""
    return f"{number:08d}".ljust(SIZE, "x")


def answer(latencies_ms: list[float], seconds: float, wrong: int) -> None:
    ordered = sorted(latencies_ms)
    found = {
        "requests": len(ordered),
        "seconds": seconds,
        "p50_ms": ordered[len(ordered) // 2],
        "p99_ms": ordered[int(0.99 * len(ordered))],
        "wrong": wrong,
    }
    print(json.dumps(found), flush=True)


async def obey(ask: Ask, *, first_try_s: float = 2.0) -> None:
    """For asyncio clients. `ask(text, every_s=…)` returns the echo; who must poll for it looks every so many seconds."""
    end = time.monotonic() + READY_S
    while True:
        try:
            await asyncio.wait_for(ask(text(0), every_s=0.05), first_try_s)
            break
        except Exception:  # whatever a peer raises while its worker starts
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
    print(json.dumps({"ready": True}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await _drive(ask, **json.loads(line))


async def _drive(ask: Ask, *, requests: int, in_flight: int, cap_s: float) -> None:
    latencies: list[float] = []
    wrong = 0
    numbers = itertools.count()
    # For who must poll. With many in flight looking seldom spares CPU and hardly delays: 0.2 s is taskiq's default, and cost taskiq
    # 11 % and arq 34 % less in all than 0.05 s (one run each). With one in flight the interval would be the latency.
    every_s = 0.005 if in_flight == 1 else 0.2
    started = time.perf_counter()

    async def one_after_the_other() -> None:
        nonlocal wrong
        while (number := next(numbers)) < requests and time.perf_counter() - started < cap_s:
            sent = text(number)
            asked = time.perf_counter()
            echoed = await ask(sent, every_s=every_s)
            latencies.append(1000 * (time.perf_counter() - asked))
            wrong += echoed != sent

    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    answer(latencies, time.perf_counter() - started, wrong)


def obey_blocking(send: Callable[[str], Handle], collect: Callable[[Handle], str]) -> None:
    """For clients without asyncio: a window of requests, the oldest collected first. It costs less than a thread each."""
    collect(send(text(0)))  # the peers' own timeouts are long enough for a worker to start
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        _drive_blocking(send, collect, **json.loads(line))


def _drive_blocking(
    send: Callable[[str], Any], collect: Callable[[Any], str], *, requests: int, in_flight: int, cap_s: float
) -> None:
    latencies: list[float] = []
    wrong = number = 0
    waiting: deque[tuple[Any, str, float]] = deque()
    started = time.perf_counter()
    while True:
        if number < requests and len(waiting) < in_flight and time.perf_counter() - started < cap_s:
            sent = text(number)
            asked = time.perf_counter()
            waiting.append((send(sent), sent, asked))
            number += 1
        elif waiting:
            handle, sent, asked = waiting.popleft()
            echoed = collect(handle)
            latencies.append(1000 * (time.perf_counter() - asked))
            wrong += echoed != sent
        else:
            break
    answer(latencies, time.perf_counter() - started, wrong)
