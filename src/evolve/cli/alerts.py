"""`evolve alerts`: whom to tell about signals, drift and failing services, and what was told.

Rules are kept in this home's database by whoever may write it, not by message: who may name an address that this machine then talks to
is the operator's business alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import AsJson, RuleName

if TYPE_CHECKING:
    from evolve.alerts import AlertRule, Channel, Queued
    from evolve.memory.alerts import AlertBook

alerts_app = typer.Typer(
    help="Be told of signals, drift and failing services: by webhook, e-mail or Telegram.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip


@alerts_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What to call the rule.")],
    on: Annotated[str, typer.Option("--on", help="signal drift crash queue_age dead_letters.")],
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Or file:/PATH, env:NAME where the address is a secret.")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="One; by EVOLVE_SMTP_HOST.")] = None,
    telegram: Annotated[str | None, typer.Option("--telegram", metavar="CHAT", help="A chat's number, or @channel.")] = None,
    secret: Annotated[
        str, typer.Option("--secret", metavar="WHERE", help="The key that signs a webhook: file:/PATH or env:NAME.")
    ] = "",
    symbol: Annotated[str, typer.Option("--symbol", help="For signal and drift; default: every watched one.")] = "",
    timeframe: Annotated[str, typer.Option("--timeframe", help="For signal and drift; default: all.")] = "",
    service: Annotated[str, typer.Option("--service", help="For the others; default: every service.")] = "",
    above: Annotated[float | None, typer.Option("--above", help="Raise it from this value on; see docs/alerts.md.")] = None,
    below: Annotated[float | None, typer.Option("--below", help="It is over at this value.")] = None,
    confirm: Annotated[int, typer.Option("--confirm", min=1, max=100, help="Looks in a row that must agree.")] = 1,
    quiet: Annotated[str, typer.Option("--quiet", metavar="HH:MM-HH:MM", help="Tell nothing then, but afterwards.")] = "",
    timezone: Annotated[str, typer.Option("--timezone", help="Of the quiet hours, such as America/New_York.")] = "UTC",
    per_hour: Annotated[int, typer.Option("--per-hour", min=1, max=1000, help="At most so many; more wait.")] = 12,
    ends: Annotated[bool, typer.Option("--ends/--no-ends", help="Also tell when it is over.")] = True,
    private: Annotated[bool, typer.Option("--private", help="The webhook may be on this machine or its network.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a rule; `evolve alerts test NAME` then tries it."""
    from evolve.alerting.rules import LIMITS, check_rule
    from evolve.clock import SYSTEM_CLOCK
    from evolve.errors import InvalidRequest

    kind = next((each for each in LIMITS if each == on), None)
    if kind is None:
        raise InvalidRequest(f"--on takes {', '.join(LIMITS)}, not {on!r}")
    channel, target = _target(webhook, email, telegram)
    high, low = LIMITS[kind]
    high = high if above is None else above
    from evolve.alerts import AlertRule

    rule = AlertRule(
        name, kind, channel, target, secret, _symbol(symbol), timeframe, _service(service), high,
        min(low, high) if below is None else below, confirm, quiet, timezone, per_hour, ends, private,
        SYSTEM_CLOCK.now(),
    )  # fmt: skip
    check_rule(rule)
    with _book() as book:
        book.add(rule)
    if as_json:
        print(json.dumps(asdict(rule), indent=2))
        return
    typer.echo(_line(rule))
    typer.echo(f"next: evolve alerts test {name}")


@alerts_app.command("list")
def list_rules(as_json: AsJson = False) -> None:
    """The rules there are."""
    with _book() as book:
        rules = book.rules()
    if as_json:
        print(json.dumps([asdict(rule) for rule in rules], indent=2))
        return
    for rule in rules:
        typer.echo(_line(rule))
    if not rules:
        typer.echo("no rules yet: evolve alerts add mine --on drift --email me@example.org")


