"""`evolve bus …`: what it is called and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import AsJson, DeadEntry, ServiceName

bus_app = typer.Typer(
    help="The message bus, for machines without redis-cli.", no_args_is_help=True, rich_markup_mode=None
)
dead_app = typer.Typer(help="What could not be answered.", no_args_is_help=True, rich_markup_mode=None)
bus_app.add_typer(dead_app, name="dead")


EachAsJson = Annotated[bool, typer.Option("--json", help="Each message as a line of JSON.")]


@bus_app.command()
def ping(as_json: AsJson = False) -> None:
    """Whether the server answers, as `redis-cli ping` does; exit code 1 if not."""
    from evolve.cli.bus import ping as run

    run(as_json=as_json)


@bus_app.command()
def channels(
    pattern: Annotated[str, typer.Argument(help="As in a shell: *_output.")] = "*", as_json: AsJson = False
) -> None:
    """Channels that somebody listens on, as `redis-cli pubsub channels` lists them, and how many do."""
    from evolve.cli.bus import channels as run

    run(pattern, as_json=as_json)


@bus_app.command()
def publish(
    channel: Annotated[str, typer.Argument(help="Such as model_builder_input.")],
    message: Annotated[str, typer.Argument(help="JSON, for a service.")],
    as_json: AsJson = False,
) -> None:
    """PUBLISH a message; prints how many heard it."""
    from evolve.cli.bus import publish as run

    run(channel, message, as_json=as_json)


@bus_app.command()
def subscribe(
    channels: Annotated[list[str], typer.Argument(help="Such as model_builder_output.")],
    count: Annotated[int, typer.Option(help="Stop after so many messages; 0: until Ctrl-C.")] = 0,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: until Ctrl-C.")] = 0,
    as_json: EachAsJson = False,
) -> None:
    """Print messages of channels as they come."""
    from evolve.cli.bus import subscribe as run

    run(channels, count, seconds, as_json=as_json)


@bus_app.command()
def monitor(
    count: Annotated[int, typer.Option(help="Stop after so many messages; 0: until Ctrl-C.")] = 0,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: until Ctrl-C.")] = 0,
    as_json: EachAsJson = False,
) -> None:
    """Print all messages of all services as they come."""
    from evolve.cli.bus import monitor as run

    run(count, seconds, as_json=as_json)


@bus_app.command("acl")
def bus_acl(
    passwords: Annotated[
        Path | None,
        typer.Option("--passwords", metavar="FILE", help="Where users' passwords are kept; made if it is not there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """An ACL file for Redis ≥ 7 or Valkey: each service and the client only their own keys and channels."""
    from evolve.cli.bus import print_acl

    print_acl(passwords, as_json=as_json)


@dead_app.command("list")
def dead_list(
    service: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Of each service.")] = 100,
    as_json: AsJson = False,
) -> None:
    """What could not be answered, newest first, and why."""
    from evolve.cli.bus import list_dead

    list_dead(service, limit, as_json=as_json)


@dead_app.command("show")
def dead_show(service: ServiceName, entry: DeadEntry, as_json: AsJson = False) -> None:
    """One dead letter: reason, attempts, original bytes."""
    from evolve.cli.bus import show_dead

    show_dead(service, entry, as_json=as_json)


@dead_app.command("retry")
def dead_retry(service: ServiceName, entry: DeadEntry, as_json: AsJson = False) -> None:
    """Put a dead letter back into its queue."""
    from evolve.cli.bus import retry_dead

    retry_dead(service, entry, as_json=as_json)


@dead_app.command("drop")
def dead_drop(service: ServiceName, entry: DeadEntry, as_json: AsJson = False) -> None:
    """Delete a dead letter for good."""
    from evolve.cli.bus import drop_dead

    drop_dead(service, entry, as_json=as_json)
