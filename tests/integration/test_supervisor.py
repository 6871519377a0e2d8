"""The supervisor dies, and with it every service that it had started: what was asked is answered by the next ones, once."""

from __future__ import annotations

import os
import signal

from evolve.client.client import ServiceClient
from evolve.manager.manager import ServiceManager
from evolve.memory.registry import Registry
from evolve.settings import Settings
from homes import until

BUILD_S = 120.0  # a small model on a busy machine


def test_requests_survive_a_supervisor_that_was_killed_while_they_ran(
    services: ServiceManager, settings: Settings
) -> None:
    with ServiceClient(settings=settings) as client:
        asked = [
            client.send_request(
                "model_builder",
                "build_model",
                {"model_type": "ridge", "symbol": symbol, "timeframe": "1d"},
                wait_for_response=False,
            )["request_id"]
            for symbol in ("AAPL", "MSFT")
        ]
        until(lambda: client.get_service_status("model_builder")["replicas"][0]["in_flight"], what="the first build")

        supervisor = services.get_manager_stats()["supervisor_pid"]
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)  # this process had started it
        until(
            lambda: all(not entry["pids"] for entry in services.get_service_status().values()),
            what="the end of the services",
        )

        services.start_all_services()
        until(lambda: all(client.get_reply(id) for id in asked), within_s=BUILD_S, what="both replies")

        replies = [client.get_reply(id) or {} for id in asked]
    assert [reply["type"] for reply in replies] == ["model_built"] * 2
    built = [reply["model_info"]["model_id"] for reply in replies]
    assert sorted(card.model_id for card in Registry.open(settings).list()) == sorted(built)
