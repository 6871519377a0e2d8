"""Who is told when a model changes its side, drifts, or a service fails? Rules, a try of each, and what was told."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.alerts import AlertRule, Channel
from evolve.errors import EvolveError
from evolve.market.types import TIMEFRAMES
from evolve.services import SERVICES
from evolve.settings import Settings
from evolve.web import alert_rules
from evolve.web.access import require
from evolve.web.pages import frame
from evolve.web.problems import status_of
from evolve.web.record import order_of

router = APIRouter(route_class=frame.PageRoute)
TOLD: Final = 50
ABOUT: Final = {
    "signal": "a watched champion changes its side",
    "drift": "a watched model drifts",
    "crash": "a service crashes",
    "queue_age": "a request waits long",
    "dead_letters": "a request could not be answered",
}
TEXTS: Final = (
    "name",
    "kind",
    "channel",
    "target",
    "symbol",
    "timeframe",
    "service",
    "above",
    "below",
    "quiet",
    "timezone",
)


@router.get("/alerts")
async def alerts_page(request: Request) -> Response:
    require(request, "admin")
    return await _page(request)


@router.post("/alerts")
async def add(request: Request) -> Response:
    require(request, "admin")
    form = await frame.form_of(request)
    given: dict[str, Any] = {name: form.get(name, "").strip() for name in TEXTS}
    given |= {
        "confirm": form.get("confirm") or 1,
        "per_hour": form.get("per_hour") or 12,
        "ends": form.get("ends") == "1",
    }
    try:
        rule = await alert_rules.add(request, frame.settings_of(request), order_of(alert_rules.AlertOrder, given))
    except EvolveError as error:
        return await _page(request, given=form, error=error)
    return frame.see(f"/alerts?made={rule.name}")


@router.post("/alerts/{name}/remove")
async def remove(request: Request, name: str) -> Response:
    require(request, "admin")
    await alert_rules.remove(request, frame.settings_of(request), name)
    return frame.see("/alerts")


@router.post("/alerts/{name}/test")
async def attempt(request: Request, name: str) -> Response:
    require(request, "admin")
    return await _page(request, tried=await alert_rules.attempt(request, frame.settings_of(request), name))


async def _page(
    request: Request,
    *,
    given: dict[str, str] | None = None,
    error: EvolveError | None = None,
    tried: alert_rules.Tried | None = None,
) -> Response:
    settings = frame.settings_of(request)
    rules, told = await alert_rules.rules(settings), await alert_rules.told(settings, TOLD)
    return frame.page(
        request, "alerts.html", status=200 if error is None else status_of(error.code), rules=[(rule, _whom(rule)) for rule in rules],
        told=told, tried=tried, error=error, given=given or {}, about=ABOUT, limits=alert_rules.limits(), ready=_ready(settings),
        services=tuple(SERVICES), timeframes=TIMEFRAMES, made=request.query_params.get("made", ""),
    )  # fmt: skip


def _whom(rule: AlertRule) -> str:
    return str(alert_rules.shown(rule)["target"])


def _ready(settings: Settings) -> dict[Channel, str]:
    """Each channel, and what it still lacks in the settings of this server; never what it has."""
    mail = "" if settings.smtp_host else "no mail server: set EVOLVE_SMTP_HOST and start the services again"
    bot = settings.telegram_token or settings.telegram_token_file
    chat = "" if bot else "no bot: set EVOLVE_TELEGRAM_TOKEN_FILE and start the services again"
    return {"email": mail, "telegram": chat, "webhook": ""}
