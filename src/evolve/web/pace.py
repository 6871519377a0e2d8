"""How often may somebody ask? A bucket per name that fills at a rate; bounded, whoever comes."""

from __future__ import annotations

from collections import OrderedDict

from evolve.clock import SYSTEM_CLOCK, Clock

MAX_NAMES = 10_000  # 1 MB; the ones not seen for longest are forgotten, and their buckets are full by then


class Pace:
    """per_s: how many a second in the long run; burst: how many at once."""

    def __init__(self, *, per_s: float, burst: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        # Virtual scheduling: the time at which a name's bucket will be full again says all about it.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, name: str, *, cost: float = 1.0) -> float:
        """0 when `name` may ask now, and then it has asked; else the seconds until it may."""
        now = self._clock.monotonic()
        full_at = max(now, self._full_at.get(name, now))
        wait = full_at - now + (cost - self._burst) / self._per_s
        if wait > 0:
            return wait
        self._full_at[name] = full_at + cost / self._per_s
        self._full_at.move_to_end(name)
        if len(self._full_at) > MAX_NAMES:
            self._full_at.popitem(last=False)
        return 0.0

    def is_spent(self, name: str) -> float:
        """Like `wait_s`, but asks for nothing."""
        now = self._clock.monotonic()
        return max(0.0, self._full_at.get(name, now) - now + (1.0 - self._burst) / self._per_s)
