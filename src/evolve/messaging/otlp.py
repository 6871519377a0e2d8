"""How do spans reach a collector? By OpenTelemetry's SDK, OTLP over HTTP, from a thread of their own.

Nobody waits for a collector: what does not fit the queue is dropped, and one that is away, full or slow costs a warning and the spans.
Imported only where tracing is on. Read from the environment by the SDK itself: OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _COMPRESSION and _TIMEOUT,
OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from evolve import logs
from evolve.messaging.tracing import FLUSH_S, Attribute, Kind
from evolve.messaging.tracing import Span as SpanPort
from evolve.version import VERSION

MAX_QUEUED = 4096  # spans: a minute of a busy replica, a few megabytes
BATCH = 512
LINGER_S = 0.5  # how long a span waits for company
KINDS: dict[Kind, SpanKind] = {
    "client": SpanKind.CLIENT,
    "server": SpanKind.SERVER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
THREAD = "evolve spans"
# What they say of a collector that is away, at every attempt, is said once by ourselves.
TALKATIVE = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "urllib3.connectionpool")


class _Sender(SpanProcessor):
    """A bounded queue, and the thread that empties it."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._queue: queue.Queue[ReadableSpan] = queue.Queue(MAX_QUEUED)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._hurry = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._failing, self._why = False, ""
        self._gave_up = False
        self._log = logs.logger(component="tracing")
        for name in TALKATIVE:
            logging.getLogger(name).addFilter(self._keep_to_ourselves)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        try:
            self._idle.clear()
            self._queue.put_nowait(span)
        except queue.Full:
            return
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                    self._thread.start()

    def flush(self, within_s: float) -> None:
        if self._gave_up:
            return  # it was waited for in vain already
        self._hurry.set()
        self._gave_up = not self._idle.wait(within_s)
        self._hurry.clear()

    def _run(self) -> None:
        while True:
            batch = self._next()
            try:
                taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
            except Exception as error:  # noqa: BLE001 - the last frame of a thread that must go on: the library may raise what its transport raises
                taken, self._why = False, repr(error)
            self._tell(taken)
            if self._queue.empty():
                self._idle.set()

    def _next(self) -> list[ReadableSpan]:
        batch = [self._queue.get()]
        until = time.monotonic() + LINGER_S
        while len(batch) < BATCH:
            try:
                batch.append(self._queue.get(timeout=0.0 if self._hurry.is_set() else 0.05))
            except queue.Empty:
                if self._hurry.is_set() or time.monotonic() >= until:
                    break
        return batch

    def _tell(self, taken: bool) -> None:
        if taken:
            self._gave_up = False
        if taken == self._failing:
            self._failing = not taken
            if taken:
                self._log.info("the collector takes spans again", endpoint=self._endpoint)
            else:
                self._log.warning(
                    "the collector takes no spans; they are lost until it does",
                    endpoint=self._endpoint,
                    error=self._why,
                )

    def _keep_to_ourselves(self, record: logging.LogRecord) -> bool:
        if record.threadName != THREAD:
            return True
        self._why = record.getMessage()[:300]
        return False


class _Span:
    def __init__(self, span: trace.Span, parent: str | None) -> None:
        self._span = span
        context = span.get_span_context()
        # With the SDK switched off (OTEL_SDK_DISABLED) spans have no context: who traced before is passed on.
        self.traceparent = _text_of(context) if context.is_valid else parent

    def note(self, attributes: Mapping[str, Attribute]) -> None:
        self._span.set_attributes(dict(attributes))

    def fail(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR, code))

    def end(self, *, at: float | None = None) -> None:
        self._span.end(None if at is None else int(at * 1e9))


class OpenTelemetry:
    """Spans of one process."""

    def __init__(self, endpoint: str, service: str, instance: str = "") -> None:
        about = {"service.namespace": "evolve", "service.name": service, "service.version": VERSION}
        if instance:
            about["service.instance.id"] = instance
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._sender = _Sender(endpoint)
        self._provider.add_span_processor(self._sender)
        self._tracer = self._provider.get_tracer("evolve", VERSION)
        atexit.register(self.flush)

    def span(
        self,
        name: str,
        *,
        kind: Kind,
        parent: str | None,
        attributes: Mapping[str, Attribute],
        at: float | None = None,
    ) -> SpanPort:
        context = None if parent is None else trace.set_span_in_context(NonRecordingSpan(_context_of(parent)))
        span = self._tracer.start_span(
            name,
            context=context or trace.set_span_in_context(trace.INVALID_SPAN),
            kind=KINDS[kind],
            attributes=dict(attributes),
            start_time=None if at is None else int(at * 1e9),
        )
        return _Span(span, parent)

    def flush(self, within_s: float = FLUSH_S) -> None:
        self._sender.flush(within_s)


def _text_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _context_of(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
