"""A small real HTTP server that answers as data services do, and bars for it to answer with."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from evolve.clock import FrozenClock
from evolve.market.sessions import expected_starts, session_days
from evolve.market.sources.base import Span
from evolve.market.sources.remote import remote_source
from evolve.settings import Settings

KEY = "sesame-1234567890"
NOON = 1_704_801_600.0 + 86_400  # 2024-01-10T12:00Z: the last finished session is Tuesday, January 9
HTML = b"<!DOCTYPE html><html><body>Just a moment...</body></html>"


@dataclass
class Reply:
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    # Announce more bytes than are sent, then hang up.
    cut: bool = False
    # Send byte by byte until the client gives up; called before each.
    drip: Callable[[], None] | None = None


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


def reply(value, status=200, **more) -> Reply:
    return Reply(json.dumps(value).encode(), status, **more)


class Service:
    """asked: every request, in order. Answers with `answer(asked)`."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.url = ""

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


@contextmanager
def serving(answer: Callable[[Asked], Reply]) -> Iterator[Service]:
    service = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                parts.path,
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                {name.lower(): value for name, value in self.headers.items()},
            )
            service.asked.append(asked)
            found = service.answer(asked)
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", found.content_type)
            length = len(found.body) + (1000 if found.cut or found.drip else 0)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            try:
                self.wfile.write(found.body)
                while found.drip:
                    found.drip()
                    self.wfile.write(b" ")
            except OSError:
                pass  # the client hung up, which is what the test is about
            if found.cut or found.drip:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Waits:
    """A clock whose time passes only by waiting, and the record of the waits."""

    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOON))
    seconds: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.clock.advance(seconds)


def source(name, url, home, *, waits=None, jitter=lambda: 0.0, allow_gaps=False, fresh_s=None, told=None, **settings):
    """The named source, its service at `url`, with keys, its own clock and no real waiting."""
    waits = waits or Waits()
    configured = Settings.load(
        home=home,
        **{f"{name}_url": url},
        **{
            "alpaca_key_id": KEY, "alpaca_secret_key": KEY + "-secret", "polygon_api_key": KEY,
            "tiingo_api_key": KEY, "stooq_api_key": KEY, **settings,
        },
    )  # fmt: skip
    return remote_source(
        name,
        configured,
        clock=waits.clock,
        sleep=waits.sleep,
        jitter=jitter,
        allow_gaps=allow_gaps,
        fresh_s=fresh_s,
        tell=(told.append if told is not None else lambda reason: None),
    )


def days(first="2023-10-02", last="2024-01-09", venue="us_equity"):
    """ISO dates of the sessions in first … last."""
    span = Span.of_days(first, last)
    return [str(np.datetime64(int(day), "ms"))[:10] for day in session_days(venue, span.start, span.end)]


def starts(timeframe, first, last, venue="us_equity"):
    span = Span.of_days(first, last)
    return expected_starts(venue, timeframe, span.start, span.end).tolist()


def prices(count, seed=7):
    """Open, high, low, close, volume of `count` plausible bars, as plain rows."""
    chance = random.Random(seed)
    close, rows = 100.0, []
    for _ in range(count):
        open_ = close * (1 + chance.gauss(0, 0.004))
        close = open_ * (1 + chance.gauss(0, 0.01))
        high, low = max(open_, close) * 1.004, min(open_, close) * 0.996
        rows.append([round(value, 4) for value in (open_, high, low, close)] + [float(chance.randint(10_000, 99_999))])
    return rows
