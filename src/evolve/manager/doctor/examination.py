"""How is a home examined in bounded time? All checks at once, each in a thread of its own; one that hangs is a finding itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from evolve import logs
from evolve.errors import EvolveError
from evolve.manager.doctor import machine, server, services, store
from evolve.manager.doctor.finding import Finding, fail, warning
from evolve.settings import Settings

Check = Callable[[Settings], list[Finding]]
LIMIT_S = 20.0  # of everything together: the slowest, the sandbox's self-test, takes two seconds on a busy machine

CHECKS: dict[str, Check] = {
    "versions": machine.versions,
    "home": machine.home,
    "disk": machine.disk,
    "clock": machine.clock,
    "server": server.server,
    "services": services.services,
    "queues": services.queues,
    "database": store.database,
    "data": store.data,
    "alerts": store.alerts,
    "sandbox": machine.sandbox,
    "torch": machine.torch,
    "web": machine.web,
}


def examine(settings: Settings, *, checks: dict[str, Check] | None = None, limit_s: float = LIMIT_S) -> list[Finding]:
    """Everything that was found, in the order of the checks; starts nothing, changes nothing, and takes `limit_s` at most."""
    wanted = CHECKS if checks is None else checks
    found: dict[str, list[Finding]] = {}
    threads = {
        name: threading.Thread(target=_run, args=(name, check, settings, found), name=f"doctor-{name}", daemon=True)
        for name, check in wanted.items()
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + limit_s
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    late = "look at what it needs with the findings beside it, and run `evolve doctor` again"
    return [
        finding
        for name in wanted
        for finding in found.get(name, [fail(name, f"the check did not end within {limit_s:g} s", late)])
    ]


def worst(findings: Sequence[Finding]) -> str:
    """`fail`, `warning` or `ok`."""
    states = {finding.state for finding in findings}
    return next((state for state in ("fail", "warning") if state in states), "ok")


def _run(name: str, check: Check, settings: Settings, found: dict[str, list[Finding]]) -> None:
    try:
        found[name] = check(settings)
    except EvolveError as error:
        found[name] = [fail(name, error.message, f"see docs/troubleshooting.md#{error.code}")]
    except Exception as error:  # noqa: BLE001 - the other findings must be shown all the same
        logs.logger(component="doctor").exception("a check failed", check=name)
        found[name] = [
            warning(name, f"the check itself failed: {error!r}", "please report this; the traceback stands above")
        ]
