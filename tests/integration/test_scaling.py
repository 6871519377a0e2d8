"""Replicas follow a burst of real work up and down, and nothing that is asked depends on which of them answers."""

from __future__ import annotations

import os
import signal
from collections import Counter

import psutil
import pytest

from evolve.client.client import ServiceClient
from evolve.manager.manager import ServiceManager
from evolve.manager.scale import decisions, remembered
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings
from homes import fresh_home, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("scaling")]

NAP = "import time\ndef main(data):\n    time.sleep(data['s'])\n    return data['n']"
# A replica does one thing at a time, and what takes a minute in life takes seconds here.
QUICK = {
    "EVOLVE_SAFE_EXECUTOR_SLOTS": "1",
    "EVOLVE_SCALE_OLD_S": "0.5",
    "EVOLVE_SCALE_SETTLE_S": "1",
    "EVOLVE_SCALE_CALM_S": "3",
    "EVOLVE_DRAIN_S": "30",
}


@pytest.fixture(scope="module")
def manager():
    with fresh_home() as home, pytest.MonkeyPatch.context() as patch:
        for variable, value in QUICK.items():
            patch.setenv(variable, value)
        with ServiceManager(settings=Settings.load(home=home, log_dir=home / "logs")) as made:
            yield made
            made.down()


@pytest.fixture
def settings(manager: ServiceManager) -> Settings:
    return manager.settings


def burst(client: ServiceClient, count: int, seconds: float) -> list[str]:
    """The ids of programs that sleep, sent all at once."""
    fields = {"model_code": NAP, "model_name": "nap"}
    return [
        client.send_request("safe_executor", "execute_model", {**fields, "input_data": {"n": n, "s": seconds}}, wait_for_response=False)["request_id"]
        for n in range(count)
    ]  # fmt: skip


def answers(client: ServiceClient, ids: list[str]) -> list[int]:
    until(lambda: all(client.get_reply(id, "safe_executor") for id in ids), within_s=120, what="all replies")
    replies = [client.get_reply(id, "safe_executor") or {} for id in ids]
    return [reply["result"]["return_value"] for reply in replies]


def running(manager: ServiceManager) -> int:
    return len(manager.get_service_status("safe_executor")["safe_executor"]["pids"])


@pytest.mark.prove
def test_replicas_follow_a_burst_up_and_down_and_each_request_is_done_once(manager, settings):
    manager.scale_services({"safe_executor": "1..3"})
    with ServiceClient(settings=settings) as client:
        ids = burst(client, 16, 0.6)
        until(lambda: running(manager) == 3, what="the third replica")
        entry = manager.get_service_status("safe_executor")["safe_executor"]
        assert answers(client, ids) == list(range(16))
        until(lambda: running(manager) == 1, what="one replica")

    assert entry["scale"] == "1..3"
    assert "wait, the oldest for" in entry["scaled"]
    taken = [(scaled.before, scaled.after) for scaled in decisions(settings.run_dir)]
    assert (taken[0], taken[-1][1]) == ((1, 2), 1)
    assert len(taken) <= 4, f"up and down again: {taken}"
    # Done once each, in the record of what was done; and by nobody's account a crash.
    with Database.open(settings) as database:
        done = DecisionLog(database).history(service="safe_executor", request_type="execute_model", limit=100)
    assert Counter(each.request_id for each in done if each.request_id in ids) == Counter(ids)
    assert manager.get_service_status("safe_executor")["safe_executor"]["restarts"] == 0
    assert str(remembered(settings.home)["safe_executor"]) == "1..3"


@pytest.mark.prove
def test_what_replicas_have_in_work_is_finished_when_they_are_scaled_down_and_up_and_the_supervisor_is_killed(
    manager, settings
):
    manager.scale_services({"safe_executor": "3"})
    with ServiceClient(settings=settings) as client:
        ids = burst(client, 12, 1.5)
        until(lambda: client.get_service_status("safe_executor")["queued"] == 12, what="the queue")
        manager.scale_services({"safe_executor": "1"})
        assert running(manager) == 1
        supervisor = manager.get_manager_stats()["supervisor_pid"]
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)  # this process had started it
        until(
            lambda: not manager.get_service_status("safe_executor")["safe_executor"]["pids"],
            what="the end of the replica",
        )
        manager.scale_services({"safe_executor": "2"})
        assert answers(client, ids) == list(range(12))
        manager.stop_service("safe_executor")
        manager.start_service("safe_executor")
        assert running(manager) == 2
    with Database.open(settings) as database:
        done = DecisionLog(database).history(service="safe_executor", request_type="execute_model", limit=100)
    assert Counter(each.request_id for each in done if each.request_id in ids) == Counter(ids)


@pytest.mark.prove
def test_a_replica_that_was_killed_a_moment_ago_counts_for_nothing(manager, settings):
    """Its last heartbeat is good for five seconds more, in which it would stand in the place of one that serves."""
    before = manager.scale_services({"safe_executor": "2"})["safe_executor"]["pids"]
    os.kill(before[0], signal.SIGKILL)

    manager.scale_services({"safe_executor": "2"})
    until(lambda: len(living(manager)) == 2, what="a second replica")
    manager.scale_services({"safe_executor": "1"})

    assert len(living(manager)) == 1
    assert before[0] not in living(manager)


def living(manager: ServiceManager) -> list[int]:
    pids = manager.get_service_status("safe_executor")["safe_executor"]["pids"]
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


@pytest.mark.prove
def test_each_message_of_a_conversation_may_be_answered_by_another_replica(manager, settings):
    """Each time by one that was started after the message before was answered: nothing of it can be in its memory."""
    asked = ["What is the trend of AAPL over 90 days?", "and MSFT?", "over 30 days?"]

    def conversation(session: str, *, anew: bool) -> list[dict[str, object]]:
        intents = []
        for query in asked:
            reply = client.send_request(
                "quant_gpt", "process_query", {"query": query, "session": session}, timeout=120.0
            )
            intents.append(reply["result"]["parsed_intent"])
            if anew:
                manager.restart_service("quant_gpt")
        return intents

    manager.start_all_services()
    with ServiceClient(settings=settings) as client:
        one, many = conversation("one", anew=False), conversation("many", anew=True)
    assert many == one
    assert [(intent["symbol"], intent["period"]) for intent in many] == [
        ("AAPL", "90d"),
        ("MSFT", "90d"),
        ("MSFT", "30d"),
    ]


def test_who_is_scaled_to_none_stays_away_until_started_by_name(manager, settings):
    manager.scale_services({"research": "0", "multimodal": "0"})

    assert manager.start_all_services()["research"]["status"] == "stopped"
    assert manager.start_service("research")["research"]["status"] == "running"
