"""A service whose every run can be counted, and that can be made to die at a chosen step."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from evolve.messaging.messages import Reply, Request
from evolve.messaging.redis_bus import RedisBus
from evolve.messaging.service import Job, Service, handles


class Worked(Reply):
    client: str
    number: int


class Work(Request[Worked]):
    """Note the run in `journal`, take `pause_s`, answer. With `fatal`: the first to run it dies, leaving that file."""

    client: str
    number: int
    journal: str
    pause_s: float = 0.0
    fatal: str = ""


class QuickWork(Work, slot="inline"):
    """The same in the front's loop."""


class HeavyWork(Work, slot="heavy"):
    """The same in a job process."""


class TallyService(Service):
    name = "tally"

    @handles
    def work(self, request: Work, job: Job) -> Worked:
        with open(request.journal, "a") as journal:
            journal.write(f"{request.client}:{request.number}\n")
        if request.fatal and not os.path.exists(request.fatal):
            with open(request.fatal, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        # Not time.sleep: under libfaketime it fails (Python 3.11 sleeps to a moment of the clock).
        select.select([], [], [], request.pause_s)
        return Worked(client=request.client, number=request.number)

    @handles
    def quick_work(self, request: QuickWork, job: Job) -> Worked:
        return self.work(request, job)

    @handles
    def heavy_work(self, request: HeavyWork, job: Job) -> Worked:
        return self.work(request, job)


def dies(step: str, after: int) -> None:
    """Make this process die at its `after`-th `begin` or `finish`: before the step reaches the server, or (`…-done`) before
    its answer reaches us."""
    name, _, done = step.partition("-")
    method = getattr(RedisBus, name)
    count = 0

    async def deadly(self: RedisBus, *arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count < after:
            return await method(self, *arguments, **options)
        if done:
            await method(self, *arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    setattr(RedisBus, name, deadly)


def step_clock(seconds: float, every: int) -> None:
    """Make this process's wall clock jump forth and back, every so many looks at it."""
    true, looks = time.time, 0

    def stepping() -> float:
        nonlocal looks
        looks += 1
        return true() + (seconds if looks // every % 2 else 0.0)

    time.time = stepping


def main() -> int:
    """`tally.py [begin|finish|…-done N] [clock SECONDS]`: a replica in the foreground, with a fault built in."""
    from evolve.messaging.serving import run_service
    from evolve.settings import Settings
    from services_under_test.tally import TallyService as Registered

    words = sys.argv[1:]
    if words[:1] == ["clock"]:
        step_clock(float(words[1]), 50)
    elif words:
        dies(words[0], int(words[1]))
    return run_service(Registered, Settings.load())


if __name__ == "__main__":
    sys.exit(main())
