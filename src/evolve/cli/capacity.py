"""`evolve capacity`: how many replicas, cores and how much memory so many requests a day need, and what runs out first."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import AsJson

if TYPE_CHECKING:
    from evolve.manager.capacity import Costs, Demand, Plan

Wanted = Annotated[
    list[str] | None,
    typer.Argument(metavar="KIND=PER_DAY", help="question=100000, program=5000, ridge=2000 …; none: what was measured of each."),
]  # fmt: skip
Peak = Annotated[float, typer.Option("--peak", min=1, max=12, help="The busiest moment over the day's mean.")]
Wait = Annotated[
    float, typer.Option("--wait", min=0.001, metavar="SECONDS", help="95 % shall wait no longer than this.")
]
Symbols = Annotated[int, typer.Option("--symbols", min=0, help="Watched ones: a round a day for each, all at once.")]
Within = Annotated[float, typer.Option("--within", min=1, metavar="SECONDS", help="When those rounds shall be done.")]
Machines = Annotated[int, typer.Option("--machines", min=1, help="There are.")]
Cores = Annotated[int, typer.Option("--cores", min=1, help="Of each machine.")]
MemoryGb = Annotated[float, typer.Option("--memory", min=0.1, metavar="GB", help="Of each machine.")]
ServerGb = Annotated[
    float, typer.Option("--server-memory", min=0.1, metavar="GB", help="Of the Redis or Valkey server.")
]


def capacity(
    wanted: Wanted = None,
    peak: Peak = 3.0,
    wait: Wait = 2.0,
    symbols: Symbols = 0,
    within: Within = 3600.0,
    machines: Machines = 1,
    cores: Cores = 2,
    memory: MemoryGb = 8.0,
    server_memory: ServerGb = 4.0,
    as_json: AsJson = False,
) -> None:
    """How many replicas so many requests a day need, and what breaks first. Starts nothing."""
    from evolve.manager.capacity import Demand, costs, plan

    known = costs()
    demand = Demand(
        counts(wanted or []), peak=peak, wait_s=wait, symbols=symbols, within_s=within,
        machines=machines, cores=cores, memory_gb=memory, server_gb=server_memory,
    )  # fmt: skip
    if not demand.per_day and not symbols:
        typer.echo(json.dumps(asdict(known), indent=2) if as_json else measured(known))
        return
    found = plan(known, demand)
    if as_json:
        shown = {"demand": asdict(demand), **asdict(found), "replicas": found.replicas}
        typer.echo(json.dumps(shown, indent=2).replace("Infinity", "null"))
        return
    typer.echo(said(known, demand, found))


def counts(words: list[str]) -> dict[str, float]:
    """`question=100000` by kind. Raises InvalidRequest."""
    from evolve.errors import InvalidRequest

    found: dict[str, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            found[name] = float(text.replace("_", ""))
        except ValueError:
            equals = ""
        if not equals or not found[name] < 1e12:  # NaN too
            raise InvalidRequest(f"capacity takes KIND=REQUESTS_A_DAY, such as question=100000, not {word!r}")
    return found


def measured(known: Costs) -> str:
    lines = [f"measured {known.measured} on {known.machine} (commit {known.commit}, load {known.load}):"]
    for kind in known.kinds:
        where = ", ".join(f"{stage.service} {1000 * stage.mean_s:.0f} ms" for stage in kind.stages)
        lines.append(f"  {kind.name:<9} {kind.what}: {1000 * kind.cpu_s:.0f} ms of CPU; {where}")
    lines.append(f"a replica's front {known.front_mb:.0f} MB, a job process {known.job_mb:.0f} MB; a message {known.server_ms:g} ms of the server and {known.server_kb:.1f} KB of its memory for a day;")  # fmt: skip
    lines.append(f"a transaction {known.write_ms:.1f} ms, a row {known.database_kb:.1f} KB")
    return "\n".join(lines)


def said(known: Costs, demand: Demand, found: Plan) -> str:
    asked = ", ".join(f"{count:,.0f} × {name}" for name, count in demand.per_day.items())
    rounds = f"{demand.symbols:,} watched symbols" if demand.symbols else ""
    lines = [f"{' and '.join(part for part in (asked, rounds) if part)} a day, {demand.peak:g} times the mean at the peak, 95 % to wait {demand.wait_s:g} s at most:"]  # fmt: skip
    lines += [
        f"  {share.service:<19} {share.replicas:>4} × ({share.places} places, {share.lane}): {share.arrivals:.2f}/s of {share.time.mean_s:.2f} s, {share.utilisation:.0%} busy, p95 wait {share.wait_s:.2f} s"
        for share in found.shares
    ]
    lines.append(f"  in all {found.cores:.1f} cores at the peak, {found.memory_gb:.1f} GB: {found.machines} machine{'s' * (found.machines != 1)} of {demand.cores} cores and {demand.memory_gb:g} GB; the database grows {found.database_gb_a_day:.2f} GB a day")  # fmt: skip
    if demand.symbols:
        lines.append(f"  all rounds are done after {found.rounds_s / 60:.0f} minutes")
    lines.append(f"what runs out first with {demand.machines} machine{'s' * (demand.machines != 1)}:")
    for limit in found.limits:
        at = f", all of it at {limit.per_day:,.0f} a day" if math.isfinite(limit.per_day) and demand.per_day else ""
        lines.append(f"  {limit.resource:<16} {limit.share:>7.1%}  {limit.why}{at}")
    lines.append(
        f"by measurements of {known.measured} (commit {known.commit}); docs/capacity.md says how far to trust them"
    )
    return "\n".join(lines)
