"""The commands. Each imports what it needs when it runs, so that help and completion stay quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli import CANCELLED
from evolve.cli.groups import GROUPS
from evolve.cli.options import AsJson, Simulate, SymbolOption, TimeframeOption, Timeout

if TYPE_CHECKING:
    from evolve.client.client import ServiceClient

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


# --- questions ---


@app.command()
def ask(
    question: str,
    as_json: AsJson = False,
    simulate: Simulate = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Ask no language model; use what one said before to the same words.")
    ] = False,
    timeout: Timeout = None,
) -> None:
    """Answer a question in plain English, with evidence."""
    from evolve.contracts.quant_gpt import ProcessQuery

    _ask(ProcessQuery, {"query": question, "simulate": simulate, "replay": replay}, as_json, timeout)


@app.command()
def reproduce(answer: str, as_json: AsJson = False, timeout: Timeout = None) -> None:
    """Answer an earlier question again and compare every figure: by the answer's ID, or a FILE made with `ask --json`."""
    import json

    from evolve.contracts.quant_gpt import ProcessQuery
    from evolve.errors import InvalidRequest

    fields: dict[str, Any] = {"query": "", "reproduce": answer}
    path = Path(answer)
    try:
        if path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
            fields = {"query": "", "document": document.get("answer") or document}
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        raise InvalidRequest(f"{path} is not an answer: make one with `evolve ask … --json > {path}`") from None
    except OSError as error:
        raise InvalidRequest(f"cannot read {answer[:80]}: {error.strerror}") from None
    _ask(ProcessQuery, fields, as_json, timeout)


@app.command()
def chat(
    resume: Annotated[bool, typer.Option("--continue", help="Go on with the last conversation.")] = False,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="A conversation by name, new or old.")
    ] = None,
) -> None:
    """Ask one question after the other; follow-ups lean on the ones before, "forget it" ends that."""
    from evolve.chat import converse

    raise typer.Exit(converse(session=session, resume=resume))


@app.command()
def parse(
    question: Annotated[str | None, typer.Argument()] = None,
    as_json: AsJson = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Read {id, query, context[]} lines from standard input.")
    ] = False,
    score: Annotated[
        Path | None, typer.Option("--score", metavar="FILE", help="Score against labelled queries.")
    ] = None,
) -> None:
    """What a question is understood as; runs nothing."""
    from evolve.cli.parse import run

    run(question, as_json=as_json, jsonl=jsonl, score=score)


