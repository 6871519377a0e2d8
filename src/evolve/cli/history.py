"""`evolve history`: what was asked and what the services decided, read from the decision log of this home."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from evolve.cli.show import console
from evolve.errors import InvalidRequest
from evolve.market.types import parse_symbol
from evolve.memory.database import Database
from evolve.memory.decisions import Decision, DecisionLog
from evolve.settings import Settings


def run(limit: int, symbol: str | None, *, everything: bool, as_json: bool) -> None:
    try:
        about = parse_symbol(symbol) if symbol else None
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    with Database.open(Settings.load()) as database:
        found = DecisionLog(database).history(limit=limit, symbol=about, asked_by_users=not everything)
    if as_json:
        print(json.dumps([asdict(decision) for decision in found], indent=2, default=list))
        return
    output = console()
    for decision in found:
        at = datetime.fromtimestamp(decision.finished_at, UTC)
        output.print(Text(f"{at:%Y-%m-%d %H:%M:%S}Z  {decision.service}.{decision.request_type}  {_about(decision)}"))
        style = "yellow" if decision.error_code else "dim"
        output.print(Text(f"    {_outcome(decision)}", style=style))
    if not found:
        output.print('nothing yet: evolve ask "Give me the best model for AAPL over 90 days"')


def _about(decision: Decision) -> str:
    """What the request was about, in the user's words where it has any. Of a reproduction, the question comes from the outcome."""
    inputs = decision.inputs
    words = inputs.get("query") or inputs.get("user_prompt") or decision.outcome.get("query")
    if words:
        return f"“{words}”" + (f" (reproducing {inputs['reproduce']})" if inputs.get("reproduce") else "")
    named = [inputs.get(name) for name in ("model_id", "model_ids", "model_type", "symbol", "timeframe", "model_name")]
    return " ".join(" and ".join(each) if isinstance(each, list) else str(each) for each in named if each)


def _outcome(decision: Decision) -> str:
    outcome = decision.outcome
    if decision.error_code:
        return f"{decision.error_code}: {outcome.get('error') or 'no answer'}"
    if outcome.get("headline"):
        answer = outcome.get("answer_id")
        return f"{outcome['headline']}" + (f" · answer {answer}" if answer else "")
    found = next(
        (outcome[name] for name in ("evaluation", "comparison", "result", "model_info") if outcome.get(name)), {}
    )
    named: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    trust = named.get("trust")
    verdict = trust.get("verdict") if isinstance(trust, Mapping) else named.get("verdict")
    said = verdict or named.get("model_id") or named.get("intent") or named.get("status")
    return f"{said}" if said else decision.status
