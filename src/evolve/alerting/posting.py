"""What does a web server say to a message posted to it? One POST, bounded in time and bytes, redirects not followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpcore

from evolve.addresses import CheckedNetwork
from evolve.alerting.couriers import LIMIT_S, Delivered, Outcome, Refused, TryAgain, retry_after
from evolve.clock import SYSTEM_CLOCK
from evolve.errors import Forbidden

MAX_ANSWER = 64 << 10
AGENT = b"evolve-trading (alerts)"
# Not now, but perhaps later (RFC 9110; 425 of RFC 8470).
LATER = (408, 409, 423, 425, 429)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: str | None
    body: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> Answer | TryAgain | Refused:
    """The answer, or why there is none. No sentence holds the address: it may be a secret.

    private: an address of this machine or its network is allowed.
    """
    sent = [(b"User-Agent", AGENT), (b"Accept-Encoding", b"identity")]
    sent += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    ends = SYSTEM_CLOCK.monotonic() + LIMIT_S
    network = CheckedNetwork(private, refused="allow it in the rule with --private if that is meant")
    try:
        with (
            httpcore.ConnectionPool(network_backend=network, max_connections=1) as pool,
            pool.stream(
                "POST", url, headers=sent, content=body,
                extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), LIMIT_S)},
            ) as response,
        ):  # fmt: skip
            answered = bytearray()
            for part in response.iter_stream():
                answered += part
                if len(answered) > MAX_ANSWER or SYSTEM_CLOCK.monotonic() > ends:
                    break  # the status says it all; nobody reads an endless answer
            named = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, named.get(b"retry-after"), bytes(answered[:MAX_ANSWER]))
    except Forbidden as error:
        return Refused(error.message)
    except httpcore.TimeoutException:
        return TryAgain(f"it did not answer within {LIMIT_S:g} s")
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        # Also when it hung up after it took the message: whether it did cannot be known, and the id tells a repetition.
        return TryAgain(f"it does not answer ({type(error).__name__})")


def outcome_of(answer: Answer, *, now: float) -> Outcome:
    """What a status means for a message that was posted."""
    if 200 <= answer.status < 300:
        return Delivered()
    if answer.status in LATER or answer.status >= 500:
        return TryAgain(f"it answered status {answer.status}", retry_after(answer.retry_after, now=now))
    if 300 <= answer.status < 400:
        return Refused(f"it answered status {answer.status}, a redirect: make the rule again with the final address")
    return Refused(f"it answered status {answer.status}: it does not take such messages")
