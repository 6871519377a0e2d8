"""Simulated days against what is known of them: the same seed the same day, the theory's waits, nothing lost."""

from __future__ import annotations

import math

import pytest

from evolve.statistics.queue_simulation import DAY_S, Kind, quantile, sharpness_of, simulate
from evolve.statistics.queueing import Queue, ServiceTime

EXPONENTIAL_LIKE = ServiceTime(2.0, 1.0)


def one_station(per_day, *, time=EXPONENTIAL_LIKE, servers=1, peak_factor=1.0, seed=1, **options):
    kind = Kind("ask", (("desk", time),), per_day=per_day, **options)
    return simulate([kind], {"desk": servers}, days=1, peak_factor=peak_factor, seed=seed)["desk"]


def test_a_seed_names_a_day():
    first, again, other = (one_station(5_000, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("servers", [1, 3])
def test_a_steady_day_waits_as_the_theory_says(servers):
    per_day = 0.7 * servers * DAY_S / 2.0
    seen = one_station(per_day, servers=servers)
    queue = Queue(per_day / DAY_S, EXPONENTIAL_LIKE, servers)

    assert len(seen.waits) == pytest.approx(per_day, rel=0.03)
    assert seen.busy_s / (DAY_S * servers) == pytest.approx(0.7, rel=0.05)
    assert sum(seen.waits) / len(seen.waits) == pytest.approx(queue.mean_wait_s, rel=0.25)


def test_a_bulk_is_worked_off_in_turn():
    # 100 at once, 1 s each, 4 servers: the last four begin after 24 s.
    seen = one_station(0, time=ServiceTime(1.0, 0.0), servers=4, bulk=100, bulk_at=3600.0)

    assert (len(seen.waits), max(seen.waits), seen.longest, seen.last_s) == (100, 24.0, 96, 3625.0)


def test_a_request_passes_all_its_stations_in_turn():
    kind = Kind("ask", (("bus", ServiceTime(0.001, 0.0)), ("desk", ServiceTime(1.0, 0.0))), per_day=100)
    seen = simulate([kind], {"bus": 1, "desk": 8}, days=2, peak_factor=2.0, seed=3)

    assert len(seen["bus"].waits) == len(seen["desk"].waits) == pytest.approx(200, abs=45)
    assert seen["desk"].busy_s == len(seen["desk"].waits)


def test_the_busiest_hour_is_as_busy_as_the_peak_factor_says():
    seen = one_station(60_000, time=ServiceTime(0.001, 0.0), peak_factor=3.0)
    by_hour = [sum(1 for at in seen.at if at // 3600 == hour) for hour in range(24)]

    # An hour's mean is a little lower than the moment's peak.
    assert max(by_hour) / (len(seen.at) / 24) == pytest.approx(3.0, rel=0.08)
    assert by_hour.index(max(by_hour)) in (14, 15)
    assert seen.peak_quantile(0.95) >= 0


def test_few_of_many_waits_are_kept_evenly():
    kind = Kind("ask", (("desk", ServiceTime(1.0, 1.0)),), per_day=20_000)
    every, few = (
        simulate([kind], {"desk": 1}, days=1, peak_factor=1.0, seed=4, kept=n)["desk"] for n in (10**9, 1_000)
    )

    assert len(few.waits) <= 1_000 < len(every.waits)
    assert few.busy_s == every.busy_s


def test_quantiles_are_ranks():
    assert quantile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert math.isnan(quantile([], 0.5))


def test_no_day_has_a_peak_below_its_mean():
    with pytest.raises(ValueError, match="1 to 12"):
        sharpness_of(0.5)
