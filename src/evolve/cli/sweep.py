"""`evolve sweep`: many models on many symbols, ranked."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import AsJson, Simulate, TimeframeOption
from evolve.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from evolve.agents.sweep import Ranked, Swept

MODELS = "ridge,xgboost"


def sweep(
    symbols: Annotated[
        Path, typer.Option("--symbols", metavar="FILE", help="One symbol per line; # begins a comment.")
    ],
    models: Annotated[str, typer.Option("--models", help="Model types, separated by commas.")] = MODELS,
    timeframe: TimeframeOption = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Default: the cores of this machine.")] = None,
    simulate: Simulate = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown; --json has all.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Score many models on many symbols, walk-forward and after costs; best first. Run again, it goes on where it stood."""
    # Before numpy is loaded: a process whose arithmetic has threads cannot be forked.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from evolve.agents.sweep import Sweep
    from evolve.market.catalog import Catalog
    from evolve.market.store import BarStore
    from evolve.memory.database import Database
    from evolve.memory.sweep_scores import SweepScores
    from evolve.memory.trials import TrialLedger
    from evolve.settings import Settings

    settings = Settings.load()
    with Database.open(settings) as database:
        swept = Sweep(Catalog(BarStore.open(settings)), SweepScores(database), TrialLedger(database)).run(
            _symbols(symbols), [name.strip() for name in models.split(",") if name.strip()], timeframe=timeframe,
            simulate=simulate or settings.simulate, workers=workers or len(os.sched_getaffinity(0)), progress=_Shown(SYSTEM_CLOCK),
        )  # fmt: skip
    if as_json:
        about = {
            "ranked": [
                {**asdict(each.score), "deflated": each.deflated, "holm_p": each.holm_p} for each in swept.ranked
            ]
        }
        about |= {"skipped": [asdict(each) for each in swept.skipped]}
        typer.echo(json.dumps({**about, "trials": swept.trials, "found": swept.found}, indent=2))
        return
    _print(swept, limit)


def _symbols(file: Path) -> list[str]:
    from evolve.errors import InvalidRequest

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    named = [name for line in lines for name in line.partition("#")[0].replace(",", " ").split()]
    if not named:
        raise InvalidRequest(f"{file} names no symbol; write one per line")
    return list(dict.fromkeys(named))


def _print(swept: Swept, limit: int) -> None:
    head = (
        "",
        "symbol",
        "model",
        "bars",
        "sharpe",
        "return",
        "drawdown",
        "rel. MAE",
        "alpha",
        "p (Holm)",
        "deflated",
        "",
    )
    rows = [head, *(_row(each) for each in swept.ranked[:limit])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        texts = (
            text.ljust(width) if column < 3 or column == len(head) - 1 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        typer.echo("  ".join(texts).rstrip())
    if len(swept.ranked) > limit:
        typer.echo(f"… and {len(swept.ranked) - limit:,} more (--limit, --json)")
    standing = sum(each.stands_out for each in swept.ranked)
    typer.echo(
        f"{len(swept.ranked):,} pairs, {swept.found:,} of them scored before; deflated by {swept.trials:,} trials. "
        + (
            f"* {standing} stand out: `evolve ask` tests each against all its rivals."
            if standing
            else "None stands out from luck."
        )
    )
    for each in swept.skipped:
        typer.echo(f"left out: {each.symbol} {each.model_type}: {each.reason}".replace(" : ", ": "), err=True)


def _row(each: Ranked) -> tuple[str, ...]:
    score = each.score
    return (
        "*" if each.stands_out else " ", f"{score.symbol} {score.timeframe}", score.model_type, f"{score.tested_bars:,}",
        _number(score.sharpe, "{:.2f}"), _number(score.total_return, "{:+.1%}"), _number(score.drawdown, "{:.1%}"),
        _number(score.relative_mae, "{:.3f}"), _number(score.alpha, "{:+.1%}"), _number(each.holm_p, "{:.3f}"),
        _number(each.deflated, "{:.3f}"), score.why,
    )  # fmt: skip


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


class _Shown:
    """How far it is and about how long it will take; on a terminal in one line, elsewhere a line per tenth."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._what, self._began, self._before, self._tenth = "", 0.0, 0, -1

    def __call__(self, done: int, total: int, what: str) -> None:
        if what != self._what:
            self._what, self._began, self._before, self._tenth = what, self._clock.monotonic(), done - 1, -1
        ended = done == total
        if sys.stderr.isatty():
            print(f"\r{self._line(done, total)}\x1b[K", end="\n" if ended else "", file=sys.stderr, flush=True)
        elif 10 * done // total > self._tenth:
            self._tenth = 10 * done // total
            print(self._line(done, total), file=sys.stderr, flush=True)

    def _line(self, done: int, total: int) -> str:
        said = f"{self._what}: {done:,} of {total:,}"
        elapsed, mine = self._clock.monotonic() - self._began, done - self._before - 1
        if done == total or mine < 1:
            return said
        left = elapsed / mine * (total - done)
        return f"{said}, about {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
