"""`python services/launch_<service>.py`: one service in the foreground, without a supervisor."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evolve.errors import EvolveError
from evolve.messaging.service import load_service
from evolve.services import service_path
from evolve.services.base import run_beside
from evolve.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a drained stop, 1 for a typed error, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        description="Run one service in the foreground until SIGTERM, Ctrl-C or a stop message."
    )
    parser.add_argument("service")
    parser.add_argument("--redis-host")
    parser.add_argument("--redis-port", type=int)
    parser.add_argument("--redis-db", type=int)
    options = parser.parse_args(arguments)
    try:
        cls = load_service(service_path(options.service))
        settings = Settings.load(
            redis_host=options.redis_host, redis_port=options.redis_port, redis_db=options.redis_db
        )
    except EvolveError as error:
        print(error.message, file=sys.stderr)
        return 1
    print(f"{options.service} service: answering on {cls.name}_input; log in {settings.logs}", file=sys.stderr)
    return run_beside(cls, settings)


def front(connection: socket.socket, *, service_path: str, settings: dict[str, Any], job_server: str | None) -> int:
    """A front forked by the supervisor's fork server; its socket only tells that the supervisor lives."""
    del connection
    configured = Settings.load(**settings)
    return run_beside(load_service(service_path), configured, job_server=Path(job_server) if job_server else None)
