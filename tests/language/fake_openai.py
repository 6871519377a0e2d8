"""An OpenAI-compatible server on this machine that can misbehave in every way that servers and models were seen to."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
GOOD = {
    "canary": {"wading_bird": "heron", "is_bird": True},
    "opinion": {"view": "unclear"},
    "understood": {"intent": "market_analysis", "symbols": ["AAPL"]},
    "narration": {"sentences": ["AAPL returned {{e1}} over the stretch shown."], "view": "unclear"},
}


@dataclass
class Exchange:
    """One request as the server saw it. shape: what the reply must look like; rung: how that was said."""

    body: Body
    shape: str
    rung: str
    headers: Mapping[str, str]


@dataclass
class FakeOpenAi:
    """says: shape → content of the reply; behave: sends a reply of its own and returns True, or leaves it to the default."""

    url: str = ""
    says: dict[str, Any] = field(default_factory=lambda: dict(GOOD))
    behave: Callable[[Handler, Exchange], bool] = lambda handler, exchange: False
    refuses_greeting: int = 0
    obeys: frozenset[str] = frozenset({"json_schema", "tool", "json_object", "prompt"})
    asked: list[Exchange] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)

    def of(self, shape: str) -> list[Exchange]:
        return [exchange for exchange in self.asked if exchange.shape == shape]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeOpenAi

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""

    def do_GET(self) -> None:
        if self.fake.refuses_greeting:
            return self.json(
                self.fake.refuses_greeting, {"error": {"message": f"bad key {self.headers['authorization']}"}}
            )
        return self.json(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        exchange = Exchange(body, *_shape(body), dict(self.headers))
        self.fake.asked.append(exchange)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not self.fake.behave(self, exchange):
                self.reply(exchange)

    def reply(self, exchange: Exchange, content: Any = None, **usage: Any) -> None:
        if content is None:
            content = self.fake.says[exchange.shape]
        if exchange.rung not in self.fake.obeys:
            content = "A heron, I should think."
        self.say(exchange, content if isinstance(content, str) else json.dumps(content), **usage)

    def say(self, exchange: Exchange, text: str, **usage: Any) -> None:
        if exchange.rung == "tool":
            call = {"id": "c", "type": "function", "function": {"name": exchange.shape, "arguments": text}}
            message: Body = {"role": "assistant", "content": None, "tool_calls": [call]}
        else:
            message = {"role": "assistant", "content": text}
        self.completion(message, **usage)

    def completion(self, message: Any, **usage: Any) -> None:
        counted = usage or {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self.json(200, {"id": "x", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice], "usage": counted})  # fmt: skip

    def json(self, status: int, value: Any, **headers: str) -> None:
        self.raw(status, json.dumps(value).encode(), "application/json", **headers)

    def raw(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def cut(self, promised: int, sent: bytes) -> None:
        """A reply that ends too early."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(promised))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True

    def hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def stall(self) -> None:
        """Says nothing more until the test is over."""
        self.fake.stalled.wait(20)
        self.close_connection = True


def _shape(body: Body) -> tuple[str, str]:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return wanted["json_schema"]["name"], "json_schema"
    if body.get("tools"):
        return body["tools"][0]["function"]["name"], "tool"
    rung = "json_object" if wanted else "prompt"
    titles = re.findall(r'"title": "(\w+)", "type": "object"', json.dumps(body["messages"]).replace('\\"', '"'))
    return (titles[-1].lower() if titles else "none"), rung


@contextlib.contextmanager
def fake_openai(**given: Any) -> Iterator[FakeOpenAi]:
    fake = FakeOpenAi(**given)
    handler = type("Bound", (Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.stalled.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
