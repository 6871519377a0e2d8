"""A service whose handlers do what handlers should not, or what is hard to serve. All light: they run in a thread."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from evolve.errors import InvalidRequest, Unavailable
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service, handles


class Answer(Reply):
    value: Any = None


class Count(Request[Answer]):
    """How often it was asked: another answer every time."""


class CountTwice(Request[Answer]):
    """Ask `Count` twice, one after the other."""


class ReportAndReply(Request[Answer]):
    """Report, and reply in the same moment."""


class Wait(Request[Answer]):
    """Until the test lets go, then report and reply."""


class AskToWait(Request[Answer]):
    """Ask `Wait`, and answer with its answer."""


class ReplyWith(Request[Answer]):
    """Something that no JSON can hold."""

    what: str = "too large an integer"


class Report(Request[Answer], slot="inline"):
    """Report from a handler that may not."""


class LeanOn(Request[Answer], retries=2):
    """Somebody who is away until the third time."""


class Note(Request[Answer], slot="inline"):
    """Answered at once."""

    value: int = 0


class Gate:
    """Where `Wait` stands: `entered` once per run, `open` to let it go on."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Semaphore(0), threading.Event()
        self.runs = 0
        self.leaned = 0


gate = Gate()
counter = itertools.count(1)


class OddService(Service):
    name = "odd"

    @handles
    def count(self, request: Count, job: Job) -> Answer:
        return Answer(value=next(counter))

    @handles
    def count_twice(self, request: CountTwice, job: Job) -> Answer:
        return Answer(value=[job.ask(Count()).value, job.ask(Count()).value])

    @handles
    def report_and_reply(self, request: ReportAndReply, job: Job) -> Answer:
        job.progress("working", 1, 1, "done")
        return Answer(value="replied")

    @handles
    def wait(self, request: Wait, job: Job) -> Answer:
        gate.runs += 1
        gate.entered.release()
        gate.open.wait(30)
        job.progress("woke", 1, 1)
        return Answer(value="waited")

    @handles
    def ask_to_wait(self, request: AskToWait, job: Job) -> Answer:
        return job.ask(Wait())

    @handles
    def reply_with(self, request: ReplyWith, job: Job) -> Answer:
        if request.what == "a typed error with an object in it":
            raise InvalidRequest("the details hold an object", thing=object())
        return Answer(value=2**70)

    @handles
    def lean_on(self, request: LeanOn, job: Job) -> Answer:
        gate.leaned += 1
        if gate.leaned < 3:
            raise Unavailable("the other one is away")
        return Answer(value=job.attempt)

    @handles
    def note(self, request: Note, job: Job) -> Answer:
        if request.value < 0:
            raise InvalidRequest("value must not be negative")
        return Answer(value=request.value)

    @handles
    def report(self, request: Report, job: Job) -> Answer:
        job.progress("working", 1, 1)
        return Answer()
