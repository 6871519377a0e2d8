"""The commands of two words: `evolve data …`, `bus …`, `sandbox …`, `config …`, `setup …`, `schema …`, `research …`, `tune …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.audit_log import audit_log_app
from evolve.cli.options import AsJson, Simulate, SymbolOption, TimeframeOption, Timeout
from evolve.cli.security import security_app
from evolve.cli.tune import tune_app

data_app = typer.Typer(help="Bars: what there is, and your own.", no_args_is_help=True, rich_markup_mode=None)
bus_app = typer.Typer(
    help="The message bus, for machines without redis-cli.", no_args_is_help=True, rich_markup_mode=None
)
dead_app = typer.Typer(help="What could not be answered.", no_args_is_help=True, rich_markup_mode=None)
config_app = typer.Typer(help="Settings kept in this home.", no_args_is_help=True, rich_markup_mode=None)
sandbox_app = typer.Typer(
    help="Programs of your own, behind a wall made by the kernel.", no_args_is_help=True, rich_markup_mode=None
)
research_app = typer.Typer(help="Papers and code: find, read, try.", no_args_is_help=True, rich_markup_mode=None)
schema_app = typer.Typer(help="Machine-readable descriptions.", no_args_is_help=True, rich_markup_mode=None)
setup_app = typer.Typer(help="Optional parts.", no_args_is_help=True, rich_markup_mode=None)
models_app = typer.Typer(help="The registered models.", rich_markup_mode=None)
watch_app = typer.Typer(help="Champions and challengers: age, drift, last test, next run.", rich_markup_mode=None)
bus_app.add_typer(dead_app, name="dead")

GROUPS = {
    "models": models_app,
    "watch": watch_app,
    "data": data_app,
    "bus": bus_app,
    "config": config_app,
    "setup": setup_app,
    "sandbox": sandbox_app,
    "research": research_app,
    "schema": schema_app,
    "tune": tune_app,
    "security": security_app,
    "audit-log": audit_log_app,
}


# --- models ---


@models_app.callback(invoke_without_command=True)
def models(
    context: typer.Context, symbol: str | None = None, timeframe: str | None = None, as_json: AsJson = False
) -> None:
    """The registered models, newest first: list, look at, delete, move between machines, and put in charge."""
    if context.invoked_subcommand is None:
        models_list(symbol, timeframe, as_json)


@models_app.command("list")
def models_list(symbol: str | None = None, timeframe: str | None = None, as_json: AsJson = False) -> None:
    """The registered models, newest first, with champions and challengers."""
    from evolve.cli.models import list_models

    list_models(symbol, timeframe, as_json=as_json)


@models_app.command("show")
def models_show(model_id: str, as_json: AsJson = False) -> None:
    """A model's card: data, recipe, results, outlook, limits (Markdown)."""
    from evolve.cli.models import show

    show(model_id, as_json=as_json)


@models_app.command("delete")
def models_delete(model_id: str) -> None:
    """Take a model out of the registry; its history stays. Refused while it is a champion."""
    from evolve.cli.models import delete

    delete(model_id)


@models_app.command("export")
def models_export(
    model_id: str, file: Annotated[Path | None, typer.Argument(help="Default: MODEL_ID.evolve")] = None
) -> None:
    """Write a model to a file that another home can import."""
    from evolve.cli.models import export

    export(model_id, file)


@models_app.command("import")
def models_import(file: Path) -> None:
    """Register a model from a file; one that was changed, or is none of ours, is refused."""
    from evolve.cli.models import import_file

    import_file(file)


@models_app.command("promote")
def models_promote(
    model_id: str,
    alias: Annotated[str, typer.Option("--as", help="champion or challenger.")] = "champion",
    replacing: Annotated[
        str | None, typer.Option("--replacing", metavar="MODEL", help="Who holds it now; default: nobody.")
    ] = None,
    reason: str = "",
) -> None:
    """Make a model the champion or challenger of its symbol and timeframe."""
    from evolve.cli.models import promote

    promote(model_id, alias, replacing, reason)


@models_app.command("release")
def models_release(model_id: str, reason: str = "") -> None:
    """Set the aliases of a model free."""
    from evolve.cli.models import release

    release(model_id, reason)


@models_app.command("aliases")
def models_aliases(symbol: str | None = None, timeframe: str | None = None, as_json: AsJson = False) -> None:
    """Every move of champions and challengers, newest first."""
    from evolve.cli.models import aliases

    aliases(symbol, timeframe, as_json=as_json)


# --- watch ---


