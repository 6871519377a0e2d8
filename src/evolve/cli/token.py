"""`evolve token`: who may use the HTTP API from elsewhere."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import AsJson

if TYPE_CHECKING:
    from evolve.web.tokens import Tokens

token_app = typer.Typer(help="Tokens for the HTTP API.", no_args_is_help=True, rich_markup_mode=None)


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For your own list: who or what uses it.")],
    scope: Annotated[str, typer.Option("--scope", help="read, run or admin; each holds those before it.")] = "read",
    days: Annotated[float, typer.Option("--days", min=0, help="How long it holds; 0: until it is revoked.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is printed once; only a hash of it is kept."""
    from evolve.errors import InvalidRequest
    from evolve.web.tokens import SCOPES

    known = next((each for each in SCOPES if each == scope), None)
    if known is None:
        raise InvalidRequest(f"--scope is one of {', '.join(SCOPES)}, not {scope!r}")
    token = _tokens().create(name, known, days=days)
    if as_json:
        typer.echo(json.dumps({"token": token, "name": name, "scope": known}))
        return
    typer.echo(token)
    print("keep it now: it is not shown again; send it as `Authorization: Bearer …`", file=sys.stderr)


@token_app.command("list")
def show(as_json: AsJson = False) -> None:
    """The tokens there are, oldest first; never their secrets."""
    tokens = _tokens().list()
    if as_json:
        rows = [{name: value for name, value in asdict(token).items() if name != "digest"} for token in tokens]
        typer.echo(json.dumps(rows, indent=2))
        return
    for token in tokens:
        ends = f"until {_day(token.expires)}" if token.expires else "until revoked"
        typer.echo(f"{token.id}  {token.scope:<5}  made {_day(token.created)}  {ends}  {token.name}")
    if not tokens:
        typer.echo("no tokens; programs of your own on this machine need none")


@token_app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(help="Its id, as `evolve token list` shows it.")], as_json: AsJson = False
) -> None:
    """Take a token away, at once."""
    token = _tokens().revoke(token_id)
    typer.echo(json.dumps({"revoked": token.id, "name": token.name}) if as_json else f"revoked: {token.name}")


def _tokens() -> Tokens:
    from evolve.settings import Settings
    from evolve.web.tokens import Tokens

    return Tokens(Settings.load().home)


def _day(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d")
