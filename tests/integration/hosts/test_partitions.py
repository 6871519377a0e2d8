"""Several hosts, and a network between them that fails: nothing lost, nothing answered twice, nothing to somebody else."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

import pytest

from integration.faults.ground import Counts, server_version
from integration.faults.tables import table
from integration.faults.test_faults import assert_nothing_went_wrong, summed_table
from integration.hosts.partitions import FAULTS, KINDS, network_ground

REQUESTS = 100
RUNS = int(os.environ.get("FAULT_RUNS", "1"))
SEED = 20_261_123
# delay in s, further delay in s (dice), share of packets lost
LINKS = (
    (0.0, 0.0, 0.0), (0.05, 0.0, 0.0), (0.1, 0.0, 0.0), (0.2, 0.0, 0.0),
    (0.0, 0.0, 0.01), (0.0, 0.0, 0.05), (0.0, 0.0, 0.1), (0.05, 0.15, 0.05), (0.05, 0.15, 0.1),
)  # fmt: skip
LINK_COLUMNS = "delay each way ms | packets lost % | packets dropped | requests | p50 ms | p95 ms | p99 ms | doubled | lost | crossed"
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("hosts")]


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, list[Counts]]]:
    with summed_table("hosts", runs=RUNS, seed=SEED) as counts:
        yield counts


@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_lost_doubled_or_crossed_between_hosts(
    name: str, run: int, counted: dict[str, list[Counts]]
) -> None:
    with network_ground(SEED + run) as made:
        async with made.watching():
            await FAULTS[name](made, 3)
        counts = made.counts(name)
    counted.setdefault(name, []).append(counts)

    assert_nothing_went_wrong(counts)


@pytest.fixture(scope="module")
def latencies() -> Iterator[list[str]]:
    with table("links", LINK_COLUMNS, said=f"{server_version()}; seed {SEED}") as rows:
        yield rows


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("delay_s", "jitter_s", "loss"), LINKS)
async def test_slow_and_lossy_links_cost_time_and_nothing_else(
    delay_s: float, jitter_s: float, loss: float, latencies: list[str]
) -> None:
    """Both the client's link to the server and the replica's; four requests in flight."""
    with network_ground(SEED) as made:
        await made.start_on("a")
        for host in ("a", "client"):
            made.network.set_link(host, "bus", delay_s=delay_s, jitter_s=jitter_s, loss=loss)
        before = made.network.dropped()
        async with made.watching():
            started = time.monotonic()
            await made.client("a", REQUESTS, in_flight=4, kinds=KINDS)
            took = time.monotonic() - started
        counts = made.counts("links")
        dropped = made.network.dropped() - before
        waits = sorted(made.waits)
    cuts = statistics.quantiles(waits, n=100)
    delay = f"{delay_s * 1000:.0f}" + (f"–{(delay_s + jitter_s) * 1000:.0f}" if jitter_s else "")
    latencies.append(
        f"| {delay} | {loss * 100:g} | {dropped} | {counts.sent} | {cuts[49] * 1000:.0f} | {cuts[94] * 1000:.0f} | "
        f"{cuts[98] * 1000:.0f} | {counts.doubled} | {counts.lost} | {counts.crossed} |"
    )

    assert_nothing_went_wrong(counts)
    assert (dropped > 0) == (loss > 0), "the link is not what it should be"
    # There and back, for the client and for the replica: nobody can be faster than the link.
    assert waits[0] >= 2 * delay_s
    assert took >= REQUESTS / 4 * 2 * delay_s
