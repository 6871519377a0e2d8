"""What does a service's answer look like on the wire, whatever came of the request?"""

from __future__ import annotations

from typing import Any

from evolve import logs
from evolve.clock import Clock
from evolve.errors import EvolveError, Internal, TooLarge
from evolve.messaging.bus import Delivery
from evolve.messaging.envelope import RequestEnvelope, dump, error_response, response


class Answers:
    """Replies and errors of one service, as bytes."""

    def __init__(self, service: str, clock: Clock, *, max_bytes: int) -> None:
        self._service, self._clock, self._max_bytes = service, clock, max_bytes
        self._log = logs.logger(service=service)

    def event(self, wire_type: str, data: dict[str, Any], request_id: str | None = None) -> bytes:
        return dump(response(self._service, wire_type, data, at=self._clock.now(), request_id=request_id))

    def reply(self, wire_type: str, data: dict[str, Any], request_id: str | None) -> bytes:
        """Raises TooLarge for a reply that its asker would not read."""
        raw = self.event(wire_type, data, request_id)
        if len(raw) > self._max_bytes:
            raise TooLarge(
                f"the reply ({wire_type}) has {len(raw):,} bytes, over the limit of {self._max_bytes:,}: ask for less, or "
                "raise EVOLVE_MAX_REPLY_BYTES for the service and its clients"
            )
        return raw

    def error(self, delivery: Delivery, envelope: RequestEnvelope | None, error: EvolveError) -> bytes:
        """The error under the id its sender gave, if any."""
        known = (envelope.request_id if envelope else None) or delivery.request_id

        def envelope_of(error: EvolveError) -> bytes:
            return dump(
                error_response(
                    self._service,
                    error,
                    request_type=envelope.type if envelope else None,
                    at=self._clock.now(),
                    request_id=known if delivery.named else None,
                )
            )

        try:
            return envelope_of(error)
        except TypeError:
            self._log.exception("an error's details are no JSON", code=error.code, error=error.message)
            return envelope_of(Internal(f"{error.message} (its details are no JSON, a bug of ours)"))
