"""`evolve scale`: how many replicas of a service run, as a number or as a range within which they follow the work."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from evolve.cli.options import AsJson

Wanted = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SERVICE=REPLICAS", help="model_builder=3, research=1..4 (by what waits), multimodal=auto, updater=0; none: show."
    ),
]  # fmt: skip


def scale(wanted: Wanted = None, as_json: AsJson = False) -> None:
    """Run so many replicas of services from now on, also after a crash and `evolve down`."""
    from evolve.cli.show import busy
    from evolve.manager.manager import ServiceManager
    from evolve.manager.scale import cores, parse_scales

    scales = parse_scales(wanted or [], cores=cores())
    with ServiceManager() as manager:
        if scales:
            with busy("scaling"):
                services = manager.scale_services({name: str(each) for name, each in scales.items()})
        else:
            services = manager.get_service_status()
    if as_json:
        typer.echo(json.dumps(services, indent=2))
        return
    for name, entry in services.items():
        typer.echo(line_of(name, entry))


def line_of(name: str, entry: dict[str, Any]) -> str:
    """How many run, how many should, and why it was scaled last."""
    running, wish = len(entry["pids"]), entry.get("scale")
    asked = f" of {wish}" if wish else ""
    why = f"  {entry['scaled']}" if entry.get("scaled") else ""
    return (
        f"{name:<20} {entry['status']:<9} {running}{asked} replica{'s' * (running != 1 or '..' in (wish or ''))}{why}"
    )
