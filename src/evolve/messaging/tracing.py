"""Which steps did one request take, through all processes? Its trace travels in the envelope (`traceparent`, W3C Trace Context).

Spans are made where OTEL_EXPORTER_OTLP_ENDPOINT names a collector of OpenTelemetry; elsewhere a trace that somebody else began is passed on,
and nothing is imported. A job process makes none: its front does so for it, so that it needs neither thread nor library.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Literal, Protocol

from evolve import logs
from evolve.settings import Settings

Kind = Literal["client", "server", "consumer", "internal"]
Attribute = str | int | float | bool

FLUSH_S = 0.5  # what a process that ends waits at most for its last spans to leave

# The traceparent of what this task or thread works on: what it asks belongs to that.
current: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Span(Protocol):
    """A step. traceparent: what those that it leads to carry; None where nobody traces."""

    @property
    def traceparent(self) -> str | None: ...
    def note(self, attributes: Mapping[str, Attribute]) -> None: ...
    def fail(self, code: str) -> None: ...
    def end(self, *, at: float | None = None) -> None: ...


class Tracer(Protocol):
    def span(
        self,
        name: str,
        *,
        kind: Kind,
        parent: str | None,
        attributes: Mapping[str, Attribute],
        at: float | None = None,
    ) -> Span:
        """Begin a step, now or at a time in Unix seconds; parent: the traceparent it comes from."""
        ...

    def flush(self, within_s: float = FLUSH_S) -> None:
        """Wait for what ended to leave, for a time. Never raises."""
        ...


class _Passed:
    """No span: whoever traced before is passed on."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def note(self, attributes: Mapping[str, Attribute]) -> None:
        """Nobody reads it."""

    def fail(self, code: str) -> None:
        """Nobody reads it."""

    def end(self, *, at: float | None = None) -> None:
        """Nobody reads it."""


NO_SPAN: Span = _Passed(None)


def passed(traceparent: str | None) -> Span:
    """In place of a span where none is made."""
    return NO_SPAN if traceparent is None else _Passed(traceparent)


class _Off:
    def span(
        self,
        name: str,
        *,
        kind: Kind,
        parent: str | None,
        attributes: Mapping[str, Attribute],
        at: float | None = None,
    ) -> Span:
        return passed(parent)

    def flush(self, within_s: float = FLUSH_S) -> None:
        """There is nothing."""


OFF: Tracer = _Off()
_tracers: dict[tuple[int, str, str], Tracer] = {}


def tracer_for(settings: Settings, service: str, instance: str = "") -> Tracer:
    """The tracer of this process, as `service`. instance: which of its replicas."""
    if not settings.otlp_endpoint:
        return OFF
    key = (os.getpid(), service, settings.otlp_endpoint)  # by process: threads do not come along in a fork
    if key not in _tracers:
        try:
            from evolve.messaging.otlp import OpenTelemetry
        except ImportError as error:
            logs.logger(component="tracing").warning(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: no spans; pip install 'evolve-trading[otel]'",
                error=str(error),
            )
            _tracers[key] = OFF
        else:
            _tracers[key] = OpenTelemetry(settings.otlp_endpoint, service, instance)
    return _tracers[key]


@contextlib.contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """What is asked in the block belongs to `traceparent`."""
    token = current.set(traceparent)
    try:
        yield
    finally:
        current.reset(token)
