"""A replica that lost its lease changes nothing more: neither registry nor log takes a write of an older run."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from evolve.errors import LeaseLost, UnknownModel
from evolve.memory.decisions import DecisionLog
from evolve.memory.fence import Fence, behind
from evolve.memory.registry import Registry
from evolve.memory.tables import decisions, fences
from evolve.messaging.bus import fence_of
from unit.memory.examples import card, decision

REQUEST = "model_builder/r1"
FIRST = Fence(REQUEST, "1.1")
SECOND = Fence(REQUEST, "1.2", again=True)


@pytest.fixture
def log(database):
    return DecisionLog(database)


@pytest.fixture
def registry(database, artifacts):
    return Registry(database, artifacts)


def rows(database, table):
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar()


def test_an_older_run_records_no_decision_once_a_later_one_began(log, database):
    with behind(SECOND):
        log.take_over()
    with behind(FIRST), pytest.raises(LeaseLost, match="taken over by another replica"):
        log.record(decision())

    assert rows(database, decisions) == 0


def test_an_older_run_neither_saves_nor_deletes_a_model(registry, log):
    made, kept = card(), card(seed=8)
    registry.save(kept, weights=b"w", out_of_sample={}, request_id="r0")
    with behind(SECOND):
        log.take_over()

    with behind(FIRST):
        with pytest.raises(LeaseLost):
            registry.save(made, weights=b"w", out_of_sample={}, request_id="r1")
        with pytest.raises(LeaseLost):
            registry.delete(kept.model_id, request_id="r1")

    with pytest.raises(UnknownModel):
        registry.get(made.model_id)
    assert registry.get(kept.model_id).model_id == kept.model_id


def test_the_later_run_writes_and_so_does_the_first_before_it(log):
    with behind(FIRST):
        assert log.record(decision(request_id="r1"))
    with behind(SECOND):
        log.take_over()
        assert not log.record(decision(request_id="r1"))  # found again by its id: once
        assert log.record(decision(request_id="r1/part"))


def test_other_requests_and_work_outside_a_request_are_not_held_back(log):
    with behind(SECOND):
        log.take_over()

    assert log.record(decision(request_id="r2"))
    with behind(Fence("performance_critic/r1", "1.1")):
        assert log.record(decision(request_id="r3"))


def test_a_request_that_runs_once_leaves_no_trace_of_its_fence(log, database):
    with behind(FIRST):
        log.record(decision())

    assert rows(database, fences) == 0


def test_fences_of_requests_that_can_run_no_more_are_forgotten_and_those_of_roles_are_not(log, database):
    """Else every request that ever ran twice would leave a row for good."""
    for days, number in ((0, 1), (13, 2), (15, 3)):
        with behind(
            Fence(f"model_builder/r{number}", fence_of(f"{1_700_000_000_000 + days * 86_400_000}-0", 2), again=True)
        ):
            log.take_over()
        with behind(Fence("leader/timetable", f"{number:020d}", again=True)):
            log.take_over()

    with database.read() as connection:
        kept = connection.execute(select(fences.c.request).order_by(fences.c.request)).scalars().all()
    assert kept == ["leader/timetable", "model_builder/r2", "model_builder/r3"]
