"""`evolve top`: what every service is doing, live in a terminal, once elsewhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import typer
from rich.live import Live
from rich.table import Table

from evolve.cli.show import console
from evolve.clock import SYSTEM_CLOCK
from evolve.manager.board import Look, ServiceRow, look, rows
from evolve.manager.scale import last_decisions, remembered
from evolve.messaging.bus import Bus
from evolve.messaging.connection import bus_for
from evolve.services import SERVICES
from evolve.settings import Settings

OLD_S = 30.0  # who waits longer asks whether anybody works
LATELY_S = 600.0


def show_top(every_s: float, once: bool, as_json: bool) -> None:
    """Until Ctrl-C on a terminal; two looks, an interval apart, where nobody watches or JSON is asked for."""
    asyncio.run(_show(every_s, once or as_json or not console().is_terminal, as_json))


async def _show(every_s: float, once: bool, as_json: bool) -> None:
    bus = bus_for(Settings.load())
    try:
        before = await _look(bus)
        if not once:
            await _live(bus, before, every_s)
            return
        await asyncio.sleep(every_s)
        found = rows(await _look(bus), before)
    finally:
        await bus.close()
    if as_json:
        scales = {name: str(scale) for name, scale in remembered(Settings.load().home).items()}
        typer.echo(json.dumps([{**asdict(row), "scale": scales.get(row.service)} for row in found], indent=2))
    else:
        console().print(table(found))


async def _live(bus: Bus, before: Look, every_s: float) -> None:
    with Live(table(rows(before)), console=console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(every_s)
            now = await _look(bus)
            live.update(table(rows(now, before)), refresh=True)
            before = now


async def _look(bus: Bus) -> Look:
    return await look(bus, list(SERVICES), SYSTEM_CLOCK)


def table(found: tuple[ServiceRow, ...]) -> Table:
    """What was found of each service, and below it how this home was scaled of late."""
    settings = Settings.load()
    scales, now = remembered(settings.home), SYSTEM_CLOCK.now()
    lately = [scaled for scaled in last_decisions(settings.run_dir).values() if now - scaled.at < LATELY_S]
    said = [f"{one.service} {one.before} → {one.after}, {now - one.at:.0f} s ago: {one.why}" for one in lately]
    made = Table(box=None, pad_edge=False, caption="\n".join(said) or None, caption_justify="left")
    for title in ("service", "state"):
        made.add_column(title)
    for title in ("replicas", "in work", "waiting", "oldest", "dead letters", "CPU of fronts", "memory"):
        made.add_column(title, justify="right")
    for row in found:
        late = row.oldest_s > OLD_S
        made.add_row(
            row.service,
            row.state,
            f"{row.replicas} of {scales[row.service]}" if row.service in scales else str(row.replicas),
            str(row.in_flight),
            str(row.queued),
            f"{row.oldest_s:.1f} s" if row.queued else "–",
            str(row.dead),
            "–" if row.cpu is None else f"{row.cpu:.1%}",
            f"{row.rss_mb:.0f} MB",
            style="bold red" if row.dead or late else "dim" if row.state == "stopped" else "",
        )
    return made
