"""What does the API do for the home itself, beside its messages? Bars, alerts, the doctor, logs, all services at once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from evolve.errors import InvalidRequest
from evolve.settings import Settings
from evolve.web import alert_rules, bars, home_care
from evolve.web.access import require
from evolve.web.home_care import Order
from evolve.web.message_routes import PREFIX, Endpoint, body_of, json_response, route
from evolve.web.paging import whole_number
from evolve.web.record import order_of
from evolve.web.uploads import sent_file

NAMELESS = "bars"  # of a file that was sent without a name
IMPORT_FIELDS = ("timeframe", "currency", "name")


class HomeRoutes:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def routes(self) -> list[Route]:
        data, alerts = f"{PREFIX}/data", f"{PREFIX}/alerts"
        return [
            route(data, self.list_bars, "GET", name="list_bars"),
            route(f"{data}/{{symbol}}", self.remove_bars, "DELETE", name="remove_bars"),
            route(f"{data}/{{symbol}}/import", self.import_bars, "POST", name="import_bars"),
            route(f"{data}/{{symbol}}/fetch", self.fetch_bars, "POST", name="fetch_bars"),
            route(alerts, self.list_alerts, "GET", name="list_alerts"),
            route(alerts, self.add_alert, "POST", name="add_alert"),
            route(f"{alerts}/{{name}}", self.remove_alert, "DELETE", name="remove_alert"),
            route(f"{alerts}/{{name}}/test", self.test_alert, "POST", name="test_alert"),
            route(f"{PREFIX}/alert-log", self.alert_log, "GET", name="get_alert_log"),
            route(f"{PREFIX}/doctor", self.doctor, "GET", name="get_doctor"),
            route(f"{PREFIX}/services/{{service}}/log", self.log, "GET", name="get_service_log"),
            route(f"{PREFIX}/all-services/start", self._ordered("start"), "POST", name="start_all_services"),
            route(f"{PREFIX}/all-services/stop", self._ordered("stop"), "POST", name="stop_all_services"),
        ]

    # --- bars ---

    async def list_bars(self, http: HttpRequest) -> Response:
        require(http, "read")
        found = [asdict(each) for each in await bars.listed(self._settings)]
        return json_response({"symbols": found, "count": len(found)})

    async def import_bars(self, http: HttpRequest) -> Response:
        """The body is the file itself; what it holds is said in the address."""
        require(http, "admin")
        query = dict(http.query_params)
        if unknown := sorted(set(query) - set(IMPORT_FIELDS)):
            raise InvalidRequest(f"there is no parameter {unknown[0][:40]!r}; there are {', '.join(IMPORT_FIELDS)}")
        name = query.pop("name", "") or NAMELESS
        order = order_of(bars.ImportOrder, {**query, "symbol": http.path_params["symbol"]})
        async with sent_file(http, self._settings, name) as path:
            return _kept(await bars.import_file(http, self._settings, path, order))

    async def fetch_bars(self, http: HttpRequest) -> Response:
        require(http, "admin")
        order = order_of(bars.FetchOrder, await self._body(http))
        return _kept(await bars.fetch(http, self._settings, http.path_params["symbol"], order))

    async def remove_bars(self, http: HttpRequest) -> Response:
        require(http, "admin")
        found = await bars.remove(
            http, self._settings, http.path_params["symbol"], http.query_params.get("timeframe") or None
        )
        return json_response({"removed": [asdict(each) for each in found]})

    # --- alerts ---

    async def list_alerts(self, http: HttpRequest) -> Response:
        require(http, "admin")
        found = [alert_rules.shown(rule) for rule in await alert_rules.rules(self._settings)]
        return json_response({"rules": found, "count": len(found)})

    async def add_alert(self, http: HttpRequest) -> Response:
        require(http, "admin")
        order = order_of(alert_rules.AlertOrder, await self._body(http))
        return json_response(alert_rules.shown(await alert_rules.add(http, self._settings, order)), 201)

    async def remove_alert(self, http: HttpRequest) -> Response:
        require(http, "admin")
        await alert_rules.remove(http, self._settings, http.path_params["name"])
        return Response(status_code=204)

    async def test_alert(self, http: HttpRequest) -> Response:
        """Whether it arrived is the answer, either way."""
        require(http, "admin")
        return json_response(asdict(await alert_rules.attempt(http, self._settings, http.path_params["name"])))

    async def alert_log(self, http: HttpRequest) -> Response:
        require(http, "admin")
        limit = whole_number(http.query_params.get("limit"), "limit", 50, at_most=1_000)
        found = [asdict(each) for each in await alert_rules.told(self._settings, limit)]
        return json_response({"alerts": found, "count": len(found)})

    # --- the home ---

    async def doctor(self, http: HttpRequest) -> Response:
        require(http, "admin")
        state, found = await home_care.findings(self._settings)
        return json_response({"state": state, "findings": [asdict(each) | {"help": each.help} for each in found]})

    async def log(self, http: HttpRequest) -> Response:
        require(http, "admin")
        lines = whole_number(http.query_params.get("lines"), "lines", home_care.LINES, at_most=5_000)
        return json_response(asdict(await home_care.tail(self._settings, http.path_params["service"], lines)))

    def _ordered(self, order: Order) -> Endpoint:
        async def endpoint(http: HttpRequest) -> Response:
            require(http, "admin")
            found = await home_care.ordered(http, self._settings, order, None)
            rows = [{"service": name, **state} for name, state in found.items()]
            return json_response({"services": rows, "count": len(rows)})

        return endpoint

    async def _body(self, http: HttpRequest) -> object:
        return await body_of(http, self._settings.max_message_bytes)


def _kept(kept: bars.BarsKept) -> Response:
    report: dict[str, Any] = asdict(kept.report)
    return json_response(
        {"card": asdict(kept.card), "verdict": kept.report.verdict, "report": report, "notes": kept.notes}
    )
