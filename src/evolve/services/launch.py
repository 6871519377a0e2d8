"""`python services/launch_<service>.py`: one service in the foreground, without a supervisor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from evolve.errors import EvolveError
from evolve.messaging.service import load_service
from evolve.messaging.worker import run_service
from evolve.services import service_path
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
    return run_service(cls, settings)
