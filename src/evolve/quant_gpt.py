"""QuantGPT for programs and for people at a terminal: a question in, an answer out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from evolve.client.client import ServiceClient
from evolve.clock import SYSTEM_CLOCK
from evolve.contracts.quant_gpt import ProcessQuery
from evolve.errors import EvolveError
from evolve.manager.manager import ServiceManager
from evolve.messaging.asker import ProgressCallback
from evolve.messaging.messages import validated
from evolve.services import SERVICES
from evolve.settings import Settings

EXAMPLES = (
    "Give me the best model for NVDA over 90 days",
    "Should I buy AAPL now?",
    "Analyze BTCUSDT market conditions",
)


KEY_NOT_HANDED_OVER = (
    "the services run already, with the OPENAI_API_KEY they were started with (or none): a key given here does not reach them; "
    "`evolve down`, and the next question starts them with it"
)


class QuantGPT:
    """Asks the QuantGPT service; starts the services that are missing, says so on stderr, and leaves them running.

    openai_api_key: permits a language model to be asked where one helps; nothing needs it. Services get it when they start, by
    their environment: no message may carry a key. Those that run already go on with the one they have, and stderr says so.
    """

    def __init__(
        self,
        openai_api_key: str | None = None,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        settings: Settings | None = None,
    ) -> None:
        self._client = ServiceClient(redis_host, redis_port, redis_db, settings=settings)
        self.settings: Settings = self._client.settings
        if openai_api_key is not None:
            self.settings = self.settings.model_copy(update={"openai_api_key": openai_api_key})
        self._given_key = openai_api_key is not None
        self._checked = False

    def process_query(
        self,
        query: str,
        *,
        session: str | None = None,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> dict[str, Any]:
        """`query, parsed_intent, results, gpt_commentary, status, timestamp`; for a failure `query, error, suggestions, status`.

        Never raises for a question that cannot be answered, nor for services that are down.
        """
        try:
            if not self._checked:
                started = start_missing(self.settings)
                if self._given_key and not started:
                    started = [KEY_NOT_HANDED_OVER]
                for line in started:
                    print(line, file=sys.stderr)
                self._checked = True
            request = validated(ProcessQuery, {"query": query, "session": session})
            reply = self._client.ask(request, timeout=timeout, on_progress=on_progress)
        except EvolveError as error:
            return {
                "query": query,
                "error": error.message,
                "code": error.code,
                "help": error.help,
                "suggestions": list(EXAMPLES),
                "status": "error",
                "timestamp": SYSTEM_CLOCK.now(),
            }
        shown: dict[str, Any] = reply.model_dump(mode="json")["result"]
        return shown

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> QuantGPT:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(EvolveError):
            self.close()


def start_missing(settings: Settings, *, idle_stop: bool = False) -> list[str]:
    """Start the services that do not run; returns a line for each thing that was done. Raises Unavailable."""
    with ServiceManager(settings=settings) as manager:
        status = manager.get_service_status()
        missing = [name for name, entry in status.items() if entry["status"] != "running"]
        if not missing:
            return []
        if len(missing) == len(SERVICES):
            manager.start_all_services(idle_stop=idle_stop)
        else:
            for name in missing:
                manager.start_service(name, idle_stop=idle_stop)
    return [f"started {', '.join(missing)}; they go on running (`evolve down` stops them)"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The interactive prompt on a terminal; without one, or with --service, the service in the foreground."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--service" in words or not sys.stdin.isatty():
        from evolve.services.launch import main as launch

        return launch(["quant_gpt", *(word for word in words if word != "--service")])
    from evolve.chat import converse

    return converse(resume="--continue" in words)
