"""Days of traffic up to 10⁶ requests a day and 10⁴ symbols, SIMULATED: does the plan of `evolve capacity` hold, and what breaks first?

    .venv/bin/python scripts/capacity.py               # prints
    .venv/bin/python scripts/capacity.py --write       # into docs/capacity.md; about four minutes of one core

Requests are drawn from the costs that were measured of them (`src/evolve/manager/service_times.json`); nothing else is real. Each request passes the
server, the services it asks, and the database's one writer.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evolve.manager.capacity import ROUND, Costs, Demand, Plan, costs, plan
from evolve.statistics.queue_simulation import Kind, Seen, simulate
from evolve.statistics.queueing import Queue, ServiceTime

ROOT = Path(__file__).resolve().parents[1]
MIX = {"question": 0.80, "program": 0.15, "ridge": 0.05}
SYMBOLS = 10_000
CLOSE_S = 22.5 * 3600  # the rounds of all symbols, after New York has closed
SERVER, WRITER = "Redis or Valkey", "database writer"
KEPT = 400_000  # waits of each station that quantiles are taken of


def demand_of(per_day: float, symbols: int) -> Demand:
    return Demand({name: share * per_day for name, share in MIX.items()}, symbols=symbols, machines=1, cores=2)


def traffic(known: Costs, demand: Demand) -> list[Kind]:
    def routed(name: str, **when: float) -> Kind:
        kind = known.kind(name)
        # The server and the writer are asked once per message; how their times vary was not measured: as much as an exponential's.
        server = SERVER, ServiceTime(kind.messages * known.server_ms / 1000, 1.0)
        writer = WRITER, ServiceTime(kind.messages * known.write_ms / 1000, 1.0)
        return Kind(name, (server, *((stage.service, stage.time) for stage in kind.stages), writer), **when)

    kinds = [routed(name, per_day=count) for name, count in demand.per_day.items()]
    return kinds + ([routed(ROUND, bulk=demand.symbols, bulk_at=CLOSE_S)] if demand.symbols else [])


def stations(demand: Demand, found: Plan) -> dict[str, int]:
    """Places of each: a replica's heavy jobs run on each core, its light ones on one."""
    places: dict[str, int] = {SERVER: 1, WRITER: 1}
    for share in found.shares:
        each = demand.cores if share.lane == "heavy" else 1
        places[share.service] = max(places.get(share.service, 0), share.replicas * each)
    return places


def predicted(known: Costs, demand: Demand, found: Plan) -> dict[str, Queue]:
    """The queues of a day without rounds, at its peak."""
    peak = demand.peak / 86_400
    queues = {}
    for share in found.shares:
        if share.service != known.kind(ROUND).stages[0].service:
            queues[share.service] = Queue(share.arrivals, share.time, stations(demand, found)[share.service])
    for name, each_ms in ((SERVER, known.server_ms), (WRITER, known.write_ms)):
        parts = [
            (count, ServiceTime(known.kind(kind).messages * each_ms / 1000, 1.0))
            for kind, count in demand.per_day.items()
        ]
        queues[name] = Queue(sum(count for count, _ in parts) * peak, ServiceTime.mixed(parts), 1)
    return queues


def shown(value: float) -> str:
    return (
        "grows" if math.isinf(value) else "–" if math.isnan(value) else f"{value:.3f}" if value < 1 else f"{value:.1f}"
    )


def held(known: Costs, per_day: float, *, days: int, seed: int) -> list[str]:
    """Predicted against SIMULATED waits of one size, without rounds."""
    demand = demand_of(per_day, 0)
    found = plan(known, demand)
    seen = simulate(
        traffic(known, demand), stations(demand, found), days=days, peak_factor=demand.peak, seed=seed, kept=KEPT
    )
    return [
        f"| {per_day:,.0f} | {name} | {queue.servers} | {queue.utilisation:.0%} | {shown(queue.wait_quantile_s(0.95))} | "
        f"{shown(seen[name].peak_quantile(0.95))} | {shown(seen[name].quantile(0.95))} |"
        for name, queue in predicted(known, demand, found).items()
    ]  # fmt: skip


