"""How many replicas of a service did the user ask for? A number, or a range within which they follow the work; remembered in the home.

A file, because it must outlive the supervisor and the server: what was scaled stays so after a crash, `evolve down` and `evolve up`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from evolve.errors import InvalidRequest, Unavailable
from evolve.files import write_whole
from evolve.messaging.sockets import make_private
from evolve.services import service_path

MOST = 64  # of one service by one supervisor: a front takes 40 MB and a connection or two, so this is 2.5 GB for a mistyped number
FILE_NAME = "replicas.json"
DECISIONS = "scaling.jsonl"
KEPT = 200  # decisions; one a second, the fastest there can be, for three minutes, and days of an ordinary load


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high` replicas; equal for a number that stands."""

    low: int
    high: int

    @property
    def follows(self) -> bool:
        return self.low < self.high

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" if self.follows else str(self.low)


def parse_scale(text: str, *, cores: int) -> Scale:
    """`3`, `1..4`, or `auto`: from one to as many as there are cores. Raises InvalidRequest."""
    if text == "auto":
        return Scale(1, max(1, cores))
    found = re.fullmatch(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?", text)
    if found is None:
        raise InvalidRequest(f"{text!r} is no number of replicas: give a number (3), a range (1..4) or auto")
    low = int(found[1])
    high = low if found[2] is None else int(found[2])
    if high > MOST:
        raise InvalidRequest(f"{high} replicas are more than one supervisor runs ({MOST}); more run on other machines")
    if low > high:
        raise InvalidRequest(f"the range {text} is empty: the smaller number comes first ({high}..{low})")
    if low < 1 and high > low:
        # Who asks is told that nobody serves before the request is ever queued, so nothing would wake the first one.
        raise InvalidRequest(
            f"the range {text} begins below 1: a service that is asked needs one replica; 0 alone stops it"
        )
    return Scale(low, high)


def parse_scales(words: list[str], *, cores: int) -> dict[str, Scale]:
    """`model_builder=3 research=1..4` by service. Raises InvalidRequest, UnknownService."""
    found: dict[str, Scale] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InvalidRequest(f"scale takes SERVICE=REPLICAS, such as model_builder=3, not {word!r}")
        service_path(name)
        if name in found:
            raise InvalidRequest(f"{name} is given twice")
        found[name] = parse_scale(text, cores=cores)
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- remembered ---


def remembered(home: Path) -> dict[str, Scale]:
    """By service; those that were never scaled are not in it. What cannot be read any more is as if it was never said."""
    try:
        kept = json.loads((home / FILE_NAME).read_text())
    except (OSError, ValueError):
        return {}
    found: dict[str, Scale] = {}
    for name, text in kept.items() if isinstance(kept, dict) else ():
        with suppress(InvalidRequest):
            found[str(name)] = parse_scale(str(text), cores=cores())
    return found


def remember(home: Path, scales: Mapping[str, Scale]) -> None:
    """In the place of what was remembered of these services. Raises Unavailable."""
    every = {**remembered(home), **scales}
    try:
        make_private(home)
        text = json.dumps({name: str(scale) for name, scale in sorted(every.items())}, indent=2)
        write_whole(home / FILE_NAME, text.encode(), durable=True)
    except OSError as error:
        raise Unavailable(f"cannot write {home / FILE_NAME}: {error.strerror}; nothing was scaled") from None


# --- what was decided ---


@dataclass(frozen=True, slots=True)
class Scaled:
    """One decision of the autoscaler. at: Unix seconds."""

    service: str
    before: int
    after: int
    why: str
    at: float


def note_scaled(run_dir: Path, scaled: Scaled) -> None:
    """Add one; a directory that cannot be written loses the note, not the supervisor."""
    lines = [json.dumps(asdict(each)) for each in [*decisions(run_dir)[1 - KEPT :], scaled]]
    with suppress(OSError):
        write_whole(run_dir / DECISIONS, ("\n".join(lines) + "\n").encode())


def decisions(run_dir: Path) -> list[Scaled]:
    """The oldest first."""
    try:
        lines = (run_dir / DECISIONS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            noted = json.loads(line)
            found.append(
                Scaled(str(noted["service"]), int(noted["before"]), int(noted["after"]), str(noted["why"]), float(noted["at"]))
            )  # fmt: skip
    return found


def last_decisions(run_dir: Path) -> dict[str, Scaled]:
    """The newest one of each service."""
    return {scaled.service: scaled for scaled in decisions(run_dir)}