@watch_app.callback(invoke_without_command=True)
def watch(
    context: typer.Context, symbol: str | None = None, timeframe: str | None = None, as_json: AsJson = False
) -> None:
    """Champions and challengers: age, drift, last test, next run."""
    if context.invoked_subcommand is None:
        from evolve.cli.updates import board

        board(symbol, timeframe, as_json=as_json)


@watch_app.command("add")
def watch_add(
    model_id: str,
    cron: Annotated[str, typer.Option(help="Minute hour day month weekday, as in crontab.")] = "30 22 * * 1-5",
    timezone: Annotated[str, typer.Option(help="An IANA name, such as America/New_York.")] = "UTC",
    max_age: Annotated[int, typer.Option("--max-age", help="Bars after which it is trained anew in any case.")] = 126,
    as_json: AsJson = False,
) -> None:
    """Look after a model by a timetable; it is put in charge of its symbol if nobody is."""
    from evolve.cli.updates import add

    add(model_id, cron, timezone, max_age, as_json=as_json)


@watch_app.command("remove")
def watch_remove(symbol: str, timeframe: str) -> None:
    """Look after a symbol no longer; its models stay as they are."""
    from evolve.cli.updates import remove

    remove(symbol, timeframe)


@watch_app.command("history")
def watch_history(
    model_id: str, limit: Annotated[int, typer.Option(min=1, max=1000)] = 20, as_json: AsJson = False
) -> None:
    """What was done to a model and decided about it, each with its reason."""
    from evolve.cli.updates import history

    history(model_id, limit, as_json=as_json)


# --- data ---


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """Symbols at hand, and where their bars come from."""
    from evolve.cli.data import list_symbols

    list_symbols(as_json=as_json)


@data_app.command("show")
def data_show(
    symbol: str, timeframe: TimeframeOption = None, simulate: Simulate = False, as_json: AsJson = False
) -> None:
    """Range, source, notes and last bars of a symbol."""
    from evolve.cli.data import show

    show(symbol, timeframe, simulate=simulate, as_json=as_json)


@data_app.command("fetch")
def data_fetch(
    symbol: str,
    source: Annotated[
        str, typer.Option("--source", help="alpaca ccxt polygon stooq tiingo yfinance; it answers or fails.")
    ],
    timeframe: Annotated[str, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w.")] = "1d",
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Default: far enough for evidence.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Inclusive. Default: today.")] = None,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Keep bars though sessions are missing.")] = False,
    replacing: Annotated[bool, typer.Option("--replace", help="Give up bars that are kept already.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Ask again though an answer is at hand.")] = False,
    as_json: AsJson = False,
) -> None:
    """Get bars from a data service and keep them."""
    from evolve.cli.data import fetch

    fetch(
        symbol,
        source,
        timeframe,
        first,
        last,
        allow_gaps=allow_gaps,
        replacing=replacing,
        anew=anew,
        as_json=as_json,
    )


@data_app.command("check")
def data_check(
    symbol: str,
    timeframe: TimeframeOption = None,
    simulate: Simulate = False,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw the chart to a picture too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Gaps, bad ticks and other trouble in a symbol's bars, with a chart; exit code 1 for bad data."""
    from evolve.cli.data import check

    raise typer.Exit(check(symbol, timeframe, simulate=simulate, png=png, as_json=as_json))


@data_app.command("remove")
def data_remove(symbol: str, timeframe: TimeframeOption = None, as_json: AsJson = False) -> None:
    """Forget imported or fetched bars; a symbol of the bundled sample shows that again."""
    from evolve.cli.data import remove

    remove(symbol, timeframe, as_json=as_json)


@data_app.command("import")
def data_import(
    file: Path,
    symbol: Annotated[str, typer.Option("--symbol", help="What to call it.")],
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="Default: found from the stamps.")] = None,
    currency: str = "USD",
    as_json: AsJson = False,
) -> None:
    """Add your own bars from a CSV or Parquet file."""
    from evolve.cli.data import import_bars

    import_bars(file, symbol, timeframe, currency, as_json=as_json)


# --- bus ---


@bus_app.command()
def publish(channel: str, message: str) -> None:
    """PUBLISH a message; prints how many heard it."""
    from evolve.cli.bus import publish as run

    run(channel, message)


@bus_app.command()
def subscribe(
    channels: list[str],
    count: Annotated[int, typer.Option(help="Stop after so many messages; 0: until Ctrl-C.")] = 0,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: until Ctrl-C.")] = 0,
) -> None:
    """Print messages of channels as they come."""
    from evolve.cli.bus import subscribe as run

    run(channels, count, seconds)


