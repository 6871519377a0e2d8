"""Who may work now? The gate counts exactly, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from evolve.messaging.jobs import SlotGate


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_as_many_as_there_are_slots_work_at_once_and_the_next_waits_for_one() -> None:
    gate = SlotGate(2)
    await gate.acquire()
    await gate.acquire()
    third = asyncio.create_task(gate.acquire())
    await turns()
    assert not third.done()

    gate.release()

    await third


async def test_who_waits_longest_is_next() -> None:
    gate, order = SlotGate(1), []
    await gate.acquire()

    async def wait(name: str) -> None:
        await gate.acquire()
        order.append(name)
        gate.release()

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    await turns()
    gate.release()
    await asyncio.gather(*tasks)

    assert order == ["a", "b", "c"]


async def test_a_reader_takes_all_places_that_are_free() -> None:
    gate = SlotGate(3)
    assert await gate.acquire_some() == 3
    gate.release(2)
    assert gate.take_free() == 2
    assert gate.take_free() == 0


async def test_who_gives_up_waiting_takes_no_slot() -> None:
    gate = SlotGate(1)
    await gate.acquire()
    waiting = asyncio.create_task(gate.acquire())
    await turns()
    await cancelled(waiting)

    gate.release()

    assert gate.take_free() == 1


async def test_who_gives_up_in_the_moment_its_turn_comes_passes_it_on() -> None:
    gate = SlotGate(1)
    await gate.acquire()
    first, second = asyncio.create_task(gate.acquire()), asyncio.create_task(gate.acquire())
    await turns()

    gate.release()
    await cancelled(first)

    await asyncio.wait_for(second, 1)


async def test_a_job_that_waits_for_others_lends_its_slot() -> None:
    gate = SlotGate(1)
    await gate.acquire()

    async with gate.lent():
        await asyncio.wait_for(gate.acquire(), 1)
        gate.release()

    assert gate.take_free() == 0


async def test_a_job_cancelled_while_it_lends_its_slot_ends_at_once_and_the_count_stays() -> None:
    """Else it would wait for a slot before it may die, behind jobs of hours."""
    gate = SlotGate(1)
    lent = asyncio.Event()

    async def job() -> None:
        await gate.acquire()
        try:
            async with gate.lent():
                lent.set()
                await asyncio.Event().wait()
        finally:
            gate.release()

    asked = asyncio.create_task(job())
    await lent.wait()
    await gate.acquire()  # another took the slot

    await asyncio.wait_for(cancelled(asked), 1)

    assert gate.take_free() == 0
    gate.release()
    assert gate.take_free() == 1


async def test_a_job_cancelled_while_it_waits_to_get_its_slot_back_leaves_the_count_as_it_was() -> None:
    gate = SlotGate(1)
    lent, resume = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        await gate.acquire()
        try:
            async with gate.lent():
                lent.set()
                await resume.wait()
        finally:
            gate.release()

    asked = asyncio.create_task(job())
    await lent.wait()
    await gate.acquire()
    resume.set()
    await turns()

    await asyncio.wait_for(cancelled(asked), 1)
    gate.release()

    assert gate.take_free() == 1


async def test_a_debt_of_a_cancelled_job_is_paid_before_a_waiting_one_is_let_in() -> None:
    gate = SlotGate(1)
    lent = asyncio.Event()

    async def job() -> None:
        await gate.acquire()
        try:
            async with gate.lent():
                lent.set()
                await asyncio.Event().wait()
        finally:
            gate.release()

    asked = asyncio.create_task(job())
    await lent.wait()
    await gate.acquire()
    third = asyncio.create_task(gate.acquire())
    await turns()

    await cancelled(asked)
    await turns()

    assert not third.done(), "two would work on one slot"
    gate.release()
    await asyncio.wait_for(third, 1)


@given(slots=st.integers(1, 3), choices=st.lists(st.integers(0, 3), max_size=30))
def test_however_jobs_come_lend_and_are_cancelled_all_slots_are_free_in_the_end(slots: int, choices: list[int]) -> None:
    async def scenario() -> int:
        gate, tasks, working, peak = SlotGate(slots), [], 0, 0

        async def job(number: int) -> None:
            nonlocal working, peak
            await gate.acquire()
            try:
                working += 1
                peak = max(peak, working)
                await turns(number)
                working -= 1
                try:
                    async with gate.lent():
                        await turns(number)
                finally:
                    working += 1
                await turns(number)
            finally:
                working -= 1
                gate.release()

        for number, choice in enumerate(choices):
            if choice == 0 and tasks:
                tasks[number % len(tasks)].cancel()
            elif choice == 1:
                await turns(1)
            else:
                tasks.append(asyncio.create_task(job(choice)))
        await asyncio.gather(*tasks, return_exceptions=True)
        return gate.take_free()

    assert asyncio.run(scenario()) == slots
