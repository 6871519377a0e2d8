"""`python services/service_manager.py --action …`: the manager from a shell, JSON on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from evolve.errors import EvolveError
from evolve.manager.manager import ServiceManager
from evolve.services import SERVICES

ACTIONS = ("start", "stop", "restart", "status", "start-all", "stop-all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 for success, 1 for a typed error, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="service_manager.py", description="Start, stop and look at Evolve's services."
    )
    parser.add_argument("--action", choices=ACTIONS, required=True)
    parser.add_argument("--service", metavar="NAME", help=f"one of {', '.join(SERVICES)}")
    parser.add_argument("--replicas", type=int, default=1, metavar="N")
    parser.add_argument("--redis-host", default="localhost")
    parser.add_argument("--redis-port", type=int, default=6379)
    options = parser.parse_args(arguments)
    if options.action in ("start", "stop", "restart") and not options.service:
        parser.error(f"--action {options.action} needs --service NAME")
    try:
        with ServiceManager(options.redis_host, options.redis_port) as manager:
            print(json.dumps(_act(manager, options), indent=2))
    except EvolveError as error:
        print(json.dumps({"status": "error", "code": error.code, "error": error.message, "help": error.help}, indent=2))
        print(f"{error.message} · {error.help}", file=sys.stderr)
        return 1
    return 0


def _act(manager: ServiceManager, options: argparse.Namespace) -> dict[str, object]:
    if options.action == "start":
        return manager.start_service(options.service, options.replicas)
    if options.action == "stop":
        return manager.stop_service(options.service)
    if options.action == "restart":
        return manager.restart_service(options.service)
    if options.action == "start-all":
        return manager.start_all_services(options.replicas)
    if options.action == "stop-all":
        return manager.stop_all_services()
    return manager.get_service_status(options.service)