@alerts_app.command("remove")
def remove(name: RuleName, as_json: AsJson = False) -> None:
    """Forget a rule; what waits to be sent by it is not sent."""
    with _book() as book:
        book.remove(name)
    print(json.dumps({"removed": name}) if as_json else f"removed {name}")


@alerts_app.command("test")
def try_rule(name: RuleName, as_json: AsJson = False) -> None:
    """Send one alert by a rule now, quiet hours or not; exit code 1 and why where it does not arrive."""
    import uuid

    from evolve.alerting.couriers import Delivered
    from evolve.alerting.delivery import deliver
    from evolve.alerts import Alert
    from evolve.cli.show import busy
    from evolve.clock import SYSTEM_CLOCK
    from evolve.settings import Settings

    with _book() as book:
        rule = book.rule(name)
    now = SYSTEM_CLOCK.now()
    said = "This is what an alert of this rule looks like; nothing has happened."
    alert = Alert(uuid.uuid4().hex, name, rule.kind, "test", "test", f"Test of {name}", said, 0.0, now)
    with busy(f"waiting for {rule.channel}"):
        outcome = deliver(rule, alert, Settings.load(), now=now)
    delivered = isinstance(outcome, Delivered)
    why = "" if isinstance(outcome, Delivered) else outcome.why
    if as_json:
        print(json.dumps({"rule": name, "alert_id": alert.alert_id, "delivered": delivered, "why": why}, indent=2))
    else:
        typer.echo(f"sent by {rule.channel}" if delivered else f"not sent by {rule.channel}: {why}", err=not delivered)
    if not delivered:
        raise typer.Exit(1)


@alerts_app.command("log")
def log(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 20,
    failed: Annotated[bool, typer.Option("--failed", help="Only what could not be told.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was told, waits to be, or could not be, newest first."""
    with _book() as book:
        found = book.log(limit=limit, state="failed" if failed else None)
    if as_json:
        print(json.dumps([asdict(queued) for queued in found], indent=2))
        return
    for queued in found:
        typer.echo(_told(queued))
    if not found:
        typer.echo("nothing has been told yet")


@contextmanager
def _book() -> Iterator[AlertBook]:
    from evolve.memory.alerts import AlertBook
    from evolve.memory.database import Database
    from evolve.settings import Settings

    with Database.open(Settings.load()) as database:
        yield AlertBook(database)


def _target(webhook: str | None, email: str | None, telegram: str | None) -> tuple[Channel, str]:
    from evolve.errors import InvalidRequest

    named: tuple[tuple[Channel, str | None], ...] = (("webhook", webhook), ("email", email), ("telegram", telegram))
    given = [(channel, each) for channel, each in named if each]
    if len(given) != 1:
        raise InvalidRequest("say where to: one of --webhook URL, --email ADDRESS and --telegram CHAT")
    return given[0]


def _symbol(text: str) -> str:
    from evolve.errors import InvalidRequest
    from evolve.market.types import parse_symbol

    try:
        return parse_symbol(text) if text else ""
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _service(name: str) -> str:
    from evolve.services import service_path

    if name:
        service_path(name)
    return name


def _line(rule: AlertRule) -> str:
    about = " ".join(filter(None, (rule.symbol, rule.timeframe, rule.service))) or "all"
    quiet = f", quiet {rule.quiet} {rule.timezone}" if rule.quiet else ""
    return f"{rule.name}: {rule.kind} of {about} from {rule.raise_at:g} until {rule.clear_at:g} → {rule.channel} {rule.target}{quiet}"


def _told(queued: Queued) -> str:
    from evolve.clock import iso

    alert = queued.alert
    when = {"sent": f"sent {iso(queued.sent_at)}", "waiting": f"waiting until {iso(queued.due)}"}.get(
        queued.state, queued.state
    )
    tries = f" after {queued.attempts} attempts" if queued.attempts > 1 else ""
    why = f": {queued.error}" if queued.error else ""
    return f"{iso(alert.at)}  {alert.rule}  {alert.title}  [{when}{tries}{why}]"
