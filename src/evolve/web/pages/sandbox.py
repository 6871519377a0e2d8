"""What does a program of one's own return? A model, a strategy or an indicator, run once behind the wall, with what it was given."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import JsonValue
from starlette.responses import Response

from evolve.contracts.safe_executor import (
    Cleanup,
    ExecuteIndicator,
    ExecuteModel,
    ExecuteStrategy,
    GetStatistics,
    RunResult,
    Statistics,
)
from evolve.errors import EvolveError, InvalidRequest
from evolve.messaging.messages import Request as Message
from evolve.web.access import principal_of
from evolve.web.jobs import Job
from evolve.web.pages import frame
from evolve.web.pages.decisions import decision_of
from evolve.web.pages.jobs import begin, json_object, register

router = APIRouter(route_class=frame.PageRoute)
LOOK_S: Final = 2.0
Kind = Literal["model", "strategy", "indicator"]
KINDS: Final[tuple[Kind, ...]] = ("model", "strategy", "indicator")
# What each kind is called with, beside its parameters.
GIVEN: Final[dict[Kind, str]] = {"model": "input_data", "strategy": "market_data", "indicator": "price_data"}
BEGINNINGS: Final[dict[Kind, tuple[str, str, str]]] = {
    "model": (
        """import numpy as np


def main(input_data):
    prices = input_data.get("prices", [])
    window = input_data.get("window", 3)
    if len(prices) < window:
        return {"error": "Not enough data"}
    average = float(np.mean(prices[-window:]))
    return {"prediction": average * 1.01, "moving_average": average, "confidence": 0.7}
""",
        '{"prices": [100, 101, 102, 103, 104, 105], "window": 3}',
        "",
    ),
    "strategy": (
        """def main(input_data):
    rsi = input_data["market_data"].get("rsi", 50)
    parameters = input_data["parameters"]
    if rsi > parameters.get("overbought", 70):
        return {"signal": "SELL", "confidence": 0.8, "rsi": rsi}
    if rsi < parameters.get("oversold", 30):
        return {"signal": "BUY", "confidence": 0.8, "rsi": rsi}
    return {"signal": "HOLD", "confidence": 0.5, "rsi": rsi}
""",
        '{"rsi": 75}',
        '{"oversold": 30, "overbought": 70}',
    ),
    "indicator": (
        """import numpy as np


def main(input_data):
    prices = input_data["price_data"].get("prices", [])
    fast = input_data["parameters"].get("fast_period", 12)
    if len(prices) < fast:
        return {"error": "Not enough data"}
    average = float(np.mean(prices[-fast:]))
    return {"fast_ma": average, "signal": "BULLISH" if average > prices[0] else "BEARISH"}
""",
        '{"prices": [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112]}',
        '{"fast_period": 12}',
    ),
}


@router.get("/sandbox")
async def sandbox_page(request: Request) -> Response:
    """An editor with a program to begin with (`?kind=`), or that of an earlier run (`?from=`)."""
    kind = _kind(request.query_params.get("kind", "model"))
    code, given, parameters = BEGINNINGS[kind]
    values: dict[str, Any] = {
        "kind": kind,
        "code": code,
        "given": given,
        "parameters": parameters,
        "name": f"my {kind}",
    }
    if earlier := request.query_params.get("from"):
        values |= await _values_of_run(request, earlier)
    statistics: Statistics | None = None
    trouble = ""
    try:
        statistics = await frame.client_of(request).ask(GetStatistics(), timeout=LOOK_S)
    except EvolveError as error:
        trouble = error.message  # the editor is of use while the executor is away: what is run waits for it
    return frame.page(
        request, "sandbox.html", kinds=KINDS, statistics=statistics, trouble=trouble, given_as=GIVEN[_kind(values["kind"])],
        may_clean="admin" in principal_of(request).scopes, **values,
    )  # fmt: skip


@router.post("/sandbox")
async def run(request: Request) -> Response:
    form = await frame.form_of(request)
    kind = _kind(form.get("kind", "model"))
    # A browser sends line breaks of a text area as CR LF.
    code, name = form.get("code", "").replace("\r\n", "\n"), form.get("name", "").strip()
    given = json_object(form.get("given", ""), "what it is given")
    return begin(request, _order(kind, code, name, given, form.get("parameters", "")), title=f"Run {name}")


@router.post("/sandbox/cleanup")
async def clean_up(request: Request) -> Response:
    await frame.told(request, Cleanup())
    return frame.see("/sandbox")


def _order(kind: Kind, code: str, name: str, given: dict[str, JsonValue], parameters: str) -> Message[Any]:
    if kind == "model":
        return ExecuteModel(model_code=code, model_name=name, input_data=given)
    settings = json_object(parameters, "parameters")
    if kind == "strategy":
        return ExecuteStrategy(strategy_code=code, strategy_name=name, market_data=given, parameters=settings)
    return ExecuteIndicator(indicator_code=code, indicator_name=name, price_data=given, parameters=settings)


def _kind(text: str) -> Kind:
    found = next((each for each in KINDS if each == text), None)
    if found is None:
        raise InvalidRequest(f"the sandbox runs a {', a '.join(KINDS)}; there is no {text[:40]!r}")
    return found


async def _values_of_run(request: Request, id: str) -> dict[str, str]:
    decision = await decision_of(request, id, "safe_executor")
    inputs = dict(decision.inputs) if decision else {}
    for kind in KINDS:
        if inputs.get(f"{kind}_code"):
            return {
                "kind": kind, "code": str(inputs[f"{kind}_code"]), "name": str(inputs.get(f"{kind}_name", "")),
                "given": json.dumps(inputs.get(GIVEN[kind]) or {}), "parameters": json.dumps(inputs.get("parameters") or {}),
            }  # fmt: skip
    raise InvalidRequest("that run's program is not on record here")


async def run_page(request: Request, job: Job, title: str, data: dict[str, Any]) -> Response:
    """What came of a run, whatever it was: success, a refusal, a limit."""
    decision = await decision_of(request, job.id, job.service)
    result = RunResult.model_validate(data["result"])
    inputs = decision.inputs if decision else {}
    code = next((str(inputs[f"{kind}_code"]) for kind in KINDS if inputs.get(f"{kind}_code")), "")
    return frame.page(request, "sandbox_run.html", job=job, title=title, run=result, code=code)


for _wire in ("model_executed", "strategy_executed", "indicator_executed", "bars_executed"):
    register(_wire, run_page)
