"""A real web server in a process of its own, with the echo service as the tenth of the registry, and who asks it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from homes import END_S, PATIENCE_S, environment_of

# One line in the registry, and nothing else, is what makes a tenth service.
PROGRAM = """
import sys
from evolve import logs
from evolve.services import SERVICES
from evolve.settings import Settings
from evolve.web.server import serve
SERVICES["echo"] = "services_under_test.echo:EchoService"
settings = Settings.load()
logs.configure("web", directory=settings.logs, level=settings.log_level)
sys.exit(serve(settings, settings.web_host, settings.web_port, on_ready=lambda record: print(record.url, flush=True)))
"""
JSON = {"content-type": "application/json"}


@dataclass
class Web:
    """One server at a time, at the same port when it is started anew."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    url: str = ""
    asking: httpx.Client | None = None

    def start(self) -> None:
        port = self.url.rstrip("/").rpartition(":")[2] or "0"
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment_of(self.home, EVOLVE_WEB_PORT=port, EVOLVE_WEB_RATE="0", **self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.communicate()[1]
        # One for all: making a client costs more than what it asks.
        self.asking = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    def end(self, *, kill: bool = False) -> int:
        assert self.process is not None
        self.client.close()
        (self.process.kill if kill else self.process.terminate)()
        self.process.communicate(timeout=END_S)
        return self.process.returncode

    @property
    def client(self) -> httpx.Client:
        assert self.asking is not None
        return self.asking

    def ask(self, type: str, data: object = None, *, service: str = "echo", **headers: str) -> httpx.Response:
        """POST one message; headers with _ for -."""
        given = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.post(f"/api/v1/{service}/{type}", content=json.dumps(data or {}), headers=given)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    @contextlib.contextmanager
    def events(self, path: str, **headers: str) -> Iterator[Iterator[Event]]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client.stream("GET", path, headers=given) as response:
            assert response.status_code == 200, response.read()
            yield parsed(response)


@dataclass(frozen=True)
class Event:
    id: str
    name: str
    data: Any


def parsed(response: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}


@contextlib.contextmanager
def web_in(home: Path, **environment: str) -> Iterator[Web]:
    web = Web(home, environment)
    web.start()
    try:
        yield web
    finally:
        if web.process is not None and web.process.poll() is None:
            assert web.end() == 0, "it did not end in order"
