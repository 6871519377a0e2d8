"""`evolve history`: what the services decided, read from the decision log of this home."""

from __future__ import annotations

import json
from dataclasses import asdict

from evolve.cli.show import console
from evolve.clock import iso
from evolve.errors import InvalidRequest
from evolve.market.types import parse_symbol
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.settings import Settings

SHOWN_INPUTS = 90


def run(limit: int, symbol: str | None, *, as_json: bool) -> None:
    try:
        about = parse_symbol(symbol) if symbol else None
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    with Database.open(Settings.load()) as database:
        found = DecisionLog(database).history(limit=limit, symbol=about)
    if as_json:
        print(json.dumps([asdict(decision) for decision in found], indent=2, default=list))
        return
    output = console()
    for decision in found:
        inputs = json.dumps(
            {name: value for name, value in decision.inputs.items() if value not in (None, "", [], {})},
            ensure_ascii=False,
        )
        outcome = decision.error_code or decision.outcome.get("headline") or decision.status
        output.print(
            f"{iso(decision.finished_at)}  {decision.service}.{decision.request_type}  {outcome}", markup=False
        )
        output.print(f"    {inputs[:SHOWN_INPUTS]}  id {decision.request_id}", style="dim", markup=False)
    if not found:
        output.print('nothing yet: evolve ask "Give me the best model for AAPL over 90 days"')
