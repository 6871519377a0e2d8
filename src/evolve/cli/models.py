"""`evolve models`: what is registered, who is in charge, and how a model moves to another machine."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import typer

from evolve.cards import AliasMove
from evolve.cli import app
from evolve.cli.show import console, print_json
from evolve.contracts.model_builder import (
    DeleteModel,
    ExportModel,
    GetModelInfo,
    ImportModel,
    ListAliases,
    ListModels,
    MoveAlias,
)
from evolve.errors import InvalidRequest, Unavailable


def list_models(symbol: str | None, timeframe: str | None, *, as_json: bool) -> None:
    reply = _send(ListModels, symbol=symbol, timeframe=timeframe)
    if as_json:
        print_json(reply)
        return
    held: dict[str | None, list[str]] = {}
    for move in _send(ListAliases, symbol=symbol, timeframe=timeframe, limit=1).current:
        held.setdefault(move.model_id, []).append(move.alias)
    output = console()
    for card in reply.models:
        aliases = "".join(f"  {alias.upper()}" for alias in held.get(card.model_id, ()))
        output.print(
            f"{card.model_id:<36} {card.created_at}  data to {card.data.last}{'  SIMULATED' if card.data.simulated else ''}{aliases}"
        )
    if not reply.models:
        output.print("no models yet: evolve build ridge AAPL")


def show(model_id: str, *, as_json: bool) -> None:
    reply = _send(GetModelInfo, model_id=model_id)
    if as_json:
        print_json(reply)
    else:
        typer.echo(reply.document)


def delete(model_id: str, *, as_json: bool) -> None:
    reply = _send(DeleteModel, model_id=model_id)
    print_json(reply) if as_json else typer.echo(f"deleted {model_id}; its history stays")


def export(model_id: str, file: Path | None, *, as_json: bool) -> None:
    reply = _send(ExportModel, model_id=model_id)
    content = b64decode(reply.bundle)
    if sha256(content).hexdigest() != reply.sha256:
        raise Unavailable("the model was damaged on its way here; try again")
    path = file or Path(f"{model_id}.evolve")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidRequest(f"cannot write {path}: {error.strerror}") from None
    if as_json:
        print_json({"model_id": model_id, "path": str(path), "bytes": len(content), "sha256": reply.sha256})
    else:
        typer.echo(f"{path}: {len(content):,} bytes, sha256 {reply.sha256}")


def import_file(file: Path, *, as_json: bool) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror}") from None
    card = _send(ImportModel, bundle=b64encode(content).decode()).model_info
    if as_json:
        print_json(card)
        return
    typer.echo(f"registered {card.model_id}; next: evolve models show {card.model_id}")


def promote(model_id: str, alias: str, replacing: str | None, reason: str, *, as_json: bool) -> None:
    recipe = _send(GetModelInfo, model_id=model_id).model_info.recipe
    fields = {"symbol": recipe.symbol, "timeframe": recipe.timeframe, "expected": replacing, "reason": reason}
    move = _send(MoveAlias, alias=alias, model_id=model_id, **fields).move
    print_json(move) if as_json else _told(move)


def release(model_id: str, reason: str, *, as_json: bool) -> None:
    held = [move for move in _send(ListAliases, limit=1).current if move.model_id == model_id]
    moves = []
    for move in held:
        fields = {"symbol": move.symbol, "timeframe": move.timeframe, "expected": model_id, "reason": reason}
        moves.append(_send(MoveAlias, alias=move.alias, model_id=None, **fields).move)
    if as_json:
        print_json(tuple(moves))
        return
    for move in moves:
        _told(move)
    if not moves:
        typer.echo(f"{model_id} holds no alias")


def aliases(symbol: str | None, timeframe: str | None, *, as_json: bool) -> None:
    reply = _send(ListAliases, symbol=symbol, timeframe=timeframe)
    if as_json:
        print_json(reply)
        return
    for move in reply.history:
        _told(move)
    if not reply.history:
        typer.echo("nobody is in charge yet: evolve models promote MODEL")


def _told(move: AliasMove) -> None:
    reason = f" ({move.reason})" if move.reason else ""
    typer.echo(
        f"{move.at}  {move.alias} of {move.symbol} {move.timeframe}: {move.previous or 'nobody'} → {move.model_id or 'nobody'}{reason}"
    )


def _send(request: Any, **fields: Any) -> Any:
    return app._send(request, fields, None)
