"""Which operations does the API have for the home itself? Bars, alerts, the doctor, logs and all services, as OpenAPI says it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from evolve.web.alert_rules import AlertOrder
from evolve.web.bars import FetchOrder, ImportOrder
from evolve.web.fixed_operations import (
    COUNT,
    JSON,
    NO_BODY,
    READ_ERRORS,
    SECONDS,
    SERVICE,
    TEXT,
    Operation,
    answers,
    limit,
    list_of,
    object_of,
    path,
    query,
    ref,
)

_NUMBER: dict[str, Any] = {"type": "number"}
_YES_NO: dict[str, Any] = {"type": "boolean"}
_TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}
_ORDERS: tuple[type[BaseModel], ...] = (FetchOrder, AlertOrder)
_BARS = object_of({"symbol": TEXT, "timeframe": TEXT})


def _orders() -> dict[str, Any]:
    _, placed = models_json_schema(
        [(kind, "validation") for kind in _ORDERS], ref_template="#/components/schemas/{model}"
    )
    found: dict[str, Any] = placed["$defs"]
    return found


HOME_TYPES: dict[str, Any] = {
    **_orders(),
    "Listing": object_of({"symbol": TEXT, "origin": TEXT, "recorded": _TEXTS, "timeframes": _TEXTS}),
    "Listings": list_of("symbols", "Listing"),
    "BarsKept": object_of(
        {
            "card": object_of(
                {"symbol": TEXT, "timeframe": TEXT, "source": TEXT, "fingerprint": TEXT, "bars": COUNT}, more=True
            ),
            "verdict": {"enum": ["good", "usable", "bad"]},
            "report": object_of({"findings": {"type": "array", "items": {"type": "object"}}}, more=True),
            "notes": _TEXTS,
        }
    ),
    "BarsRemoved": object_of({"removed": {"type": "array", "items": _BARS}}),
    "AlertRule": object_of(
        {
            "name": TEXT,
            "kind": TEXT,
            "channel": TEXT,
            "target": TEXT,
            "secret": {"type": "boolean", "description": "Whether it is signed."},
            "symbol": TEXT,
            "timeframe": TEXT,
            "service": TEXT,
            "raise_at": _NUMBER,
            "clear_at": _NUMBER,
            "confirm": COUNT,
            "quiet": TEXT,
            "timezone": TEXT,
            "per_hour": COUNT,
            "resolved": _YES_NO,
            "private": _YES_NO,
            "since": SECONDS,
        }
    ),
    "AlertRules": list_of("rules", "AlertRule"),
    "AlertTried": object_of({"rule": TEXT, "alert_id": TEXT, "delivered": _YES_NO, "why": TEXT}),
    "AlertTold": object_of(
        {
            "number": COUNT,
            "alert": {"type": "object"},
            "state": {"enum": ["waiting", "sending", "sent", "failed", "superseded"]},
            "attempts": COUNT,
            "due": SECONDS,
            "claimed_at": SECONDS,
            "sent_at": SECONDS,
            "error": TEXT,
        }
    ),
    "AlertsTold": list_of("alerts", "AlertTold"),
    "Examination": object_of(
        {
            "state": {"enum": ["ok", "warning", "fail"]},
            "findings": {
                "type": "array",
                "items": object_of({"name": TEXT, "state": TEXT, "said": TEXT, "mend": TEXT, "help": TEXT}),
            },
        }
    ),
    "LogTail": object_of({"log": TEXT, "lines": _TEXTS, "more": _YES_NO}),
    "AllOrdered": list_of("services", "Ordered"),
}

_SYMBOL = path("symbol", "A symbol, such as AAPL.")
_RULE = path("name", "A rule's name.")
_FILE = {"schema": {"type": "string", "format": "binary"}}
_IMPORTED = ImportOrder.model_json_schema()["properties"]
_CHANGED = (400, *READ_ERRORS, 404, 413, 415, 422)


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": ref(name)}}}


def _all(verb: str, summary: str) -> tuple[str, str, Operation]:
    return f"/api/v1/all-services/{verb}", "post", {
        "operationId": f"{verb}_all_services", "tags": ["services"], "summary": summary, "effect": "admin", "parameters": [],
        "requestBody": NO_BODY, "responses": answers("AllOrdered", "How they are now."), "errors": (*_CHANGED, 504),
    }  # fmt: skip


HOME: tuple[tuple[str, str, Operation], ...] = (
    ("/api/v1/data", "get", {
        "operationId": "list_bars", "tags": ["home"], "summary": "The symbols that have bars, and whose they are.", "effect": "read",
        "parameters": [], "responses": answers("Listings", "One entry per symbol."), "errors": READ_ERRORS,
    }),
    ("/api/v1/data/{symbol}", "delete", {
        "operationId": "remove_bars", "tags": ["home"], "summary": "Forget imported or fetched bars.", "effect": "admin",
        "parameters": [_SYMBOL, query("timeframe", {"type": "string"}, "Only these; default: all.")],
        "responses": answers("BarsRemoved", "What was removed."), "errors": _CHANGED,
    }),
    ("/api/v1/data/{symbol}/import", "post", {
        "operationId": "import_bars", "tags": ["home"], "summary": "Add your own bars: the body is a CSV or Parquet file.", "effect": "admin",
        "description": "At most EVOLVE_MAX_UPLOAD_BYTES (64 MiB); larger files: `evolve data import`.",
        "parameters": [
            _SYMBOL, query("timeframe", _IMPORTED["timeframe"], "Default: found from the stamps."),
            query("currency", _IMPORTED["currency"], "Of the prices."), query("name", {"type": "string", "maxLength": 200}, "The file's name."),
        ],
        "requestBody": {"required": True, "content": dict.fromkeys(("text/csv", "application/vnd.apache.parquet"), _FILE)},
        "responses": answers("BarsKept", "What came in, and what is wrong with it."), "errors": _CHANGED,
    }),
    ("/api/v1/data/{symbol}/fetch", "post", {
        "operationId": "fetch_bars", "tags": ["home"], "summary": "Get bars from a data service and keep them.", "effect": "admin",
        "parameters": [_SYMBOL], "requestBody": _body("FetchOrder"),
        "responses": answers("BarsKept", "What came in, and what is wrong with it."), "errors": (*_CHANGED, 501, 504),
    }),
    ("/api/v1/alerts", "get", {
        "operationId": "list_alerts", "tags": ["home"], "summary": "Whom this home tells about what.", "effect": "admin",
        "parameters": [], "responses": answers("AlertRules", "The rules, without their secrets."), "errors": READ_ERRORS,
    }),
    ("/api/v1/alerts", "post", {
        "operationId": "add_alert", "tags": ["home"], "summary": "Make a rule: to a mail address, a chat, or a plain public webhook.",
        "effect": "admin", "parameters": [], "requestBody": _body("AlertOrder"),
        "responses": answers("AlertRule", "The rule.", "201"), "errors": _CHANGED,
    }),
    ("/api/v1/alerts/{name}", "delete", {
        "operationId": "remove_alert", "tags": ["home"], "summary": "Forget a rule; what waits to be sent by it is not sent.",
        "effect": "admin", "parameters": [_RULE], "responses": {"204": {"description": "It is gone."}}, "errors": _CHANGED,
    }),
    ("/api/v1/alerts/{name}/test", "post", {
        "operationId": "test_alert", "tags": ["home"], "summary": "Send one alert by a rule now; whether it arrived is the answer.",
        "effect": "admin", "parameters": [_RULE], "requestBody": NO_BODY,
        "responses": answers("AlertTried", "Whether it arrived."), "errors": _CHANGED,
    }),
    ("/api/v1/alert-log", "get", {
        "operationId": "get_alert_log", "tags": ["home"], "summary": "What was told, waits to be, or could not be, newest first.",
        "effect": "admin", "parameters": [limit(1_000, 50)], "responses": answers("AlertsTold", "The newest."), "errors": (*READ_ERRORS, 422),
    }),
    ("/api/v1/doctor", "get", {
        "operationId": "get_doctor", "tags": ["home"], "summary": "What is wrong here, and how to mend each; takes some seconds.",
        "effect": "admin", "parameters": [], "responses": answers("Examination", "All findings."), "errors": READ_ERRORS,
    }),
    ("/api/v1/services/{service}/log", "get", {
        "operationId": "get_service_log", "tags": ["services"], "summary": "The end of a service's log, secrets taken out.",
        "effect": "admin", "parameters": [SERVICE, query("lines", {"type": "integer", "minimum": 1, "maximum": 5_000, "default": 200}, "How many.")],
        "responses": answers("LogTail", "Its newest lines, oldest first."), "errors": (*READ_ERRORS, 404, 422),
    }),
    _all("start", "Start every service that does not run."),
    _all("stop", "Let all services finish what is in work, and stop them. Pages, API and the server of the bus go on."),
)  # fmt: skip
