"""`evolve doctor`: what is wrong here, and how to mend each, as a terminal shows it."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.text import Text

from evolve.cli.show import busy, console
from evolve.errors import EvolveError
from evolve.manager.doctor.examination import examine, worst
from evolve.manager.doctor.finding import Finding, fail
from evolve.settings import Settings

STYLES = {"ok": "green", "warning": "yellow", "fail": "bold red"}


def run(*, as_json: bool) -> int:
    """The exit code: 1 where something fails, 0 for what only might."""
    with busy("examining"):
        findings = _found()
    state = worst(findings)
    if as_json:
        rows = [asdict(finding) | {"help": finding.help} for finding in findings]
        print(json.dumps({"state": state, "findings": rows}, indent=2, ensure_ascii=False))
    else:
        _show(findings)
    return 1 if state == "fail" else 0


def _found() -> list[Finding]:
    try:
        settings = Settings.load()
    except EvolveError as error:
        return [
            fail(
                "settings", error.message, "mend that variable of the environment; docs/operations.md lists all of them"
            )
        ]
    return examine(settings)


def _show(findings: list[Finding]) -> None:
    output = console()
    for finding in findings:
        state = Text(f"{finding.state:<8}", style=STYLES[finding.state])
        output.print(state, Text(f"{finding.name:<13}"), Text(finding.said), soft_wrap=True)
        if finding.mend:
            output.print(Text(f"{'':<23}→ {finding.mend} · {finding.help}", style="dim"), soft_wrap=True)
    counts = {state: sum(finding.state == state for finding in findings) for state in STYLES}
    output.print(f"{counts['ok']} ok, {counts['warning']} to look at, {counts['fail']} to mend")
