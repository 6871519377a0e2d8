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


class LightEcho(Request[Echoed]):
    text: str


class AskItself(Request[Echoed], slot="heavy"):
    text: str
    times: int = 2


class Die(Request[Echoed], slot="heavy"):
    signal_number: int = signal.SIGKILL


class Fail(Request[Echoed]):
    how: str = "typed"


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
            time.sleep(0.1)
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
    def fail(self, request: Fail, job: Job) -> Echoed:
        if request.how == "typed":
            raise InvalidRequest("how must be anything but 'typed'", allowed=["bug"])
        raise ZeroDivisionError("a bug")