@app.command()
def history(
    limit: Annotated[int, typer.Option(min=1)] = 20,
    symbol: str | None = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what the services asked of each other to answer it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What was asked and decided, newest first."""
    from evolve.cli.history import run

    run(limit, symbol, everything=everything, as_json=as_json)


# --- models ---


@app.command()
def build(
    model_type: str,
    symbol: str,
    timeframe: TimeframeOption = None,
    feature: Annotated[
        list[str] | None, typer.Option("--feature", help="May be repeated; default: the usual set.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A hyperparameter; may be repeated.")
    ] = None,
    horizon: Annotated[int, typer.Option("--horizon", help="Bars ahead.")] = 1,
    seed: int = 0,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Train even if it is registered.")] = False,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Train a model, test it walk-forward, register it."""
    from evolve.cli.show import print_json, show_model
    from evolve.contracts.model_builder import BuildModel

    fields = {
        "model_type": model_type, "symbol": symbol, "timeframe": timeframe, "features": tuple(feature or ()),
        "hyperparameters": _parameters(param or []), "horizon_bars": horizon, "seed": seed, "rebuild": rebuild,
        "simulate": simulate,
    }  # fmt: skip
    reply = _send(BuildModel, fields, timeout)
    print_json(reply) if as_json else show_model(reply.model_info, found=reply.found)


@app.command()
def evaluate(
    model_id: str,
    symbol: SymbolOption = None,
    timeframe: TimeframeOption = None,
    period: str = "90d",
    metric: Annotated[list[str] | None, typer.Option("--metric", help="May be repeated.")] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Also refit for every choice of tested stretches.")
    ] = False,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Score a model out of sample, net of costs, and test it against luck."""
    from evolve.cli.show import print_json, show_evaluation
    from evolve.contracts.performance_critic import DEFAULT_METRICS, EvaluateModel

    fields = {
        "model_id": model_id, "symbol": symbol, "timeframe": timeframe, "period": period,
        "metrics": tuple(metric or DEFAULT_METRICS), "simulate": simulate, "cross_validated": cross_validate,
    }  # fmt: skip
    reply = _send(EvaluateModel, fields, timeout)
    print_json(reply) if as_json else show_evaluation(reply.evaluation)


@app.command()
def audit(
    target: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="A model's id, or a program of your own.")],
    symbol: SymbolOption = None,
    timeframe: TimeframeOption = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="For a program; may be repeated.")
    ] = None,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Does a model or a program look ahead? The future is changed, and what was decided before must stay."""
    from evolve.cli.audit import request_for, show_audit

    request, fields = request_for(target, symbol, timeframe, _parameters(param or []), simulate=simulate)
    found = _send(request, fields, timeout).audit
    show_audit(found, as_json=as_json)
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def compare(
    model_ids: list[str],
    symbol: SymbolOption = None,
    timeframe: TimeframeOption = None,
    period: str = "90d",
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Rank models and baselines; name a winner only if one earned it."""
    from evolve.cli.show import print_json, show_comparison
    from evolve.contracts.performance_critic import CompareModels

    fields = {
        "model_ids": tuple(model_ids),
        "symbol": symbol,
        "timeframe": timeframe,
        "period": period,
        "simulate": simulate,
    }
    reply = _send(CompareModels, fields, timeout)
    found = reply.comparison
    print_json(reply) if as_json else show_comparison(found.rows, found.trust, found.curves, found.period)


@app.command()
def backtest(
    code: Annotated[Path, typer.Option("--code", metavar="FILE", help="A program with main(input_data).")],
    symbol: Annotated[str, typer.Option("--symbol")],
    timeframe: TimeframeOption = None,
    period: str = "90d",
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="For the strategy; may be repeated.")
    ] = None,
    long_only: Annotated[bool, typer.Option("--long-only", help="SELL means out of the market.")] = False,
    vol_target: Annotated[
        float | None,
        typer.Option("--vol-target", metavar="SHARE", help="Scale positions to this volatility a year; 0.15 is 15 %."),
    ] = None,
    second: Annotated[
        str | None, typer.Option("--second", metavar="SYMBOL", help="Hold the pair: long --symbol, short this one.")
    ] = None,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Score a strategy of your own, bar by bar in the sandbox, with costs and beside the baselines."""
    import sys

    from evolve.cli.sandbox import program, show_backtest
    from evolve.contracts.performance_critic import BacktestStrategy

    fields = {
        "strategy_code": program(code), "strategy_name": code.stem[:64], "symbol": symbol, "timeframe": timeframe,
        "period": period, "parameters": _parameters(param or []), "long_only": long_only, "volatility_target": vol_target, "simulate": simulate,
        "second_symbol": second,
    }  # fmt: skip
    reply = _send(BacktestStrategy, fields, timeout)
    typed = [word for word in sys.argv[1:] if word != "--json"]
    show_backtest(reply, ["evolve", *typed], as_json=as_json)


@app.command()
def models(symbol: str | None = None, timeframe: str | None = None, as_json: AsJson = False) -> None:
    """The registered models, newest first."""
    from evolve.cli.show import console, print_json
    from evolve.contracts.model_builder import ListModels

    reply = _send(ListModels, {"symbol": symbol, "timeframe": timeframe}, None)
    if as_json:
        return print_json(reply)
    output = console()
    for card in reply.models:
        output.print(
            f"{card.model_id:<36} {card.created_at}  data to {card.data.last}{'  SIMULATED' if card.data.simulated else ''}"
        )
    if not reply.models:
        output.print("no models yet: evolve build ridge AAPL")
    return None


# --- models after they were built ---


@app.command()
def promote(
    model_id: str,
    force: Annotated[bool, typer.Option("--force", help="Whatever the evidence says; it is put on record.")] = False,
    reason: str = "asked for",
    as_json: AsJson = False,
) -> None:
    """Put a model in charge of its symbol, if the evidence says so; else show the evidence."""
    from evolve.cli.updates import promote

    promote(model_id, reason, force=force, as_json=as_json)


@app.command()
def rollback(symbol: str, timeframe: str = "1d", reason: str = "asked for", as_json: AsJson = False) -> None:
    """Put the champion before the present one in charge again."""
    from evolve.cli.updates import rollback

    rollback(symbol, timeframe, reason, as_json=as_json)


@app.command()
def retrain(
    model_id: str,
    period: Annotated[str, typer.Option(help="The latest stretch to show old and new on.")] = "30d",
    full: Annotated[bool, typer.Option("--full", help="Walk forward anew, not one fit only.")] = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Train a model's recipe again on all bars there are now."""
    from evolve.cli.updates import retrain

    retrain(model_id, period, full=full, as_json=as_json, timeout=timeout)


@app.command()
def update(
    symbol: str,
    timeframe: str = "1d",
    check: Annotated[bool, typer.Option("--check", help="Only look, change nothing.")] = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """One round over a symbol's models: roll back, promote, retire, look for drift, retrain."""
    from evolve.cli.updates import update

    update(symbol, timeframe, "check" if check else "smart", as_json=as_json, timeout=timeout)


# --- pictures ---


@app.command()
def plot(
    plot_type: str,
    source: Annotated[str, typer.Argument()] = "backtest_results",
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    format: Annotated[str, typer.Option(help="png, svg or html.")] = "png",
    timeframe: TimeframeOption = None,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Draw a chart of a model, answer, evaluation or symbol."""
    from evolve.cli.pictures import draw

    draw(_send, plot_type, source, theme, format, timeframe, simulate, as_json=as_json, timeout=timeout)


@app.command()
def report(
    source: str, theme: str = "light", simulate: Simulate = False, as_json: AsJson = False, timeout: Timeout = None
) -> None:
    """One page about a model, answer, evaluation or symbol: verdict, charts, figures; opens from disk."""
    from evolve.cli.pictures import report

    report(_send, source, theme, simulate, as_json=as_json, timeout=timeout)


@app.command("read-chart")
def read_chart(
    image: Path,
    analysis: Annotated[str, typer.Option(help="general, line or candlestick.")] = "general",
    calibrate: Annotated[
        list[str] | None, typer.Option("--y", metavar="PIXEL=VALUE", help="A row and its value; give two or more.")
    ] = None,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Recover curves, return, drawdown, volatility and trend from the picture of a chart."""
    from evolve.cli.pictures import read

    read(_send, image, analysis, calibrate or [], as_json=as_json, timeout=timeout)


# --- services ---


@app.command()
def up(
    redis_port: Annotated[
        int | None,
        typer.Option("--redis-port", min=1, max=65_535, help="Open the embedded server on TCP (localhost) too."),
    ] = None,
    replicas: int = 1,
) -> None:
    """Start everything: server, supervisor, services."""
    from evolve.manager.manager import ServiceManager

    with ServiceManager() as manager:
        _print_status(manager.up(redis_port=redis_port or 0, replicas=replicas))
        typer.echo(f"server: {manager.get_manager_stats()['server']}")
    from evolve.cli.bus import hazards

    for hazard in hazards():
        typer.echo(f"warning: {hazard}", err=True)


@app.command()
def down() -> None:
    """Stop everything of this home: services, supervisor, embedded server."""
    from evolve.manager.manager import ServiceManager

    with ServiceManager() as manager:
        stopped = manager.down()
    typer.echo(f"stopped: {', '.join(stopped['stopped']) or 'no service was running'}")
    if stopped["embedded_server_stopped"]:
        typer.echo("stopped: embedded server")


@app.command()
def status(as_json: AsJson = False) -> None:
    """What runs, where it logs, and how to reach the server."""
    import json

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
    typer.echo(f"home:   {stats['home']}")


@app.command()
def ping(
    service: str,
    here: Annotated[
        bool, typer.Option("--here", help="Only a replica on this host counts, as for a container's probe.")
    ] = False,
) -> None:
    """Whether a service answers; exit code 1 if not."""
    import time

    from evolve.errors import error_for

    if here:
        from evolve.cli.probe import replica_here

        typer.echo(f"{service} serves on this host (replica {replica_here(service)})")
        return
    with _client() as client:
        client.ping_service(service)  # connects: the user wants the service's time, not that of this program's start
        started = time.perf_counter()
        found = client.ping_service(service)
        took_ms = 1000 * (time.perf_counter() - started)
    if found["status"] != "success":
        raise error_for(found["code"])(found["error"])
    typer.echo(f"{service} answers ({took_ms:.1f} ms, replica {found['replica']})")


@app.command()
def reply(service: str, request_id: str) -> None:
    """The late reply to a request that timed out."""
    import json

    with _client() as client:
        found = client.get_reply(request_id, service)
    if found is None:
        typer.echo(f"{service} has no reply to {request_id} yet (or no longer)", err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps(found, indent=2))
    if found["status"] != "success":
        raise typer.Exit(1)


@app.command()
def cancel(service: str, request_id: str) -> None:
    """Withdraw a request, queued or running."""
    with _client() as client:
        withdrawn = client.cancel(request_id, service)
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
    from evolve.cli.show import watch
    from evolve.messaging.messages import validated
    from evolve.quant_gpt import start_missing
    from evolve.settings import Settings

    typed = validated(request, fields)
    for line in start_missing(Settings.load(), idle_stop=True):
        typer.echo(line, err=True)
    try:
        with _client() as client, watch() as on_progress:
            return client.ask(typed, timeout=timeout, on_progress=on_progress)
    except KeyboardInterrupt:
        # By now the client has withdrawn the request, so the job behind it is gone too.
        typer.echo("cancelled; the job was stopped too", err=True)
        raise typer.Exit(CANCELLED) from None


def _answered(call: Any) -> None:
    import json

    with _client() as client:
        found = call(client)
    typer.echo(json.dumps(found, indent=2))
    if found["status"] != "success":
        raise typer.Exit(1)


def _parameters(words: list[str]) -> dict[str, Any]:
    import json

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


def _print_status(services: dict[str, Any]) -> None:
    for name, entry in services.items():
        pids = ", ".join(map(str, entry["pids"]))
        typer.echo(
            f"{name:<20} {entry['status']:<9} {('pid ' + pids) if pids else '':<18} restarts {entry['restarts']}  {entry['log']}"
        )
