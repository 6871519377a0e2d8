"""Is it worth asking again? After failures an endpoint is left alone for a while, by all processes of this home."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from evolve.clock import Clock
from evolve.errors import EvolveError, Forbidden, Unavailable
from evolve.files import write_whole

FAILURES = 3  # in a row; one may be chance
REST_S = 60.0  # long enough to spare a question the wait, short enough that a person who mends it does not wonder


class Breaker:
    """One file per endpoint. A lost race between two processes costs one more attempt, so nothing is locked."""

    def __init__(self, directory: Path, identity: str, clock: Clock) -> None:
        self._path = directory / f"breaker-{identity}.json"
        self._clock = clock

    def check(self) -> None:
        """Raises Unavailable with the reason of the last failure while the endpoint rests."""
        _, until, why = self._read()
        if self._clock.now() < until:
            raise Unavailable(f"{why} (not asked again for {until - self._clock.now():.0f} s)", resting=True)

    def failed(self, error: EvolveError, *, at_once: bool = False) -> None:
        """at_once: no second attempt can help soon, such as a key that is refused."""
        failures = self._read()[0] + 1
        rests = at_once or isinstance(error, Forbidden) or failures >= FAILURES
        self._write(failures, self._clock.now() + REST_S if rests else 0.0, error.message)

    def succeeded(self) -> None:
        if self._path.exists():
            self._path.unlink(missing_ok=True)

    def _read(self) -> tuple[int, float, str]:
        try:
            row = json.loads(self._path.read_text(encoding="utf-8"))
            return int(row["failures"]), float(row["until"]), str(row["why"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0.0, ""

    def _write(self, failures: int, until: float, why: str) -> None:
        with contextlib.suppress(OSError):  # without a place to note it, every question finds out anew
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path, json.dumps({"failures": failures, "until": until, "why": why}).encode())
