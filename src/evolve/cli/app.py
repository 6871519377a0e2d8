"""The commands. Each imports what it needs when it runs, so that help and completion stay quick."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli import CANCELLED, state
from evolve.cli import model_commands as models
from evolve.cli import question_commands as questions
from evolve.cli.capacity import capacity
from evolve.cli.groups import GROUPS
from evolve.cli.options import AlwaysJson, AsJson, RequestId, ServiceName
from evolve.cli.scale import scale
from evolve.cli.sweep import sweep

if TYPE_CHECKING:
    from evolve.client.client import ServiceClient
    from evolve.manager.manager import ServiceManager

app = typer.Typer(
    name="evolve",
    help="Is there a model worth trusting for this symbol? Evidence, not opinion.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
for command in (
    questions.ask, questions.reproduce, questions.chat, questions.parse, questions.history,
    models.build, models.evaluate, models.audit, models.compare, models.backtest,
    models.promote, models.rollback, models.retrain, models.update, models.plot, models.report,
    state.migrate, state.backup, state.restore, state.tidy, sweep, scale, capacity,
):  # fmt: skip
    app.command()(command)
app.command("read-chart")(models.read_chart)


# --- services ---


@app.command()
def up(
    as_json: AsJson = False,
    redis_port: Annotated[
        int | None,
        typer.Option("--redis-port", min=1, max=65_535, help="Open the embedded server on TCP (localhost) too."),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, max=64, help="Of each service.")] = 1,
    web: Annotated[bool, typer.Option(help="The web server too.")] = True,
) -> None:
    """Start everything: server, supervisor, services, web server."""
    from evolve.cli.show import busy
    from evolve.manager.manager import ServiceManager

    with busy("starting"), ServiceManager() as manager:
        services = manager.up(redis_port=redis_port or 0, replicas=replicas)
        refused = _serve_web(manager) if web else ""
        stats = manager.get_manager_stats()
    if as_json:
        typer.echo(json.dumps(stats, indent=2))
        return
    _print_status(services)
    typer.echo(f"server: {stats['server']}")
    _print_web(stats["web"])
    if refused:
        typer.echo(f"warning: {refused}", err=True)
    from evolve.cli.bus import hazards

    for hazard in hazards():
        typer.echo(f"warning: {hazard}", err=True)


@app.command()
def mcp(
    http: Annotated[bool, typer.Option("--http", help="Over HTTP instead of standard input and output.")] = False,
    host: Annotated[str, typer.Option(help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="With --http; 0 takes a free one.")] = 8766,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="With --http: a name it is reached by; repeatable."),
    ] = None,
    allow_run: Annotated[
        bool, typer.Option("--allow-run", help="Let the assistant start work and change things.")
    ] = False,
    limit: Annotated[
        float | None, typer.Option("--limit", min=1, metavar="SECONDS", help="The longest wait for one call.")
    ] = None,
) -> None:
    """Serve AI assistants over the Model Context Protocol; read-only unless told otherwise."""
    from evolve.cli.mcp import serve

    serve(http=http, host=host, port=port, names=name or (), allow_run=allow_run, limit_s=limit)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop everything of this home: services, supervisor, embedded server."""
    from evolve.cli.show import busy
    from evolve.manager.manager import ServiceManager

    with busy("stopping"), ServiceManager() as manager:
        stopped = manager.down()
    if as_json:
        typer.echo(json.dumps(stopped, indent=2))
        return
    typer.echo(f"stopped: {', '.join(stopped['stopped']) or 'no service was running'}")
    if stopped["embedded_server_stopped"]:
        typer.echo("stopped: embedded server")


