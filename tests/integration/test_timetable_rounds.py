"""A round of the timetable travels over the bus: queued while the updater is down, carried out once, and marked as done."""

from __future__ import annotations

import pytest

from evolve.agents.timetable import Round
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.watches import Watches
from evolve.services.timekeeper import RoundSender, Timekeeper
from homes import until

DUE = 1_900_000_000.0


@pytest.fixture
def watches(settings):
    with Database.open(settings) as database:
        made = Watches(database)
        made.put("AAPL", "1d", simulate=False, cron="0 9 * * *", timezone="UTC", max_age_bars=126)
        yield made


def send_twice(settings):
    with RoundSender(settings) as sender:
        for _ in range(2):
            sender.send(Round("AAPL", "1d", False, DUE))


def test_a_round_that_was_sent_twice_while_nobody_served_is_carried_out_once(services, settings, watches):
    services.stop_service("updater")
    send_twice(settings)
    services.start_service("updater", replicas=2)

    until(lambda: watches.find("AAPL", "1d").done == DUE, what="the round")

    log = DecisionLog(watches._database)
    rounds = until(lambda: log.history(service="updater", request_type="auto_update"), what="its record")
    assert [each.request_id for each in rounds] == [f"timetable-AAPL-1d-{int(DUE)}"]
    assert "no model of AAPL" in watches.find("AAPL", "1d").result


def test_who_keeps_the_timetable_can_be_stopped_before_it_ever_looked(settings):
    keeper = Timekeeper(settings)
    keeper.start()
    keeper.stop()

    assert not keeper._thread.is_alive()
