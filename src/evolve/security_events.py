"""What must somebody look at? Refusals and attempts, from a closed list, by one logger.

Each is a warning of the logger `security` in the service's own log, and a line of JSON in `security.log` beside it, which all services of a
home share: what to hand to a system that watches. `evolve security events` shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from evolve.clock import SYSTEM_CLOCK, iso

if TYPE_CHECKING:
    from evolve import logs

SecurityEvent = Literal[
    "auth_refused",  # the Redis server took neither this user nor this password
    "acl_refused",  # the user may not do that on the server
    "access_refused",  # a token that does not hold, or not for this
    "rate_limited",
    "program_refused",  # by the gate of the sandbox: its run ends as validation_error
    "forbidden_system_call",  # the kernel killed a program for it
    "channel_forged",  # a program wrote frames of its own
    "self_test_failed",  # the sandbox does not stand: nothing runs
    "sandbox_disabled",
    "tampered_artifact",  # a stored file that does not have the hash it is named by
    "tampered_audit",
    "path_refused",
    "url_refused",
]
EVENTS: tuple[SecurityEvent, ...] = get_args(SecurityEvent)
Detail: TypeAlias = str | int | float | bool | None

NAME = "security.log"
MAX_DETAIL = 300  # characters: enough to know what was tried, too few to fill a disk with

REPEAT_S = 10.0  # the same again within this is not written again: who hammers at a door must not fill the log
MAX_KNOWN = 1_000  # different ones that are remembered

_counted: Counter[str] = Counter()
_said: dict[tuple[object, ...], float] = {}
_files: dict[tuple[int, Path], logs.LogFile] = {}


def report(event: SecurityEvent, **details: Detail) -> None:
    """Put it on record. Never raises: a refusal must not fail for want of a disk."""
    _counted[event] += 1
    shown = {name: plain(value) for name, value in details.items()}
    if _just_said((event, *shown.items())):
        return
    from evolve import logs  # with its library, which what merely draws a chart need not load

    logs.logger(component="security").warning("security event", what=event, **shown)
    directory = logs.directory()
    if directory is None:  # a notebook, a script: its own log has it
        return
    of_request = {"request_id": plain(logs.request_id())} if logs.request_id() is not None else {}
    line = json.dumps({"at": iso(SYSTEM_CLOCK.now()), "event": event, "pid": os.getpid(), **of_request, **shown})
    with contextlib.suppress(OSError):
        _file(directory / NAME).write(line)


def taken() -> dict[str, int]:
    """How often each event was reported in this process since this was asked last: repetitions that were not written count too."""
    found = dict(_counted)
    _counted.clear()
    return found


def add(events: Mapping[str, int]) -> None:
    """Count what a process that works for this one met."""
    _counted.update(events)


def _just_said(what: tuple[object, ...]) -> bool:
    now = SYSTEM_CLOCK.monotonic()
    if now - _said.get(what, -REPEAT_S) < REPEAT_S:
        return True
    if len(_said) >= MAX_KNOWN:
        _said.clear()
    _said[what] = now
    return False


def plain(value: Detail) -> Detail:
    """A detail as it may be shown on any terminal: one line, no control characters, bounded. What others chose is never trusted."""
    if not isinstance(value, str):
        return value
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value[: MAX_DETAIL + 1])
    return shown if len(value) <= MAX_DETAIL else f"{shown[:MAX_DETAIL]}…"


def reported(directory: Path) -> Iterator[dict[str, Detail]]:
    """What is on record there, oldest first; a line that a full disk cut off is left out."""
    from evolve import logs

    for number in range(logs.KEPT, -1, -1):
        path = directory / (f"{NAME}.{number}" if number else NAME)
        with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(json.JSONDecodeError):
                    yield json.loads(line)


def _file(path: Path) -> logs.LogFile:
    from evolve import logs

    # By process: a file that was open before a fork has a lock which may be held for ever in the child.
    key = (os.getpid(), path)
    if key not in _files:
        _files[key] = logs.LogFile(path)
    return _files[key]
