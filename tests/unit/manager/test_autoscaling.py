"""The rule by which replicas follow the work: quick up, slow down, never by one look, never out of range or memory."""

from __future__ import annotations

import dataclasses

import pytest

from evolve.manager.autoscaling import Memory, Policy, Seen, decide
from evolve.manager.scale import Scale

POLICY = Policy(old_s=2.0, settle_s=5.0, calm_s=60.0, looks=2)
RANGE = Scale(1, 8)


def seen(at, *, replicas=1, in_work=0, waiting=0, oldest_s=0.0, room=99):
    return Seen(float(at), replicas, in_work, waiting, oldest_s, room)


def after(*looks, scale=RANGE, memory=None):
    """The verdict on the last of several looks."""
    memory = memory or Memory()
    for look in looks:
        verdict = decide(look, scale, memory, POLICY)
        memory = verdict.memory
    return verdict


BUSY = {"in_work": 2, "waiting": 6, "oldest_s": 3.0}


def test_work_that_waits_in_two_looks_is_met_by_as_many_replicas_as_clear_it_but_at_most_twice_as_many():
    assert after(seen(0, **BUSY), seen(1, **BUSY)).replicas == 2
    # 2 replicas have 2 in work, 1 each; 2 + 1 fill three.
    few = {"replicas": 2, "in_work": 2, "waiting": 1, "oldest_s": 3.0}
    assert after(seen(0, **few), seen(1, **few)).replicas == 3
    assert "6 wait, the oldest for 3.0 s" in after(seen(0, **BUSY), seen(1, **BUSY)).why


def test_one_look_changes_nothing():
    assert after(seen(0, **BUSY)).replicas == 1
    assert after(seen(0, **BUSY), seen(1), seen(2, **BUSY)).replicas == 1


def test_neither_long_work_nor_a_short_wait_asks_for_more():
    long_work = seen(0, in_work=5)
    short_wait = {"in_work": 4, "waiting": 3, "oldest_s": 0.4}

    assert after(*[dataclasses.replace(long_work, at=float(at)) for at in range(100)]).replicas == 1
    assert after(*[seen(at, **short_wait) for at in range(100)]).replicas == 1


def test_a_queue_longer_than_what_is_in_work_asks_for_more_before_it_is_old():
    flood = {"in_work": 4, "waiting": 40, "oldest_s": 0.4}

    assert after(seen(0, **flood), seen(1, **flood)).replicas == 2


def test_what_was_started_gets_time_to_serve_before_more_is_started():
    grown = after(seen(0, **BUSY), seen(1, **BUSY)).memory
    busy = {**BUSY, "replicas": 2}

    assert after(*[seen(1 + s, **busy) for s in range(1, 5)], memory=grown).replicas == 2
    assert after(*[seen(1 + s, **busy) for s in range(1, 6)], memory=grown).replicas == 4


@pytest.mark.parametrize(("high", "room", "said"), [(2, 9, "2 is the most"), (8, 0, "no memory")])
def test_the_range_and_the_memory_bound_it_and_it_says_which(high, room, said):
    busy = {**BUSY, "replicas": 2, "room": room}

    held = after(seen(0, **busy), seen(1, **busy), scale=Scale(1, high))

    assert held.replicas == 2
    assert said in held.why


def test_replicas_go_after_a_minute_of_calm_down_to_the_most_that_worked_in_it():
    calm = [seen(s, replicas=6, in_work=2 if s == 30 else 0) for s in range(61)]

    assert after(*calm[:-1]).replicas == 6
    assert after(*calm).replicas == 2
    assert after(*[seen(s, replicas=2) for s in range(61)]).replicas == 1


def test_a_single_waiting_request_begins_the_minute_anew():
    calm = [seen(s, replicas=4, waiting=int(s == 50)) for s in range(100)]

    assert after(*calm).replicas == 4


def test_busy_replicas_stay():
    assert after(*[seen(s, replicas=3, in_work=3) for s in range(500)]).replicas == 3


@pytest.mark.parametrize(("replicas", "wanted"), [(9, 4), (1, 2)])
def test_what_is_out_of_the_range_is_brought_into_it_at_once(replicas, wanted):
    assert after(seen(0, replicas=replicas), scale=Scale(2, 4)).replicas == wanted


def test_a_load_that_stays_the_same_is_never_answered_up_and_down():
    """Eight slow requests at a time, for an hour: after the growth nothing changes."""
    memory, replicas, changes = Memory(), 1, []
    for at in range(3600):
        in_work = min(8, replicas)
        verdict = decide(seen(at, replicas=replicas, in_work=in_work, waiting=8 - in_work, oldest_s=9.0 * (in_work < 8)), RANGE, memory, POLICY)  # fmt: skip
        memory = verdict.memory
        if verdict.replicas != replicas:
            changes.append(verdict.replicas)
        replicas = verdict.replicas
    assert changes == [2, 4, 8]
