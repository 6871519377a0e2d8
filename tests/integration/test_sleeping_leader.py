"""A leader is stopped for longer than its lease (SIGSTOP: a paused machine, a swapped-out process), and wakes: it writes nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from evolve.agents import timetable
from evolve.memory.database import Database
from evolve.memory.leadership import Leadership
from evolve.memory.watches import Watches
from homes import environment_of, until

LEASE_S = 0.5
# One step of the real timetable; its sending waits for a line, so that the test knows in which moment it stops the process.
LEADER = f"""
import sys
from evolve.agents import timetable
from evolve.memory.database import Database
from evolve.settings import Settings

timetable.LEASE_S = {LEASE_S}

def send(due):
    print("sending", due.symbol, flush=True)
    sys.stdin.readline()

with Database.open(Settings.load()) as database:
    print("sent", timetable.Timetable.over(database, holder="sleeper").step(send), flush=True)
"""


@pytest.fixture
def database(settings):
    with Database.open(settings) as opened:
        yield opened


@pytest.fixture
def watches(database):
    """Two symbols whose rounds are due."""
    made = Watches(database)
    for symbol in ("AAPL", "MSFT"):
        made.put(symbol, "1d", simulate=False, cron="* * * * *", timezone="UTC", max_age_bars=126)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE watches SET since = since - 86400")  # watched since yesterday
    return made


@pytest.fixture
def leader(home, watches):
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER], env=environment_of(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_a_leader_that_slept_through_its_lease_writes_nothing_when_it_wakes(database, watches, leader):
    leadership = Leadership(database)
    assert leader.stdout.readline() == "sending AAPL\n"
    os.kill(leader.pid, signal.SIGSTOP)
    successor = until(lambda: leadership.claim(timetable.ROLE, "successor", lease_s=30), what="the end of the lease")
    before = watches.all()

    os.kill(leader.pid, signal.SIGCONT)
    said, _ = leader.communicate("\n")

    assert successor.number == 2
    assert said == "sent 1\n", "it sent the second round too"
    assert watches.all() == before
    assert [each.symbol for each in before if each.claimed] == ["AAPL"]
