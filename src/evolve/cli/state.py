"""`evolve migrate`, `backup`, `restore` and `tidy`: what is remembered, brought up to date, taken away and put back."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import AsJson

if TYPE_CHECKING:
    from evolve.memory.backup import BackupCard

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup: one file, best on another machine in the end.")]


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if something is to be done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database up to this version's schema. Services do so too when they start; this is for doing it before."""
    from evolve.memory.database import Database
    from evolve.memory.schema import newest
    from evolve.settings import Settings

    with Database.unmigrated(Settings.load()) as database:
        before = database.schema_version()
        ran = () if check else database.migrate()
        after = ran[-1] if ran else before
        where = database.where
    if as_json:
        typer.echo(json.dumps({"database": where, "before": before, "after": after, "newest": newest()}, indent=2))
    elif ran:
        typer.echo(f"{where}: schema {before} → {after}")
    else:
        said = (
            "up to date" if after == newest() else f"behind: {newest() - after} steps to do, `evolve migrate` does them"
        )
        typer.echo(f"{where}: schema {after}, {said}")
    if after < newest():
        raise typer.Exit(1)


def backup(file: File, as_json: AsJson = False) -> None:
    """Write everything that is remembered into one file: decisions, models, trials, artifacts, bars. Services may run."""
    from evolve.memory.backup import back_up
    from evolve.memory.orphans import orphans
    from evolve.settings import Settings

    card = back_up(Settings.load(), file, progress=_shown)
    _show(card, f"{file}: {file.stat().st_size / (1 << 20):.1f} MiB", as_json)
    for sha256 in card.left_out:
        typer.echo(f"warning: artifact {sha256[:12]}… was damaged or missing, and is left out", err=True)
    left = len(orphans(Settings.load()))
    if left:
        typer.echo(f"note: {left:,} files belong to nothing any more (`evolve tidy --check`)", err=True)


def tidy(
    check: Annotated[bool, typer.Option("--check", help="Remove nothing; exit code 1 if there is something.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove files that nothing names any more: of deleted models, and of bars whose saving was cut off."""
    from evolve.memory.orphans import orphans, remove_orphans
    from evolve.settings import Settings

    settings = Settings.load()
    if not check:
        _refuse_while_running()
    found = orphans(settings) if check else remove_orphans(settings)
    if as_json:
        typer.echo(json.dumps({"removed": not check, **asdict(found)}, indent=2))
    else:
        said = f"{len(found.artifacts):,} artifacts and {len(found.bars):,} files of bars that nothing names"
        typer.echo(said if check else f"removed {said}")
    if check and len(found):
        raise typer.Exit(1)


def restore(
    file: File,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also into a home that holds something: that is then gone.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check the file, and say what is in it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup back, after checking all of it. Nothing may run meanwhile: `evolve down` first."""
    from evolve.memory.backup import inspect_backup
    from evolve.memory.backup import restore as put_back
    from evolve.settings import Settings

    settings = Settings.load()
    if check:
        _show(inspect_backup(file), f"{file} is whole", as_json)
        return
    _refuse_while_running()
    _show(put_back(settings, file, replace=replace, progress=_shown), f"restored {file}", as_json)


def _refuse_while_running() -> None:
    from evolve.errors import Forbidden
    from evolve.manager.manager import ServiceManager

    with ServiceManager() as manager:
        running = [
            name for name, each in manager.get_service_status().items() if each["status"] in ("running", "starting")
        ]
    if running:
        raise Forbidden(
            f"{', '.join(running[:3])} {'runs' if len(running) == 1 else 'run'}: stop everything first (`evolve down`)"
        )


def _show(card: BackupCard, said: str, as_json: bool) -> None:
    if as_json:
        about = asdict(card)
        del about["entries"], about["columns"]
        typer.echo(
            json.dumps(
                {**about, "artifacts": len(card.of("artifacts")), "bars": len(card.of("bars")), "bytes": card.bytes},
                indent=2,
            )
        )
        return
    rows = sum(card.rows.values())
    typer.echo(f"{said}, made at {card.made_at} from {card.engine}, schema {card.schema}")
    typer.echo(f"  {rows:,} rows, {len(card.of('artifacts')):,} artifacts, {len(card.of('bars')):,} files of bars")


def _shown(done: int, total: int, what: str) -> None:
    if sys.stderr.isatty() and (done == total or done % 100 == 0):
        print(f"\r{what}: {done:,} of {total:,}", end="\n" if done == total else "", file=sys.stderr, flush=True)
