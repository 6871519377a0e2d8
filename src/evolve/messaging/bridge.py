"""How does a plain `PUBLISH` on `<service>_input` become durable? The bridge writes it to the service's stream, once.

One bridge per service holds a lease and enters what it hears; the others listen too and keep the last seconds. When the
holder falls silent another takes over and enters what it heard but does not find among the entries since it joined.

Guaranteed over a takeover: a message with a `request_id` runs once. A message without one is entered at least once if
some bridge was listening when it was published, and once if holder and successor both heard it; a holder that died between
hearing and entering loses nothing another heard. Two equal messages are two.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from evolve import logs
from evolve.errors import EvolveError, Unavailable
from evolve.messaging.bus import Bus, Lane, input_channel
from evolve.messaging.envelope import dump, error_response, new_request_id, read_request
from evolve.messaging.tasks import end_tasks

LEASE_S = 2.0
BUFFER_S = 5.0  # longer than a lease: a successor still knows what the dead holder may have missed

LaneOf = Callable[[str, str], Lane]


@dataclass(frozen=True, slots=True)
class _Heard:
    at: float
    raw: bytes
    mark: str


class Bridge:
    """Bridges one service. Run `serve` as a task; it ends only when cancelled."""

    def __init__(self, bus: Bus, service: str, lane_of: LaneOf, *, max_bytes: int, name: str | None = None) -> None:
        self._bus = bus
        self._service = service
        self._lane_of = lane_of
        self._max_bytes = max_bytes
        self._name = name or f"bridge-{new_request_id()[:12]}"
        self._holder = False
        self._joined_at = 0.0
        self._buffer: deque[_Heard] = deque(maxlen=100_000)
        self._log = logs.logger(service=service)
        self.listening = asyncio.Event()

    async def serve(self) -> None:
        while True:
            keeper = asyncio.create_task(self._keep_lease())
            try:
                async for channel, raw in self._bus.listen([input_channel(self._service)]):
                    if not channel:
                        # What waits from before the connection broke is still compared with what was entered since then.
                        self._joined_at = self._joined_at if self._buffer else await self._bus.now(self._service)
                        self.listening.set()
                        continue
                    await self._hear(raw)
            except Unavailable:
                self._log.warning("bridge lost the server; trying again")
                await asyncio.sleep(0.5)
            finally:
                self.listening.clear()
                self._holder = False
                # Not by swallowing its cancellation: one of our own may come in the same moment, and we would go on for ever.
                await end_tasks([keeper])

    async def _hear(self, raw: bytes) -> None:
        heard = _Heard(time.monotonic(), raw, hashlib.blake2b(raw, digest_size=16).hexdigest())
        entered = False
        try:
            entered = self._holder and await self._enter(heard)
        finally:
            if not entered:  # also when the server went away meanwhile: whoever holds the lease next enters it
                self._holder = False
                self._buffer.append(heard)

    async def _keep_lease(self) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                held = self.listening.is_set() and await self._bus.hold_bridge(
                    self._service, self._name, lease_s=LEASE_S
                )
                self._holder = held and (self._holder or await self._take_over())
                self._forget()
            await asyncio.sleep(LEASE_S / 4)

    async def _take_over(self) -> bool:
        """Enter what was heard while another held the lease and is not among the entries. False if the lease lapsed."""
        # What was entered before we joined cannot be in our buffer, so it must not cancel out an equal message that is.
        entered = Counter(await self._bus.entered_since(self._service, self._joined_at))
        while self._buffer:
            heard = self._buffer[0]
            if entered[heard.mark] > 0:
                entered[heard.mark] -= 1
            elif not await self._enter(heard):
                return False
            self._buffer.popleft()
        return True

    def _forget(self) -> None:
        oldest = time.monotonic() - BUFFER_S
        while not self._holder and self._buffer and self._buffer[0].at < oldest:
            self._buffer.popleft()

    async def _enter(self, heard: _Heard) -> bool:
        """False when the lease is another's by now."""
        try:
            envelope = read_request(heard.raw, max_bytes=self._max_bytes)
        except EvolveError as error:
            return await self._reject(heard, error)
        return await self._bus.enter(
            self._service,
            self._lane_of(self._service, envelope.type),
            self._name,
            heard.raw,
            request_id=envelope.request_id or new_request_id(),
            named=envelope.request_id is not None,
            mark=heard.mark,
        )

    async def _reject(self, heard: _Heard, error: EvolveError) -> bool:
        self._log.warning("rejected a published message", reason=error.message)
        reply = error_response(
            self._service, error, request_type=None, at=await self._bus.now(self._service), request_id=None
        )
        return await self._bus.reject(
            self._service,
            self._name,
            # Kept whole up to a limit: a dead letter is for looking at, not for filling the server.
            heard.raw[: self._max_bytes],
            dump(reply),
            reason=f"{error.code}: {error.message}",
            mark=heard.mark,
        )
