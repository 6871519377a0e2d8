"""When did a replica end that nobody had told to? A short file in the home, written by the supervisor, read by alerts and doctor.

A file, because it must outlive the supervisor, the server and whoever reads it, and the supervisor opens no database.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from evolve.files import write_whole

FILE_NAME = "crashes.jsonl"
KEPT = 200  # lines; a service that crashes as fast as it is started again (30 s apart) fills it in two hours


@dataclass(frozen=True, slots=True)
class Crash:
    """at: Unix seconds; status: the exit code, negative for a signal."""

    service: str
    status: int
    at: float


def note_crash(run_dir: Path, crash: Crash) -> None:
    """Add one; a directory that cannot be written loses the note, not the supervisor."""
    lines = [json.dumps(asdict(each)) for each in [*crashes(run_dir)[1 - KEPT :], crash]]
    with suppress(OSError):
        write_whole(run_dir / FILE_NAME, ("\n".join(lines) + "\n").encode())


def crashes(run_dir: Path, *, since: float = 0.0) -> list[Crash]:
    """The oldest first; empty where none was noted."""
    try:
        lines = (run_dir / FILE_NAME).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            noted = json.loads(line)
            crash = Crash(str(noted["service"]), int(noted["status"]), float(noted["at"]))
            if crash.at >= since:
                found.append(crash)
    return found
