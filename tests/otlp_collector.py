"""A collector of OpenTelemetry's in this process: takes spans by OTLP over HTTP, or refuses, or never answers."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Spanned:
    """A span as it arrived. service: of its resource; error: its status' message."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    error: str
    attributes: dict[str, str | int]


@dataclass
class Collector:
    url: str
    status: int = 200
    spans: list[Spanned] = field(default_factory=list)
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    let_go: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> list[Spanned]:
        return [span for span in self.spans if span.name == name]

    def take(self, raw: bytes) -> None:
        message = ExportTraceServiceRequest.FromString(raw)
        for group in message.resource_spans:
            [service] = [pair.value.string_value for pair in group.resource.attributes if pair.key == "service.name"]
            for scope in group.scope_spans:
                for span in scope.spans:
                    values = {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}
                    self.spans.append(
                        Spanned(
                            service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                            span.start_time_unix_nano, span.end_time_unix_nano, span.status.message, values,
                        )
                    )  # fmt: skip


@contextlib.contextmanager
def collector(*, status: int = 200, silent: bool = False) -> Iterator[Collector]:
    """silent: it takes what it is sent and does not answer until `let_go`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            found.asked.release()
            if silent:
                found.let_go.wait(60)
            if found.status == 200:
                found.take(gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw)
            with contextlib.suppress(OSError):
                self.send_response(found.status)
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}", status)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
