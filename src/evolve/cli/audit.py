"""`evolve audit MODEL|FILE`: which of the two is meant, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evolve.cards import AuditCard
from evolve.cli.sandbox import program, visible
from evolve.cli.show import print_json
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence


def request_for(
    target: str, symbol: str | None, timeframe: str | None, parameters: dict[str, Any], *, simulate: bool
) -> tuple[Any, dict[str, Any]]:
    """The request and its fields. A file is a program, anything else a model's id. Raises InvalidRequest."""
    from evolve.contracts.performance_critic import AuditModel, AuditStrategy

    file = Path(target)
    if not (file.suffix == ".py" or file.is_file()):
        if parameters:
            raise InvalidRequest("--param is for a program; a model has its parameters since it was built")
        return AuditModel, {"model_id": target, "symbol": symbol, "timeframe": timeframe, "simulate": simulate}
    if symbol is None:
        raise InvalidRequest(f"say on whose bars to run {file.name}, such as --symbol AAPL")
    return AuditStrategy, {
        "strategy_code": program(file), "strategy_name": file.stem[:64], "symbol": symbol, "timeframe": timeframe,
        "parameters": parameters, "simulate": simulate,
    }  # fmt: skip


def show_audit(found: AuditCard, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print(f"{found.model_id}: {'passed' if found.passed else 'FAILED'}: {visible(found.reason)}")
    changed = f"; the future was changed by: {', '.join(found.kinds)}" if found.kinds else ""
    handed = "" if found.handed == "model" else f", handed {found.handed}"
    print(f"{found.bars:,} bars of {found.symbol} at {found.timeframe}{handed}, {found.runs} runs{changed}")
    by_name = {item.name: item for item in found.figures}
    if len(by_name) == 4:
        print(
            f"first value after {by_name['warm_up_bars']} bars; the same whenever history began after {_or_why(by_name['settled_bars'])}"
        )
        print(
            f"Sharpe ratio {_or_why(by_name['sharpe'])}; acting one bar later {_or_why(by_name['sharpe_one_bar_later'])}"
        )
    for note in found.notes:
        print(f"• {visible(note)}")


def _or_why(item: Evidence) -> str:
    return f"{item}{' bars' if item.unit == 'bars' else ''}" if item.value is not None else f"n/a ({item.note})"
