"""What does a service answer? Subclass `Service`, name it, and mark the methods that answer with `@handles`.

A handler takes a typed request and a `Job`, and returns a typed reply. It may run in a process of its own, so it keeps
nothing on `self` that must outlive the request, except what `setup` made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, Internal, InvalidRequest
from evolve.messaging.bus import fence_of
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.messages import Reply, Request, parse_request
from evolve.settings import Settings

ReplyT = TypeVar("ReplyT", bound=Reply)
HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Wire(Protocol):
    """How a running job reaches its front: implemented by the job process and by the thread of a light handler."""

    def progress(self, stage: str, done: int, total: int, message: str) -> None: ...
    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One request at work: who asked, under which id, and how to report and to ask others.

    attempt: 1 at its first run. entry: where it stands in the stream.
    """

    envelope: RequestEnvelope
    wire: Wire
    attempt: int = 1
    entry: str = "0-0"

    @property
    def fence(self) -> str:
        """The token of this run, higher than that of every run of the request before. Computed when asked for: most never are."""
        return fence_of(self.entry, self.attempt)

    @property
    def request_id(self) -> str:
        return self.envelope.request_id or ""

    def progress(self, stage: str, done: int, total: int, message: str = "") -> None:
        """Tell the asker how far the work is; `done` of `total` in the unit of the stage."""
        self.wire.progress(stage, done, total, message)

    def ask(self, request: Request[ReplyT], *, timeout_s: float | None = None) -> ReplyT:
        """Ask another service and wait. Raises its typed error, TimedOut or Unavailable."""
        answer = self.ask_all([request], timeout_s=timeout_s)[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def ask_all(
        self, requests: Sequence[Request[ReplyT]], *, timeout_s: float | None = None
    ) -> list[ReplyT | BaseException]:
        """Ask several at once and wait for all; a failed one yields its error in its place."""
        return self.wire.ask_all(requests, timeout_s)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Handler:
    """A method of a service and the request it answers."""

    name: str
    request: type[Request[Any]]


def handles(method: HandlerT) -> HandlerT:
    """Mark `def build_model(self, request: BuildModel, job: Job) -> ModelBuilt` as the answer to `BuildModel`."""
    method.__handles__ = True  # type: ignore[attr-defined]
    return method


class Service:
    """The base of every service. Constructing one connects to nothing.

    redis_host, redis_port, redis_db: the server; the defaults mean "as configured" (see `connection`). `start` answers in
    the background of this process until `stop`; `run` answers in the foreground until SIGTERM or SIGINT.
    """

    name: ClassVar[str] = ""
    preload: ClassVar[tuple[str, ...]] = ()
    handlers: ClassVar[dict[str, Handler]] = {}

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        settings: Settings | None = None,
    ) -> None:
        self.settings: Settings = (
            settings if settings is not None else Settings.for_server(redis_host, redis_port, redis_db)
        )
        self.clock: Clock = SYSTEM_CLOCK
        self._ready = False
        self._setting_up = threading.Lock()
        self._background: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found: dict[str, Handler] = dict(cls.handlers)
        for name, method in vars(cls).items():
            if not getattr(method, "__handles__", False):
                continue
            request = next(
                (hint for key, hint in get_type_hints(method).items() if key != "return" and _is_request(hint)), None
            )
            if request is None:
                raise TypeError(f"{cls.__name__}.{name} must take a Request: def {name}(self, request: …, job: Job)")
            # Now, in the process that forks fronts and jobs: each of them would build it anew.
            request.model_rebuild()
            request.reply_type.model_rebuild()
            found[request.wire_type] = Handler(name, request)
        cls.handlers = found

    def setup(self) -> None:
        """Make the agent. Called once, at the first request, in the process that does the work."""

    def handle(self, request: Request[Any], job: Job) -> Reply:
        """The reply to one typed request; sets the service up first if need be."""
        with self._setting_up:
            if not self._ready:
                self.setup()
                self._ready = True
        started = self.clock.now()
        try:
            reply: Reply = getattr(self, self.handlers[request.wire_type].name)(request, job)
        except EvolveError as error:
            self.record(request, job, error, started)
            raise
        except Exception as error:
            # A bug of ours is a decision too: the request was taken and came to nothing.
            self.record(request, job, Internal(f"{type(error).__name__}: {error}"), started)
            raise
        self.record(request, job, reply, started)
        return reply

    def record(self, request: Request[Any], job: Job, outcome: Reply | EvolveError, started: float) -> None:
        """Note what was decided. Called before the reply is sent; a service that keeps a decision log overrides it."""

    @classmethod
    def verdict_of(cls, data: Mapping[str, Any]) -> str:
        """What the figures say of a reply's data; "" for nothing. Of a closed list: each is a series of its own."""
        del data
        return ""

    @classmethod
    def parse(cls, envelope: RequestEnvelope) -> Request[Any]:
        """The typed request in `envelope`. Raises UnknownType or InvalidRequest."""
        return parse_request(cls.name, envelope.type, envelope.data, (h.request for h in cls.handlers.values()))

    def get_service_info(self) -> dict[str, Any]:
        """Name, channels, requests it answers, and whether it runs in this process."""
        return {
            "name": self.name,
            "channels": {kind: f"{self.name}_{kind}" for kind in ("input", "output", "control")},
            "requests": sorted(self.handlers),
            "running": self._background is not None and self._background.is_running(),
        }

    def run(self) -> int:
        """Answer in the foreground until told to stop. Returns the exit code."""
        from evolve.messaging.serving import run_service

        return run_service(type(self), self.settings)

    def start(self) -> None:
        """Answer in the background of this process; returns once requests are taken."""
        from evolve.messaging.serving import BackgroundWorker

        if self._background is not None and self._background.is_running():
            return
        self._background = BackgroundWorker(type(self), self.settings)
        self._background.start()

    def stop(self) -> None:
        """Finish what is in work, then stop answering. Does nothing when not started."""
        if self._background is not None:
            self._background.stop()
            self._background = None


def _is_request(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, Request)


def load_service(path: str) -> type[Service]:
    """The service class at `package.module:Class`. Raises InvalidRequest when there is none."""
    import importlib

    module, _, name = path.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise InvalidRequest(f"no service at {path!r}: {error}") from None
    if not (isinstance(cls, type) and issubclass(cls, Service)):
        raise InvalidRequest(f"{path!r} is not a Service")
    return cls
