"""`evolve serve`: the web server in the foreground, and how others show the one of `evolve up`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from evolve import logs
from evolve.manager.web_record import WebRecord
from evolve.settings import Settings


def run(host: str | None, port: int | None, *, as_json: bool) -> int:
    """Serve until Ctrl-C or `evolve down`; the address goes to standard output."""
    from evolve.web.server import serve

    settings = Settings.load(web_host=host, web_port=port)
    logs.configure(
        "web", directory=settings.logs, level=settings.log_level, form=settings.log_format, secrets=settings.secrets
    )
    return serve(settings, settings.web_host, settings.web_port, on_ready=_print_json if as_json else _show)


def _print_json(record: WebRecord) -> None:
    print(json.dumps(asdict(record)), flush=True)


def _show(record: WebRecord) -> None:
    print(f"web: {record.login or record.url}", flush=True)
    print(f"log in {Settings.load().logs / 'web_service.log'}; Ctrl-C ends it", file=sys.stderr, flush=True)
