"""`evolve sandbox` and `evolve backtest`: programs of one's own behind the wall, and what the wall stops."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from evolve.cli.show import busy, console, print_json, show_comparison
from evolve.errors import InvalidRequest
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.contracts.performance_critic import StrategyBacktested


def quiet() -> None:
    """Security events of a program on the command line are shown there and kept in the home's log; not a third time on stderr."""
    logging.getLogger("evolve.sandbox").setLevel(logging.ERROR)


def run(file: Path, given: str, *, timeout_s: float | None, memory_mb: int | None, as_json: bool) -> int:
    """Run one program; its value as JSON on standard output, what it printed and why it failed on standard error."""
    from evolve.sandbox.executor import SafeExecutor

    quiet()
    code, data = program(file), input_of(given)
    settings = Settings.load()
    timeout_s = settings.safe_executor_timeout_s if timeout_s is None else timeout_s
    memory_mb = settings.safe_executor_memory_mb if memory_mb is None else memory_mb
    with SafeExecutor(timeout_s, memory_mb, home=settings.home, spare=1) as executor:
        result = executor.execute_model(code, file.stem, data)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(visible(result.output), end="", file=sys.stderr)
        for line in result.logs:
            print(f"note: {visible(line)}", file=sys.stderr)
        if result.status == "success":
            print(json.dumps(result.return_value, indent=2, ensure_ascii=False))
        else:
            print(f"{result.status}: {visible(result.error or '')}", file=sys.stderr)
        print(f"{1000 * result.execution_time:.1f} ms, {result.memory_used:.1f} MiB", file=sys.stderr)
    return 0 if result.status == "success" else 1


def visible(text: str) -> str:
    """Text of a program for a terminal: control characters are shown, not obeyed."""
    return "".join(each if each in "\n\t" or each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def attack_suite(*, as_json: bool) -> int:
    """The gallery of attacks on this machine's wall: what each tried, and what stopped it."""
    from evolve.sandbox import gallery
    from evolve.sandbox.executor import SafeExecutor

    quiet()
    # A home of its own: what is tried here on purpose is no event of the user's system, and no run in its statistics.
    with (
        tempfile.TemporaryDirectory(prefix="evolve-") as home,
        SafeExecutor(10, 256, home=Path(home)) as executor,
        busy("attacking the wall"),
    ):
        executor.start()
        level = executor.isolation_level
        stopped = list(gallery.show(executor))
    reached = [each.attack.name for each in stopped if each.reached]
    if as_json:
        rows = [
            {
                "name": each.attack.name,
                "tries": each.attack.tries,
                "gate": each.gate,
                "wall": each.wall,
                "stopped": not each.reached,
            }
            for each in stopped
        ]
        print(json.dumps({"isolation_level": level, "attacks": rows}, indent=2, ensure_ascii=False))
        return 1 if reached else 0
    output = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("attack", "tries to", "the gate says", "without the gate"):
        table.add_column(title, overflow="fold")
    for each in stopped:
        wall = (
            "[bold red]REACHED IT[/bold red]" if each.reached else escape(each.wall.partition(" (the sandbox has")[0])
        )
        table.add_row(
            escape(each.attack.name),
            escape(each.attack.tries),
            escape(each.gate.partition(" (the sandbox has")[0]),
            wall,
        )
    output.print(table)
    output.print(
        f"{len(stopped) - len(reached)} of {len(stopped)} attacks stopped; the wall: {level} (docs/sandbox.md)",
        style="bold" if not reached else "bold red",
    )
    return 1 if reached else 0


def program(file: Path) -> str:
    """The text of a program. Raises InvalidRequest."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{file} is not UTF-8 text; save the program as UTF-8") from None


def input_of(given: str) -> dict[str, Any]:
    """A JSON object from text, or from a file named after `@`. Raises InvalidRequest."""
    text = given
    if given.startswith("@"):
        text = program(Path(given[1:]))
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"--input is not JSON ({error}); such as --input '{{\"prices\": [100, 101]}}'") from None
    if not isinstance(found, dict):
        raise InvalidRequest(
            f'--input takes a JSON object such as {{"prices": [100, 101]}}, not {type(found).__name__}'
        )
    return found


def show_backtest(reply: StrategyBacktested, again: list[str], *, as_json: bool) -> None:
    """The strategy among the baselines, as other answers are shown; `again` is the command that was typed."""
    comparison = replace(reply.comparison, trust=replace(reply.comparison.trust, reproduce=shlex.join(again)))
    shown = reply.model_copy(update={"comparison": comparison})
    if as_json:
        print_json(shown)
        return
    output = console()
    data = comparison.trust.data
    output.print(
        f"{comparison.symbol} {comparison.timeframe}: {data.bars:,} bars, {data.first} to {data.last}, {data.source} · data {data.status}"
    )
    if data.simulated:
        output.print("SIMULATED DATA: invented prices; nothing below is a view on the stock", style="bold white on red")
    for note in reply.run.logs:
        output.print(f"• {escape(visible(note))}", style="dim")
    show_comparison(comparison.rows, comparison.trust, comparison.curves, comparison.period)
    output.print(
        f"the program took {reply.run.execution_time:.2f} s and {reply.run.memory_used:.0f} MiB in the sandbox",
        style="dim",
    )
