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


@dataclass(frozen=True, slots=True)
class Fence:
    """request: who is at work, as `service/request_id`. token: grows with every run of it, compared as text. again: not its first run."""

    request: str
    token: str
    again: bool = False


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
