"""`evolve watch`, `promote`, `rollback`, `retrain`, `update`: models after they were built, as a terminal shows them."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table

from evolve.cli import app
from evolve.cli.show import console, print_json
from evolve.contracts.model_builder import GetModelInfo, ListAliases
from evolve.contracts.updater import (
    AutoUpdate,
    GetUpdateHistory,
    GetWatchBoard,
    ReplaceModel,
    RetrainModel,
    RollBack,
    StartWatch,
    StopWatch,
)
from evolve.evidence import render
from evolve.updates import BoardRow, ModelTest, Replaced, UpdateStep

STATE_STYLE = {"steady": "green", "drift": "bold red", "too_early": "dim"}


def board(symbol: str | None, timeframe: str | None, *, as_json: bool) -> None:
    reply = _send(GetWatchBoard, symbol=symbol, timeframe=timeframe)
    if as_json:
        print_json(reply)
        return
    output = console()
    if not reply.rows:
        output.print("nobody is in charge yet: evolve watch add MODEL (`evolve models` lists them)")
        return
    table = Table("symbol", "champion", "age", "drift", "challenger", "last test", "next run", box=None, pad_edge=False)
    for row in reply.rows:
        table.add_row(*_cells(row))
    output.print(table)
    for row in reply.rows:
        for about in (row.drift.reason if row.drift else "", row.test.reason if row.test else "", row.note):
            if about:
                output.print(f"• {row.symbol} {row.timeframe}: {about}", style="dim", markup=False)


def add(model_id: str, cron: str, timezone: str, max_age: int, *, as_json: bool) -> None:
    watch = _send(StartWatch, model_id=model_id, cron=cron, timezone=timezone, max_age_bars=max_age).watch
    if as_json:
        print_json(watch)
        return
    typer.echo(
        f"watching {watch.symbol} {watch.timeframe}: next round {watch.next_run} ({watch.cron}, {watch.timezone})"
    )


def remove(symbol: str, timeframe: str, *, as_json: bool) -> None:
    reply = _send(StopWatch, symbol=symbol, timeframe=timeframe)
    if as_json:
        print_json(reply)
        return
    typer.echo(f"{reply.symbol} {reply.timeframe} is watched no longer; its models stay as they are")


def history(model_id: str, limit: int, *, as_json: bool) -> None:
    reply = _send(GetUpdateHistory, model_id=model_id, limit=limit)
    if as_json:
        print_json(reply)
        return
    for step in reply.history:
        _show_step(step)
    if not reply.history:
        typer.echo(f"nothing was done to {model_id} since it was built")


def promote(model_id: str, reason: str, *, force: bool, as_json: bool) -> None:
    """The champion is looked up, so that only the new one must be named."""
    recipe = _send(GetModelInfo, model_id=model_id).model_info.recipe
    current = _send(ListAliases, symbol=recipe.symbol, timeframe=recipe.timeframe, limit=1).current
    champion = next((move.model_id for move in current if move.alias == "champion"), None)
    if champion is None:
        add(model_id, "30 22 * * 1-5", "UTC", 126, as_json=as_json)
        return
    if champion == model_id:
        typer.echo(f"{model_id} is the champion of {recipe.symbol} {recipe.timeframe} already")
        return
    replace(champion, model_id, reason, force=force, as_json=as_json)


def replace(old: str, new: str, reason: str, *, force: bool, as_json: bool) -> None:
    result = _send(ReplaceModel, old_model_id=old, new_model_id=new, reason=reason, force=force).result
    if as_json:
        print_json(result)
    else:
        _show_replaced(result)
    if not result.success:
        raise typer.Exit(1)


def rollback(symbol: str, timeframe: str, reason: str, *, as_json: bool) -> None:
    move = _send(RollBack, symbol=symbol, timeframe=timeframe, reason=reason).move
    if as_json:
        print_json(move)
        return
    typer.echo(f"champion of {move.symbol} {move.timeframe}: {move.previous} → {move.model_id} ({move.reason})")


def retrain(model_id: str, period: str, *, full: bool, as_json: bool, timeout: float | None) -> None:
    fields = {"model_id": model_id, "new_data_period": period, "retrain_type": "full" if full else "incremental"}
    done = app._send(RetrainModel, fields, timeout).result
    if as_json:
        print_json(done)
        return
    output = console()
    if done.simulated:
        output.print("SIMULATED DATA: invented prices", style="bold white on red")
    output.print(f"{done.model_id}: {done.reason}", markup=False)
    for name, figure in done.new_performance.items():
        before = done.old_performance.get(name)
        output.print(f"  {name:<14} {render(figure):>9}   before {render(before) if before else 'n/a'}")
    if done.challenger:
        output.print(f"it runs in the shadow of {done.old_model_id}; `evolve watch` shows how it does")


def update(symbol: str, timeframe: str, update_type: str, *, as_json: bool, timeout: float | None) -> None:
    fields = {"symbol": symbol, "timeframe": timeframe, "update_type": update_type}
    done = app._send(AutoUpdate, fields, timeout).result
    if as_json:
        print_json(done)
        return
    typer.echo(done.reason)
    for step in done.steps:
        _show_step(step)


def _cells(row: BoardRow) -> tuple[str, ...]:
    age = "" if row.age_bars is None else f"{row.age_bars} bars"
    state = f"[{STATE_STYLE[row.drift.state]}]{row.drift.state.replace('_', ' ')}[/]" if row.drift else "unknown"
    name = f"{row.symbol} {row.timeframe}{' SIMULATED' if row.simulated else ''}"
    next_run = row.watch.next_run if row.watch else "not watched"
    return (
        name, row.champion or "nobody", age, state, row.challenger or "nobody", _in_short(row.test), next_run
    )  # fmt: skip


def _in_short(test: ModelTest | None) -> str:
    if test is None:
        return ""
    if not test.decided:
        return f"shadow, {test.bars} of {test.needed} bars"
    return "passed" if test.passed else "not passed"


def _show_replaced(result: Replaced) -> None:
    output = console()
    style = "green" if result.success and not result.forced else "bold red" if result.forced else "yellow"
    output.print(f"{'replaced' if result.success else 'not replaced'}: {result.reason}", style=style, markup=False)
    for figure in result.test.figures if result.test else ():
        output.print(f"  {figure.name:<14} {render(figure):>9}   {figure.computed}", markup=False)
    output.print(f"champion: {result.champion or 'nobody'}")


def _show_step(step: UpdateStep) -> None:
    other = f" (other: {step.other})" if step.other else ""
    forced = "  FORCED" if step.forced else ""
    typer.echo(f"{step.at}  {step.kind:<11} {step.model_id}{other}{forced}: {step.reason}")


def _send(request: Any, **fields: Any) -> Any:
    return app._send(request, fields, None)
