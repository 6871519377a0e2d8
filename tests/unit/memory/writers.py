"""What another process does in the tests of the database: `python writers.py WHAT HOME …`."""

from __future__ import annotations

import os
import sys
import threading

from sqlalchemy import text

from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings
from unit.memory.examples import decision


def open(home: str) -> None:
    with Database.open(Settings.load(home=home)) as database:
        print(database.schema_version())


def record(home: str, name: str, count: str) -> None:
    """Requests of its own and shared ones in turn; prints how many of the shared ones it was first to write."""
    with Database.open(Settings.load(home=home)) as database:
        log = DecisionLog(database)
        first = 0
        for number in range(int(count)):
            assert log.record(decision(request_id=f"{name}-{number}"))
            first += log.record(decision(request_id=f"shared-{number}", outcome={"by": name}))
        print(first)


def record_then_hang_in_a_transaction(home: str, count: str) -> None:
    with Database.open(Settings.load(home=home)) as database:
        for number in range(int(count)):
            DecisionLog(database).record(decision(request_id=f"r{number}"))
        with database.write() as connection:
            connection.execute(text("UPDATE decisions SET outcome = '{}'"))
            connection.execute(text("DELETE FROM decisions WHERE request_id = 'r0'"))
            print("in transaction", flush=True)
            threading.Event().wait()


def fork(home: str) -> None:
    """A child forked with an open database writes through it, then its parent does."""
    with Database.open(Settings.load(home=home)) as database:
        log = DecisionLog(database)
        log.record(decision(request_id="before"))
        with database.read() as connection:
            parents = connection.connection.driver_connection

        def write(who: str, request_id: str) -> None:
            with database.read() as connection:
                same = connection.connection.driver_connection is parents
            print(f"{who}: {'the same' if same else 'another'} connection", flush=True)
            log.record(decision(request_id=request_id))

        child = os.fork()
        if child == 0:
            write("child", "child")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        write("parent", "after")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
