"""`evolve models …` and `evolve watch …`: what they are called and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import AsJson, ModelId, OnlySymbol, OnlyTimeframe, Reason, SymbolArgument

models_app = typer.Typer(help="The registered models.", rich_markup_mode=None)
watch_app = typer.Typer(help="Champions and challengers: age, drift, last test, next run.", rich_markup_mode=None)


@models_app.callback(invoke_without_command=True)
def models(
    context: typer.Context, symbol: OnlySymbol = None, timeframe: OnlyTimeframe = None, as_json: AsJson = False
) -> None:
    """The registered models, newest first: list, look at, delete, move between machines, and put in charge."""
    if context.invoked_subcommand is None:
        models_list(symbol, timeframe, as_json)


@models_app.command("list")
def models_list(symbol: OnlySymbol = None, timeframe: OnlyTimeframe = None, as_json: AsJson = False) -> None:
    """The registered models, newest first, with champions and challengers."""
    from evolve.cli.models import list_models

    list_models(symbol, timeframe, as_json=as_json)


@models_app.command("show")
def models_show(model_id: ModelId, as_json: AsJson = False) -> None:
    """A model's card: data, recipe, results, outlook, limits (Markdown)."""
    from evolve.cli.models import show

    show(model_id, as_json=as_json)


@models_app.command("delete")
def models_delete(model_id: ModelId, as_json: AsJson = False) -> None:
    """Take a model out of the registry; its history stays. Refused while it is a champion."""
    from evolve.cli.models import delete

    delete(model_id, as_json=as_json)


@models_app.command("export")
def models_export(
    model_id: ModelId,
    file: Annotated[Path | None, typer.Argument(help="Default: MODEL_ID.evolve")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model to a file that another home can import."""
    from evolve.cli.models import export

    export(model_id, file, as_json=as_json)


@models_app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(help="What `evolve models export` wrote.")], as_json: AsJson = False
) -> None:
    """Register a model from a file; one that was changed, or is none of ours, is refused."""
    from evolve.cli.models import import_file

    import_file(file, as_json=as_json)


@models_app.command("promote")
def models_promote(
    model_id: ModelId,
    alias: Annotated[str, typer.Option("--as", help="champion or challenger.")] = "champion",
    replacing: Annotated[
        str | None, typer.Option("--replacing", metavar="MODEL", help="Who holds it now; default: nobody.")
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make a model the champion or challenger of its symbol and timeframe."""
    from evolve.cli.models import promote

    promote(model_id, alias, replacing, reason, as_json=as_json)


@models_app.command("release")
def models_release(model_id: ModelId, reason: Reason = "", as_json: AsJson = False) -> None:
    """Set the aliases of a model free."""
    from evolve.cli.models import release

    release(model_id, reason, as_json=as_json)


@models_app.command("aliases")
def models_aliases(symbol: OnlySymbol = None, timeframe: OnlyTimeframe = None, as_json: AsJson = False) -> None:
    """Every move of champions and challengers, newest first."""
    from evolve.cli.models import aliases

    aliases(symbol, timeframe, as_json=as_json)


@watch_app.callback(invoke_without_command=True)
def watch(
    context: typer.Context, symbol: OnlySymbol = None, timeframe: OnlyTimeframe = None, as_json: AsJson = False
) -> None:
    """Champions and challengers: age, drift, last test, next run."""
    if context.invoked_subcommand is None:
        from evolve.cli.updates import board

        board(symbol, timeframe, as_json=as_json)


@watch_app.command("add")
def watch_add(
    model_id: ModelId,
    cron: Annotated[str, typer.Option(help="Minute hour day month weekday, as in crontab.")] = "30 22 * * 1-5",
    timezone: Annotated[str, typer.Option(help="An IANA name, such as America/New_York.")] = "UTC",
    max_age: Annotated[int, typer.Option("--max-age", help="Bars after which it is trained anew in any case.")] = 126,
    as_json: AsJson = False,
) -> None:
    """Look after a model by a timetable; it is put in charge of its symbol if nobody is."""
    from evolve.cli.updates import add

    add(model_id, cron, timezone, max_age, as_json=as_json)


@watch_app.command("remove")
def watch_remove(
    symbol: SymbolArgument, timeframe: Annotated[str, typer.Argument(help="Such as 1d.")], as_json: AsJson = False
) -> None:
    """Look after a symbol no longer; its models stay as they are."""
    from evolve.cli.updates import remove

    remove(symbol, timeframe, as_json=as_json)


@watch_app.command("history")
def watch_history(
    model_id: ModelId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was done to a model and decided about it, each with its reason."""
    from evolve.cli.updates import history

    history(model_id, limit, as_json=as_json)
