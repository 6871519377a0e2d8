"""Whom does this home tell about what, as far as a browser may decide it? Rules, a try of one, and what was told.

Secrets are neither shown nor taken here. What signs a webhook, an address that is a secret itself, the mail server and the bot stand in
the settings, in files or in the environment of the services, where `evolve alerts` of who may write them puts them. So a rule made here
names a mail address, a chat, or a plain public webhook; never a file or a variable of this machine, and nothing on its own network.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from evolve.alerts import Alert, AlertKind, AlertRule, Channel, Queued
from evolve.clock import SYSTEM_CLOCK
from evolve.errors import InvalidRequest
from evolve.services import service_path
from evolve.settings import Settings
from evolve.web.bars import MayBeNone
from evolve.web.record import put_on_trail

if TYPE_CHECKING:
    from evolve.memory.alerts import AlertBook

Value = TypeVar("Value")
ELSEWHERE = ("file:", "env:")  # where a secret stands


class AlertOrder(BaseModel):
    """A rule to make. above, below: null for what suits its kind; symbol, timeframe, service: empty for all. quiet: `22:00-07:00`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, examples=["drift-mail"])
    kind: AlertKind
    channel: Channel
    target: str = Field(min_length=1, max_length=1_000, examples=["me@example.org"])
    symbol: str = Field("", max_length=20)
    timeframe: str = Field("", max_length=4)
    service: str = Field("", max_length=64)
    above: Annotated[float | None, MayBeNone] = Field(None, gt=0)
    below: Annotated[float | None, MayBeNone] = Field(None, ge=0)
    confirm: int = Field(1, ge=1, le=100)
    quiet: str = Field("", max_length=11)
    timezone: Annotated[str, BeforeValidator(lambda value: value or "UTC")] = Field("UTC", max_length=64)
    per_hour: int = Field(12, ge=1, le=1_000)
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Tried:
    """Whether a test arrived, and why not."""

    rule: str
    alert_id: str
    delivered: bool
    why: str


def limits() -> dict[AlertKind, tuple[float, float]]:
    """What raises a rule of each kind, and what ends it, unless told otherwise."""
    from evolve.alerting.rules import LIMITS

    return LIMITS


async def rules(settings: Settings) -> tuple[AlertRule, ...]:
    return await _with_book(settings, lambda book: book.rules())


async def told(settings: Settings, limit: int) -> tuple[Queued, ...]:
    """What was told, waits to be, or could not be, newest first."""
    return await _with_book(settings, lambda book: tuple(book.log(limit=limit)))


async def add(request: Request, settings: Settings, order: AlertOrder) -> AlertRule:
    """Raises InvalidRequest for a rule that cannot be, or may not be made from afar."""
    rule = await run_in_threadpool(_rule, order)
    await put_on_trail(
        request, settings, "alert_added", rule=rule.name, kind=rule.kind, channel=rule.channel, target=rule.target
    )
    await _with_book(settings, lambda book: book.add(rule))
    return rule


async def remove(request: Request, settings: Settings, name: str) -> None:
    """Raises InvalidRequest when there is no such rule."""
    await _with_book(settings, lambda book: book.rule(name))
    await put_on_trail(request, settings, "alert_removed", rule=name)
    await _with_book(settings, lambda book: book.remove(name))


async def attempt(request: Request, settings: Settings, name: str) -> Tried:
    """Send one alert by a rule now. Raises InvalidRequest when there is no such rule."""
    rule = await _with_book(settings, lambda book: book.rule(name))
    await put_on_trail(request, settings, "alert_tried", rule=name)

    def work() -> Tried:
        from evolve.alerting.couriers import Delivered
        from evolve.alerting.delivery import deliver

        now = SYSTEM_CLOCK.now()
        said = "This is what an alert of this rule looks like; nothing has happened."
        alert = Alert(uuid.uuid4().hex, name, rule.kind, "test", "test", f"Test of {name}", said, 0.0, now)
        outcome = deliver(rule, alert, settings, now=now)
        if isinstance(outcome, Delivered):
            return Tried(name, alert.alert_id, True, "")
        return Tried(name, alert.alert_id, False, outcome.why)

    return await run_in_threadpool(work)


def shown(rule: AlertRule) -> dict[str, Any]:
    """A rule as it may be seen: not where its secrets stand."""
    fields = asdict(rule)
    if rule.target.startswith(ELSEWHERE):
        fields["target"] = f"(from {rule.target.partition(':')[0]})"
    fields["secret"] = bool(rule.secret)
    return fields


def _rule(order: AlertOrder) -> AlertRule:
    from evolve.alerting.rules import LIMITS, check_rule
    from evolve.market.types import parse_symbol

    if order.target.strip().startswith(ELSEWHERE):
        raise InvalidRequest(
            "an address that stands in a file or a variable of this machine is named by `evolve alerts add`, on the machine"
        )
    if order.service:
        service_path(order.service)
    try:
        symbol = parse_symbol(order.symbol) if order.symbol else ""
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    high, low = LIMITS[order.kind]
    high = high if order.above is None else order.above
    rule = AlertRule(
        order.name, order.kind, order.channel, order.target.strip(), "", symbol, order.timeframe, order.service, high,
        min(low, high) if order.below is None else order.below, order.confirm, order.quiet, order.timezone, order.per_hour,
        order.ends, False, SYSTEM_CLOCK.now(),
    )  # fmt: skip
    check_rule(rule)
    return rule


async def _with_book(settings: Settings, work: Callable[[AlertBook], Value]) -> Value:
    def opened() -> Value:
        from evolve.memory.alerts import AlertBook
        from evolve.memory.database import Database

        with Database.open(settings) as database:
            return work(AlertBook(database))

    return await run_in_threadpool(opened)