def symbols(known: Costs, per_day: float, *, seed: int) -> tuple[list[str], Plan]:
    demand = demand_of(per_day, SYMBOLS)
    found = plan(known, demand)
    seen = simulate(traffic(known, demand), stations(demand, found), days=1, peak_factor=demand.peak, seed=seed)
    desk = known.kind(ROUND).stages[0].service
    done_s = seen[desk].last_s - CLOSE_S
    return [
        f"{SYMBOLS:,} rounds at once beside {per_day:,.0f} requests: planned {found.rounds_s / 60:.1f} minutes, SIMULATED {done_s / 60:.1f}; longest line "
        f"at {desk} {seen[desk].longest:,}, at the writer {seen[WRITER].longest:,} (p95 wait of the whole day there {shown(seen[WRITER].quantile(0.95))} s)."
    ], found  # fmt: skip


def broken(known: Costs, sizes: Sequence[float], *, seed: int) -> list[str]:
    """Replicas are planned anew for each size: what cannot be multiplied stands out."""
    rows = []
    for per_day in sizes:
        demand = demand_of(per_day, 0)
        found = plan(known, demand)
        seen = simulate(
            traffic(known, demand), stations(demand, found), days=1, peak_factor=demand.peak, seed=seed, kept=KEPT
        )
        worst = max(seen, key=lambda name: _p95(seen[name]))
        writer = seen[WRITER]
        rows.append(
            f"| {per_day:,.0f} | {found.cores:.0f} | {found.machines} | {found.server_gb:.1f} | {writer.busy_s / 864:.0f} % | "
            f"{shown(writer.peak_quantile(0.95))} | {writer.longest:,} | {worst} |"
        )  # fmt: skip
    return rows


def _p95(seen: Seen) -> float:
    value = seen.peak_quantile(0.95)
    return 0.0 if math.isnan(value) else value


def limits(known: Costs, per_day: float) -> list[str]:
    """What runs out, at which size: for one machine, and for as many as the plan asks for."""
    rows = []
    machines = plan(known, demand_of(per_day, 0)).machines
    for count in (1, machines):
        demand = replace(demand_of(per_day, 0), machines=count)
        rows += [
            f"| {count} | {each.resource} | {each.per_day:,.0f} | {each.why} |" for each in plan(known, demand).limits
        ]
    return rows


def page(known: Costs, *, days: int, seed: int) -> str:
    started = time.process_time()
    rounds, _ = symbols(known, 1e6, seed=seed)
    lines = [
        f"SIMULATED with seed {seed}; costs measured {known.measured} on {known.machine} (commit {known.commit}); mix of requests: "
        + ", ".join(f"{share:.0%} {name}" for name, share in MIX.items())
        + "; busiest moment 3 times the mean, at 15:00; replicas as planned for a p95 wait of 2 s, machines of 2 cores.",
        "",
        f"**Does the plan hold?** Waits in seconds; the simulated peak is the worst hour of {days} days.",
        "",
        "| requests a day | station | places | busy at the peak | p95 wait at the peak: predicted | SIMULATED | whole day |",
        "|---|---|---|---|---|---|---|",
        *(row for per_day in (1e4, 1e5, 1e6) for row in held(known, per_day, days=days, seed=seed)),
        "",
        *rounds,
        "",
        "**What breaks first?** Of what may be used (80 % of cores and memory, 70 % of what only one can do), all is used at:",
        "",
        "| machines of 2 cores, 8 GB | resource | requests a day | at 1,000,000 a day |",
        "|---|---|---|---|",
        *limits(known, 1e6),
        "",
        "With replicas and machines added as planned, what cannot be multiplied remains (SIMULATED, one day):",
        "",
        "| requests a day | cores | machines | server GB | writer busy, mean | p95 wait of the worst hour there, s | longest line there | longest wait at |",
        "|---|---|---|---|---|---|---|---|",
        *broken(known, (1e6, 1.6e6, 2e6, 2.5e6), seed=seed),
    ]  # fmt: skip
    print(f"{time.process_time() - started:.0f} s of CPU", file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="SIMULATED days up to a million requests and ten thousand symbols.")
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/capacity.md")
    options = parser.parse_args()
    text = page(costs(), days=options.days, seed=options.seed)
    print(text)
    if options.write:
        sys.path.insert(0, str(ROOT / "bench"))
        from report.page import write_section

        write_section(ROOT / "docs" / "capacity.md", "simulation", text)


if __name__ == "__main__":
    main()
