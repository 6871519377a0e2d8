"""A tenth service in thirty lines: its contract and its handlers in one file."""

from __future__ import annotations

import os
import signal
import time

from evolve.errors import InvalidRequest
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service, handles


class Echoed(Reply):
    text: str
    pid: int


class Echo(Request[Echoed], slot="inline"):
    text: str


class SlowEcho(Request[Echoed], slot="heavy"):
    """Count to `steps`, a tenth of a second each, reporting every one, then echo."""

    text: str
    steps: int = 3
    pause_s: float = 0.1


class LightEcho(Request[Echoed]):
    text: str


class AskItself(Request[Echoed], slot="heavy"):
    text: str
    times: int = 2


class Die(Request[Echoed], slot="heavy"):
    signal_number: int = signal.SIGKILL


class Fail(Request[Echoed]):
    how: str = "typed"


class Spin(Request[Echoed], slot="heavy"):
    """Use a whole core until `marker` is there."""

    marker: str


class Sleep(Request[Echoed]):
    """A light handler that nothing can stop."""

    seconds: float


class Run(Request[Echoed], slot="heavy"):
    """Note the run in `journal`, wait until `marker` is there, then echo: how often it ran can be counted."""

    text: str
    journal: str
    marker: str


class AskToRun(Run, slot="heavy"):
    """Ask `Run`, and answer with its answer."""


class EchoService(Service):
    name = "echo"

    @handles
    def echo(self, request: Echo, job: Job) -> Echoed:
        return Echoed(text=request.text, pid=os.getpid())

    @handles
    def light_echo(self, request: LightEcho, job: Job) -> Echoed:
        return Echoed(text=request.text, pid=os.getpid())

    @handles
    def slow_echo(self, request: SlowEcho, job: Job) -> Echoed:
        for step in range(request.steps):
            job.progress("counting", step + 1, request.steps, f"step {step + 1}")
            time.sleep(request.pause_s)
        return Echoed(text=request.text, pid=os.getpid())

    @handles
    def ask_itself(self, request: AskItself, job: Job) -> Echoed:
        answers = job.ask_all([SlowEcho(text=f"{request.text}{n}", steps=1) for n in range(request.times)])
        texts = [answer.text if isinstance(answer, Echoed) else repr(answer) for answer in answers]
        return Echoed(text="+".join(texts), pid=os.getpid())

    @handles
    def die(self, request: Die, job: Job) -> Echoed:
        os.kill(os.getpid(), request.signal_number)
        time.sleep(10)
        raise AssertionError("unreachable")

    @handles
    def spin(self, request: Spin, job: Job) -> Echoed:
        job.progress("spinning", 0, 1)
        while not os.path.exists(request.marker):
            sum(range(20_000))
        return Echoed(text="spun", pid=os.getpid())

    @handles
    def sleep(self, request: Sleep, job: Job) -> Echoed:
        job.progress("sleeping", 0, 1)
        time.sleep(request.seconds)
        return Echoed(text="slept", pid=os.getpid())

    @handles
    def run(self, request: Run, job: Job) -> Echoed:
        with open(request.journal, "a") as journal:
            journal.write(f"{os.getpid()}\n")
        while not os.path.exists(request.marker):
            time.sleep(0.01)
        return Echoed(text=request.text, pid=os.getpid())

    @handles
    def ask_to_run(self, request: AskToRun, job: Job) -> Echoed:
        return job.ask(Run(text=request.text, journal=request.journal, marker=request.marker))

    @handles
    def fail(self, request: Fail, job: Job) -> Echoed:
        if request.how == "typed":
            raise InvalidRequest("how must be anything but 'typed'", allowed=["bug"])
        raise ZeroDivisionError("a bug")
