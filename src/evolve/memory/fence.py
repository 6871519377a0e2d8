"""May this run of a request still change anything? A replica that lost its lease, and does not know it yet, may not.

The bus gives every run of a request a token that is higher than the run's before. A later run notes its token in the database
before it does anything; from then on a write under a lower one is refused, in the transaction that would have made it. What an
earlier run wrote before that is found again by its request_id: both together let an effect happen once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ROLES = "leader/"  # how the name of a role's fence begins (see `leadership`)
# A request waits for its service for a week at most; a run of it that is still going on after another week has long lost its lease.
KEPT_MS = 14 * 86_400_000


@dataclass(frozen=True, slots=True)
class Fence:
    """request: who is at work, as `service/request_id`. token: grows with every run of it, compared as text. again: not its first run.

    The token of a request begins with the millisecond at which it was queued (see `messaging.bus.fence_of`); that of a role is a number.
    """

    request: str
    token: str
    again: bool = False

    def oldest_kept(self) -> str:
        """Fences of requests with a lower token may be forgotten; empty for a role, which does not know what time it is."""
        queued_ms, dash, _ = self.token.partition("-")
        return f"{max(0, int(queued_ms) - KEPT_MS):016d}" if dash and queued_ms.isdecimal() else ""


_held: ContextVar[Fence | None] = ContextVar("fence", default=None)


@contextmanager
def behind(fence: Fence) -> Iterator[None]:
    """Every write of this thread within the block is made under `fence`."""
    before = _held.set(fence)
    try:
        yield
    finally:
        _held.reset(before)


def current() -> Fence | None:
    """The fence of the work in hand; None outside a request (a command, a test, a notebook)."""
    return _held.get()