@bus_app.command()
def monitor(
    count: Annotated[int, typer.Option(help="Stop after so many messages; 0: until Ctrl-C.")] = 0,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: until Ctrl-C.")] = 0,
) -> None:
    """Print all messages of all services as they come."""
    from evolve.cli.bus import monitor as run

    run(count, seconds)


@bus_app.command("acl")
def bus_acl(
    passwords: Annotated[
        Path | None,
        typer.Option("--passwords", metavar="FILE", help="Where users' passwords are kept; made if it is not there."),
    ] = None,
) -> None:
    """An ACL file for Redis ≥ 7 or Valkey: each service and the client only their own keys and channels."""
    from evolve.cli.bus import print_acl

    print_acl(passwords)


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
def dead_show(service: str, entry: str, as_json: AsJson = False) -> None:
    """One dead letter: reason, attempts, original bytes."""
    from evolve.cli.bus import show_dead

    show_dead(service, entry, as_json=as_json)


@dead_app.command("retry")
def dead_retry(service: str, entry: str) -> None:
    """Put a dead letter back into its queue."""
    from evolve.cli.bus import retry_dead

    retry_dead(service, entry)


@dead_app.command("drop")
def dead_drop(service: str, entry: str) -> None:
    """Delete a dead letter for good."""
    from evolve.cli.bus import drop_dead

    drop_dead(service, entry)


# --- sandbox ---


@sandbox_app.command("run")
def sandbox_run(
    file: Path,
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
) -> None:
    """Which server the default settings mean."""
    from evolve.cli.config import redis

    redis(url)


@setup_app.command("torch")
def setup_torch(
    cpu: Annotated[bool, typer.Option("--cpu", help="The CPU build, even where there is a GPU.")] = False,
) -> None:
    """Install torch for the neural models: the CPU build where there is no GPU."""
    from evolve.cli.setup_torch import run

    run(cpu=cpu)


@schema_app.command("asyncapi")
def schema_asyncapi() -> None:
    """All channels and messages as an AsyncAPI 3 document (JSON)."""
    import json

    from evolve.client.core import all_requests
    from evolve.messaging.asyncapi import document
    from evolve.version import VERSION

    services = {name: list(requests.values()) for name, requests in all_requests().items()}
    typer.echo(json.dumps(document(services, version=VERSION), indent=2))


# --- research ---


@research_app.command("search")
def research_search(
    query: str,
    where: Annotated[str, typer.Option("--in", help="github or arxiv.")] = "arxiv",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 10,
    language: Annotated[str, typer.Option("--language", help="Of repositories; empty for any.")] = "python",
    category: Annotated[str, typer.Option("--category", help="Of papers; empty for any.")] = "q-fin.TR",
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Find papers or repositories; without a network, from the local library."""
    from evolve.cli.research import search

    search(query, where, limit, language=language, category=category, as_json=as_json, timeout=timeout)


@research_app.command("paper")
def research_paper(
    reference: Annotated[str, typer.Argument(help="An address, an arXiv id, owner/repository, a title or a file.")],
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """What a paper or repository claims, in its own sentences."""
    from evolve.cli.research import paper

    paper(reference, as_json=as_json, timeout=timeout)


@research_app.command("replicate")
def research_replicate(
    reference: Annotated[str, typer.Argument(help="An address, an arXiv id, owner/repository, a title or a file.")],
    describe: Annotated[str, typer.Option("--describe", help="The strategy in words, where the text is vague.")] = "",
    symbol: SymbolOption = None,
    timeframe: Annotated[str, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w.")] = "1d",
    second: Annotated[
        str | None,
        typer.Option("--second", metavar="SYMBOL", help="For a strategy of a pair: long --symbol, short this one."),
    ] = None,
    writer: Annotated[
        str,
        typer.Option("--writer", help="template, model (a language model), or auto: a model where one is configured."),
    ] = "auto",
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Write its strategy as code, test that with costs, and compare with what is claimed."""
    from evolve.cli.research import replicate

    replicate(
        reference, describe, symbol, timeframe, second=second, writer=writer, simulate=simulate, as_json=as_json, timeout=timeout
    )  # fmt: skip


@research_app.command("log")
def research_log(
    tag: Annotated[list[str] | None, typer.Option("--tag", help="May be repeated: entries carry all of them.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20,
    note: Annotated[
        tuple[str, str] | None, typer.Option("--note", metavar="ENTRY TEXT", help="Add a note to an entry first.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What was searched, read and tried, with tags, notes and links."""
    from evolve.cli.research import log

    log(tag or [], limit, note, as_json=as_json)
