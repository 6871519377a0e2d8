"""What would a trader's own program have earned? Written in the page, run in the sandbox, backtested beside the baselines, audited."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from evolve.contracts.performance_critic import AuditStrategy, BacktestStrategy
from evolve.contracts.quant_gpt import GetAvailableSymbols
from evolve.errors import EvolveError, InvalidRequest
from evolve.market.types import SPECIFIED_PERIODS, TIMEFRAMES
from evolve.web.pages import frame
from evolve.web.pages.decisions import decision_of
from evolve.web.pages.jobs import begin, json_object
from evolve.web.pages.models import checked_timeframe

router = APIRouter(route_class=frame.PageRoute)
BEGINNING: Final = '''"""Hold while the fast average is above the slow one."""


def main(input_data):
    close = input_data["market_data"]["close"]
    fast = input_data["parameters"].get("fast", 20)
    slow = input_data["parameters"].get("slow", 100)
    if len(close) < slow:
        return "FLAT"
    return "BUY" if sum(close[-fast:]) / fast > sum(close[-slow:]) / slow else "FLAT"
'''
LOOK_S: Final = 3.0


@router.get("/strategies")
async def editor(request: Request) -> Response:
    """A program to begin with: of the library (`template`), of an earlier run (`from`), or two averages."""
    from evolve.research.templates import TEMPLATES

    query = request.query_params
    values: dict[str, Any] = {
        "code": BEGINNING, "name": "my strategy", "symbol": "AAPL", "timeframe": "1d", "period": "1y", "parameters": "{}",
        "long_only": False, "simulate": False,
    }  # fmt: skip
    singles = [each for each in TEMPLATES if each.symbols == 1]
    wanted = query.get("template")
    if wanted:
        found = next((each for each in singles if each.name == wanted), None)
        if found is None:
            raise InvalidRequest(
                f"there is no template {wanted[:40]!r}; there are {', '.join(each.name for each in singles)}"
            )
        values |= {"code": found.program, "name": found.title[:64]}
    elif query.get("from"):
        values |= await _values_of_run(request, query["from"])
    symbols: tuple[str, ...] = ()
    try:
        symbols = (await frame.client_of(request).ask(GetAvailableSymbols(), timeout=LOOK_S)).symbols
    except EvolveError:
        symbols = (values["symbol"],)  # the editor is of use while the service that knows more is away
    return frame.page(
        request,
        "strategies.html",
        templates=singles,
        symbols=symbols,
        timeframes=TIMEFRAMES,
        periods=SPECIFIED_PERIODS,
        **values,
    )


async def _values_of_run(request: Request, id: str) -> dict[str, Any]:
    decision = await decision_of(request, id, "performance_critic")
    inputs = decision.inputs if decision else {}
    if not inputs.get("strategy_code"):
        raise InvalidRequest("that run's program is not on record here")
    return {
        "code": str(inputs["strategy_code"]), "name": str(inputs.get("strategy_name", "")), "symbol": str(inputs.get("symbol", "")),
        "timeframe": str(inputs.get("timeframe") or "1d"), "period": str(inputs.get("period") or "1y"),
        "parameters": json.dumps(inputs.get("parameters") or {}), "long_only": bool(inputs.get("long_only")), "simulate": bool(inputs.get("simulate")),
    }  # fmt: skip


@router.post("/strategies")
async def run(request: Request) -> Response:
    """Backtest it, or ask whether it looks ahead."""
    form = await frame.form_of(request)
    # A browser sends line breaks of a text area as CR LF.
    code = form.get("code", "").replace("\r\n", "\n")
    name, symbol = form.get("name", "").strip(), form.get("symbol", "")
    timeframe, parameters, simulate = (
        checked_timeframe(form.get("timeframe")),
        json_object(form.get("parameters", ""), "parameters"),
        form.get("simulate") == "1",
    )
    if form.get("work") == "audit":
        audit = AuditStrategy(
            strategy_code=code,
            strategy_name=name,
            symbol=symbol,
            timeframe=timeframe,
            parameters=parameters,
            simulate=simulate,
        )
        return begin(request, audit, title=f"Does {name} look ahead?")
    order = BacktestStrategy(
        strategy_code=code, strategy_name=name, symbol=symbol, timeframe=timeframe, period=form.get("period") or "1y",
        parameters=parameters, long_only=form.get("long_only") == "1", simulate=simulate,
    )  # fmt: skip
    return begin(request, order, title=f"{name} on {symbol}")
