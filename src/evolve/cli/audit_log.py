"""`evolve audit-log`: who changed what others rely on, and whether the record of it was touched."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import AsJson

if TYPE_CHECKING:
    from evolve.audit_trail import AuditTrail

audit_log_app = typer.Typer(
    help="Who promoted, deleted, or gave access: a record that cannot be changed unseen.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@audit_log_app.command("show")
def show(
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest entries, oldest of them first."""
    from collections import deque

    newest = deque(_trail().entries(), maxlen=limit)
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in newest], indent=2))
        return
    for entry in newest:
        details = "  ".join(f"{name}={value}" for name, value in entry.details.items() if value is not None)
        typer.echo(f"{entry.number:>6}  {entry.at}  {entry.who:<20} {entry.what:<18} {details}")
    if not newest:
        typer.echo("nothing on record: nobody promoted, deleted or gave access in this home")


@audit_log_app.command("verify")
def verify(
    head: Annotated[str, typer.Option(help="A head noted earlier, which must still be in the chain.")] = "",
    as_json: AsJson = False,
) -> None:
    """Whether the record is whole; exit code 1 if not. Keep the head it prints elsewhere: it shows later that nothing was cut off."""
    trail = _trail()
    found = trail.verify(head=head)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "path": str(trail.path)}, indent=2))
    elif found.problem:
        typer.echo(f"BROKEN: {found.problem}; {found.entries} entries before it hold ({trail.path})", err=True)
    else:
        typer.echo(f"whole: {found.entries} entries\nhead:  {found.head}")
    if found.problem:
        raise typer.Exit(1)


def _trail() -> AuditTrail:
    from evolve.audit_trail import AuditTrail
    from evolve.settings import Settings

    return AuditTrail(Settings.load().home)
