"""`python services/service_client.py --action …`: one request from a shell. The reply as JSON on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from evolve.client.client import ServiceClient
from evolve.errors import EvolveError

# action → the client method and its arguments when nothing else is said: the calls of the specification
# Action → the method of the client that it calls.
ACTIONS: dict[str, str] = {
    "build": "build_model",
    "evaluate": "evaluate_model",
    "retrain": "retrain_model",
    "search": "search_github",
    "tune": "tune_hyperparameters",
    "plot": "generate_plot",
    "route": "route_prompt",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 for success, 1 for an error reply, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="service_client.py", description="Send one request to an Evolve service.")
    parser.add_argument("--action", choices=sorted(ACTIONS), required=True)
    parser.add_argument("--service", metavar="MODEL_ID", help="the model that evaluate and retrain are about")
    parser.add_argument("--model-type", default="lstm")
    parser.add_argument("--symbol", default="BTCUSDT")
    parser.add_argument("--timeframe", default="1h")
    parser.add_argument("--query", default="trading bot machine learning", help="what search looks for")
    parser.add_argument("--prompt", default="Build me an LSTM model for Bitcoin prediction", help="what route routes")
    parser.add_argument("--plot-type", default="equity_curve")
    parser.add_argument("--data-source", default="backtest_results")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="how long to wait for the reply")
    parser.add_argument("--redis-host", default="localhost")
    parser.add_argument("--redis-port", type=int, default=6379)
    options = parser.parse_args(arguments)
    if options.action in ("evaluate", "retrain") and not options.service:
        parser.error(f"--action {options.action} needs --service MODEL_ID; `evolve models` lists them")
    try:
        with ServiceClient(options.redis_host, options.redis_port) as client:
            reply = _send(client, options)
    except EvolveError as error:
        reply = {
            "type": "error",
            "status": "error",
            "data": {"error": error.message, "code": error.code, "help": error.help},
        }
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 130
    print(json.dumps(reply, indent=2, default=str))
    return 0 if reply.get("status") == "success" else 1


def _send(client: ServiceClient, options: argparse.Namespace) -> dict[str, Any]:
    method = getattr(client, ACTIONS[options.action])
    positional: dict[str, tuple[Any, ...]] = {
        "build": (options.model_type, options.symbol, options.timeframe),
        "evaluate": (options.service, options.symbol, options.timeframe),
        "retrain": (options.service,),
        "search": (options.query,),
        "tune": (options.model_type,),
        "plot": (options.plot_type, options.data_source),
        "route": (options.prompt,),
    }
    # What the specification lets a tuning method be told by position ends before these.
    named = {"symbol": options.symbol, "timeframe": options.timeframe} if options.action == "tune" else {}
    reply: dict[str, Any] = method(
        *positional[options.action], **named, timeout=options.timeout, on_progress=_show_progress
    )
    return reply


def _show_progress(event: dict[str, Any]) -> None:
    print(f"{event['stage']}: {event['done']}/{event['total']} {event['message']}".rstrip(), file=sys.stderr)
