"""A loop that swallows a cancellation ends all the same."""

from __future__ import annotations

import asyncio
import contextlib

from evolve.messaging.tasks import end_tasks


async def test_a_loop_that_swallows_its_first_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    assert not await end_tasks([task])
    assert swallowed == 1


async def test_a_loop_that_never_ends_is_given_up_in_time() -> None:
    stop = False

    async def immortal() -> None:
        while not stop:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    task = asyncio.create_task(immortal())
    await asyncio.sleep(0)

    assert await end_tasks([task], within_s=0.1)
    stop = True
    assert not await end_tasks([task])


async def test_what_has_ended_is_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task

    assert not await end_tasks([task])
