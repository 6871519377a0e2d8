"""Waits of queues against tables, closed forms and a simulation of another kind."""

from __future__ import annotations

import heapq
import math
import random

import pytest

from evolve.statistics.queueing import Queue, ServiceTime, erlang_c, servers_for

EXPONENTIAL = ServiceTime(1.0, 1.0)


@pytest.mark.parametrize(
    ("servers", "offered", "expected"),
    [
        (1, 0.5, 0.5),  # M/M/1 waits with probability ρ
        (2, 1.0, 1 / 3),  # by hand: (1/2·2) / (1 + 1 + 1) with the factor 1/(1 - 1/2)
    ],
)
def test_erlang_c_is_what_it_is_by_hand(servers, offered, expected):
    assert erlang_c(servers, offered) == pytest.approx(expected)


def test_erlang_c_is_its_closed_sum():
    servers, offered = 10, 8.0
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    others = sum(offered**number / math.factorial(number) for number in range(servers))

    assert erlang_c(servers, offered) == pytest.approx(last / (others + last))


def test_hundreds_of_servers_do_not_overflow():
    assert 0 < erlang_c(1_000, 970.0) < 0.4


def test_one_server_waits_as_pollaczek_and_khinchine_say():
    # λ (1 + scv) E[S]² / (2 (1 - ρ)), exact for M/G/1: ρ = 0.8, a constant time and a very variable one.
    for scv in (0.0, 4.0):
        queue = Queue(0.4, ServiceTime(2.0, scv), 1)
        assert queue.mean_wait_s == pytest.approx(0.4 * (1 + scv) * 4.0 / (2 * 0.2))


def test_the_quantile_of_an_exponential_queue_is_exact():
    # M/M/1, ρ = 0.8: P(W > t) = 0.8·exp(-0.2 t).
    assert Queue(0.8, EXPONENTIAL, 1).wait_quantile_s(0.95) == pytest.approx(math.log(0.8 / 0.05) / 0.2)


def test_nobody_waits_at_a_quantile_that_most_are_served_at_once_below():
    assert Queue(0.04, EXPONENTIAL, 1).wait_quantile_s(0.95) == 0.0


def test_a_queue_that_only_grows_waits_for_ever():
    queue = Queue(2.0, EXPONENTIAL, 2)

    assert (queue.waits, queue.mean_wait_s, queue.wait_quantile_s(0.5)) == (1.0, math.inf, math.inf)


@pytest.mark.parametrize(("servers", "scv"), [(1, 0.3), (3, 2.0)])
def test_the_approximation_is_near_what_a_simulation_finds(servers, scv):
    """The bound is wide on purpose: the formula is an approximation for c > 1, and its worst case is what is documented."""
    rng = random.Random(7)
    load, mean = 0.7, 1.0
    shape = 1 / scv
    free, now, waits = [0.0] * servers, 0.0, []
    for _ in range(60_000):
        now += rng.expovariate(load * servers / mean)
        begins = max(now, free[0])
        waits.append(begins - now)
        heapq.heapreplace(free, begins + rng.gammavariate(shape, mean / shape))
    waits.sort()
    queue = Queue(load * servers, ServiceTime(mean, scv), servers)

    assert queue.mean_wait_s == pytest.approx(sum(waits) / len(waits), rel=0.15)
    assert queue.wait_quantile_s(0.95) == pytest.approx(waits[57_000], rel=0.15)


def test_the_fewest_servers_are_found():
    servers = servers_for(50.0, ServiceTime(0.5, 1.5), wait_s=1.0)

    assert Queue(50.0, ServiceTime(0.5, 1.5), servers).wait_quantile_s(0.95) <= 1.0
    assert Queue(50.0, ServiceTime(0.5, 1.5), servers - 1).wait_quantile_s(0.95) > 1.0


def test_times_of_several_kinds_mix_by_their_moments():
    # Half of 1 s, half of 3 s, both constant: mean 2, variance 1.
    mixed = ServiceTime.mixed([(1.0, ServiceTime(1.0, 0.0)), (1.0, ServiceTime(3.0, 0.0))])

    assert (mixed.mean_s, mixed.scv) == (2.0, 0.25)
    assert ServiceTime.fitted([1.0, 3.0]).scv == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least two"):
        ServiceTime.fitted([1.0])