@app.command()
def status(as_json: AsJson = False) -> None:
    """What runs, where it logs, and how to reach the server."""
    from evolve.manager.manager import ServiceManager

    with ServiceManager() as manager:
        stats = manager.get_manager_stats()
    if as_json:
        typer.echo(json.dumps(stats, indent=2))
        return
    _print_status(stats["services"])
    typer.echo(
        f"server: {stats['server']}" if stats["server_running"] else "server: not running; `evolve up` starts it"
    )
    _print_web(stats["web"])
    typer.echo(f"home:   {stats['home']}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Default: EVOLVE_WEB_HOST or 127.0.0.1; others need tokens.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Default: EVOLVE_WEB_PORT or 8765; 0: any free one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pages and HTTP API in the foreground; `evolve up` has them in the background."""
    from evolve.cli.serve import run

    raise typer.Exit(run(host, port, as_json=as_json))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is wrong here and how to mend each; starts nothing. Exit code 1 where something must be mended."""
    from evolve.cli.doctor import run

    raise typer.Exit(run(as_json=as_json))


@app.command()
def top(
    every: Annotated[float, typer.Option("--every", min=0.2, max=60.0, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """What every service is doing: live on a terminal, once elsewhere."""
    from evolve.cli.top import show_top

    show_top(every, once, as_json)


@app.command()
def trace(request_id: RequestId, as_json: AsJson = False) -> None:
    """The life of one request and of those it led to, from the logs of all services."""
    from evolve.cli.trace import show_trace

    show_trace(request_id, as_json)


@app.command()
def ping(
    service: ServiceName,
    here: Annotated[
        bool, typer.Option("--here", help="Only a replica on this host counts, as for a container's probe.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Whether a service answers; exit code 1 if not."""
    import time

    from evolve.errors import error_for

    if here:
        from evolve.cli.probe import replica_here

        replica = replica_here(service)
        said = json.dumps({"service": service, "replica": replica}, indent=2)
        typer.echo(said if as_json else f"{service} serves on this host (replica {replica})")
        return
    with _client() as client:
        client.ping_service(service)  # connects: the user wants the service's time, not that of this program's start
        started = time.perf_counter()
        found = client.ping_service(service)
        took_ms = 1000 * (time.perf_counter() - started)
    if found["status"] != "success":
        raise error_for(found["code"])(found["error"])
    if as_json:
        typer.echo(json.dumps({"service": service, "replica": found["replica"], "ms": round(took_ms, 3)}, indent=2))
        return
    typer.echo(f"{service} answers ({took_ms:.1f} ms, replica {found['replica']})")


@app.command()
def reply(service: ServiceName, request_id: RequestId, as_json: AlwaysJson = True) -> None:
    """The late reply to a request that timed out."""
    del as_json
    with _client() as client:
        found = client.get_reply(request_id, service)
    if found is None:
        typer.echo(f"{service} has no reply to {request_id} yet (or no longer)", err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps(found, indent=2))
    if found["status"] != "success":
        raise typer.Exit(1)


@app.command()
def cancel(service: ServiceName, request_id: RequestId, as_json: AsJson = False) -> None:
    """Withdraw a request, queued or running."""
    with _client() as client:
        withdrawn = client.cancel(request_id, service)
    if as_json:
        typer.echo(json.dumps({"service": service, "request_id": request_id, "withdrawn": withdrawn}, indent=2))
        return
    typer.echo("cancelled, if it was queued or running" if withdrawn else "it was done already")


# --- what several of them need ---


def _client() -> ServiceClient:
    from evolve.client.client import ServiceClient

    return ServiceClient()


def _ask(request: Any, fields: dict[str, Any], as_json: bool, timeout: float | None) -> None:
    from evolve.cli.show import print_json, show_query_result

    result = _send(request, fields, timeout).result
    if as_json:
        print_json(result)
    else:
        show_query_result(result)
    if result.status == "error" or not result.results.get("reproduction", {}).get("identical", True):
        raise typer.Exit(1)


def _send(request: Any, fields: dict[str, Any], timeout: float | None) -> Any:
    """The typed reply; starts what is missing first, shows progress, and cancels the job on Ctrl-C."""
    from evolve.cli.show import busy, watch
    from evolve.messaging.messages import validated
    from evolve.quant_gpt import start_missing
    from evolve.settings import Settings

    typed = validated(request, fields)
    with busy("looking for the services"):
        started = start_missing(Settings.load(), idle_stop=True)
    for line in started:
        typer.echo(line, err=True)
    try:
        with _client() as client, watch() as on_progress:
            return client.ask(typed, timeout=timeout, on_progress=on_progress)
    except KeyboardInterrupt:
        # By now the client has withdrawn the request, so the job behind it is gone too.
        typer.echo("cancelled; the job was stopped too", err=True)
        raise typer.Exit(CANCELLED) from None


def _parameters(words: list[str]) -> dict[str, Any]:
    from evolve.errors import InvalidRequest

    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"--param takes NAME=VALUE, such as --param max_depth=2, not {word!r}")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def _serve_web(manager: ServiceManager) -> str:
    """Why there is no web server, if so: the services run all the same."""
    from evolve.errors import Unavailable

    try:
        manager.serve_web()
    except Unavailable as error:
        return error.message
    return ""


def _print_web(servers: list[dict[str, Any]]) -> None:
    for server in servers:
        typer.echo(f"web:    {server['login'] or server['url']}")
    if not servers:
        typer.echo("web:    not running; `evolve up` or `evolve serve` starts it")


def _print_status(services: dict[str, Any]) -> None:
    for name, entry in services.items():
        pids = ", ".join(map(str, entry["pids"]))
        typer.echo(
            f"{name:<20} {entry['status']:<9} {('pid ' + pids) if pids else '':<18} restarts {entry['restarts']}  {entry['log']}"
        )
        if "scale" in entry:
            typer.echo(f"{'':<20} scaled to {entry['scale']}{': ' * bool(entry['scaled'])}{entry['scaled']}")
