"""The commands of two words, by their first one: `evolve data …`, `bus …`, `sandbox …`, `config …`, `research …` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.alerts import alerts_app
from evolve.cli.bus_group import bus_app
from evolve.cli.data_group import data_app
from evolve.cli.model_groups import models_app, watch_app
from evolve.cli.options import AlwaysJson, AsJson
from evolve.cli.research_group import research_app
from evolve.cli.token import token_app
from evolve.cli.tune import tune_app

config_app = typer.Typer(help="Settings kept in this home.", no_args_is_help=True, rich_markup_mode=None)
sandbox_app = typer.Typer(
    help="Programs of your own, behind a wall made by the kernel.", no_args_is_help=True, rich_markup_mode=None
)
schema_app = typer.Typer(help="Machine-readable descriptions.", no_args_is_help=True, rich_markup_mode=None)
setup_app = typer.Typer(help="Optional parts.", no_args_is_help=True, rich_markup_mode=None)

GROUPS = {
    "models": models_app,
    "watch": watch_app,
    "alerts": alerts_app,
    "data": data_app,
    "bus": bus_app,
    "config": config_app,
    "setup": setup_app,
    "sandbox": sandbox_app,
    "research": research_app,
    "schema": schema_app,
    "tune": tune_app,
    "token": token_app,
}


# --- sandbox ---


@sandbox_app.command("run")
def sandbox_run(
    file: Annotated[Path, typer.Argument(help="A program with main(input_data).")],
    given: Annotated[str, typer.Option("--input", metavar="JSON", help="Its input_data, or @FILE.")] = "{}",
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Default: SAFE_EXECUTOR_TIMEOUT.")
    ] = None,
    memory: Annotated[
        int | None, typer.Option("--memory", min=1, metavar="MIB", help="Default: SAFE_EXECUTOR_MEMORY_LIMIT.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run one program; prints what its main(input_data) returns."""
    from evolve.cli.sandbox import run

    raise typer.Exit(run(file, given, timeout_s=timeout, memory_mb=memory, as_json=as_json))


@sandbox_app.command("attack-suite")
def sandbox_attack_suite(as_json: AsJson = False) -> None:
    """Attack this machine's wall, and show what stopped each attack."""
    from evolve.cli.sandbox import attack_suite

    raise typer.Exit(attack_suite(as_json=as_json))


# --- configuration ---


@config_app.command("redis")
def config_redis(
    url: Annotated[
        str | None, typer.Argument(help="redis://host:port/db; none: show; 'embedded': back to ours.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which server the default settings mean."""
    from evolve.cli.config import redis

    redis(url, as_json=as_json)


@setup_app.command("torch")
def setup_torch(
    cpu: Annotated[bool, typer.Option("--cpu", help="The CPU build, even where there is a GPU.")] = False,
    as_json: AsJson = False,
) -> None:
    """Install torch for the neural models: the CPU build where there is no GPU."""
    from evolve.cli.setup_torch import run

    run(cpu=cpu, as_json=as_json)


@schema_app.command("asyncapi")
def schema_asyncapi(as_json: AlwaysJson = True) -> None:
    """All channels and messages as an AsyncAPI 3 document (JSON)."""
    del as_json
    import json

    from evolve.client.core import all_requests
    from evolve.messaging.asyncapi import document
    from evolve.version import VERSION

    services = {name: list(requests.values()) for name, requests in all_requests().items()}
    typer.echo(json.dumps(document(services, version=VERSION), indent=2))
