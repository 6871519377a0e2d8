"""What the keeper sees of services is what the bus and the supervisor's notes say; a killed replica is told of once."""

from __future__ import annotations

import os
import signal

import pytest

from alert_receivers import receiving
from evolve.alerts import AlertRule
from evolve.cli import main
from evolve.crashes import KEPT, Crash, crashes, note_crash
from evolve.manager.manager import ServiceManager
from evolve.memory.alerts import AlertBook
from evolve.memory.database import Database
from evolve.messaging.bus import QueueState
from evolve.services.alert_keeper import observations_of
from evolve.services.keeper import POLL_S
from homes import until


def test_a_service_is_judged_by_its_crashes_its_queue_and_its_dead_letters():
    crash, queue, dead = observations_of("updater", QueueState(3, 70.0, 2), [-9, 1], 5.0)

    assert [(each.kind, each.value) for each in (crash, queue, dead)] == [
        ("crash", 2.0),
        ("queue_age", 70.0),
        ("dead_letters", 2.0),
    ]
    assert "crashed 2 times within 10 minutes (status -9, 1)" in crash.said


def test_crashes_are_kept_in_order_and_only_so_many(tmp_path):
    for number in range(KEPT + 5):
        note_crash(tmp_path, Crash("updater", -9, float(number)))

    kept = crashes(tmp_path)
    assert (len(kept), kept[0].at, kept[-1].at) == (KEPT, 5.0, KEPT + 4.0)
    assert [each.at for each in crashes(tmp_path, since=KEPT + 3.0)] == [KEPT + 3.0, KEPT + 4.0]


def test_a_spoilt_note_spoils_no_other(tmp_path):
    note_crash(tmp_path, Crash("updater", 1, 1.0))
    with (tmp_path / "crashes.jsonl").open("a") as file:
        file.write("no json\n[1]\n{}\n")

    assert crashes(tmp_path) == [Crash("updater", 1, 1.0)]
    assert crashes(tmp_path / "nowhere") == []


@pytest.mark.prove
def test_a_replica_that_is_killed_is_told_of_once_by_a_running_home(settings, monkeypatch):
    with receiving() as receiver:
        with Database.open(settings) as database:
            hook = {"channel": "webhook", "target": f"{receiver.url}/x", "private": True, "resolved": False}
            AlertBook(database).add(AlertRule("crash", "crash", **hook))
        with ServiceManager(settings=settings) as manager:
            manager.start_service("updater")
            pids = manager.start_service("prompt_router")["prompt_router"]["pids"]
            os.kill(pids[0], signal.SIGKILL)
            until(lambda: receiver.taken, within_s=60, what="the alert")
            seen = len(receiver.taken)
            main(["alerts", "log"])
            manager.down()
    assert seen == 1
    assert receiver.taken[0].json["data"]["subject"] == "prompt_router"
    assert POLL_S <= 5.0
