"""What stands at an address that somebody gave? Fetched without ever touching this machine's own network.

Only http and https, only public addresses: checked on the numbers that the name resolves to, and then connected to these very numbers,
so that a name which changes its answer between check and connection gains nothing. Redirects are followed one by one through
the same check. Bounded in redirects, bytes and time. Proxies of the environment are not used: they would resolve names unchecked.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpcore

from evolve.addresses import CheckedNetwork
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import BadAnswer, DeadlineExceeded, InvalidRequest, TooLarge, Unavailable

MAX_BYTES = 20 << 20  # the longest papers with figures have 15 MB
MAX_REDIRECTS = 5
MAX_URL = 2048
AGENT = b"evolve-trading (research reader)"


@dataclass(frozen=True, slots=True)
class Page:
    """What was found. url: after redirects; content_type: lower case, without parameters."""

    url: str
    content_type: str
    body: bytes


def fetch(
    url: str, *, limit_s: float, private: bool = False, max_bytes: int = MAX_BYTES, clock: Clock = SYSTEM_CLOCK
) -> Page:
    """The document at `url`. private: allow addresses of this machine and its network (tests).

    Raises InvalidRequest for what is no such address, Forbidden for a private one, TooLarge, DeadlineExceeded, Unavailable for no
    answer, BadAnswer for a status that is none of a document.
    """
    ends = clock.monotonic() + limit_s
    where = url
    with httpcore.ConnectionPool(network_backend=CheckedNetwork(private), max_connections=1) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            check_url(where)
            answer = _asked(pool, where, ends, max_bytes, clock, limit_s)
            if isinstance(answer, Page):
                return answer
            where = urljoin(where, answer)
    raise BadAnswer(f"{url} redirects more than {MAX_REDIRECTS} times")


def check_url(url: str) -> None:
    """Raises InvalidRequest for anything but a plain http or https address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidRequest(f"{url[:80]!r} is not an address; write https://arxiv.org/abs/… or the like") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidRequest(f"{url[:80]!r} cannot be fetched: only http:// and https:// addresses can")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(f"an address with a name or password in it is not fetched: {host}")
    if len(url) > MAX_URL or not url.isascii() or any(sign <= " " for sign in url):
        raise InvalidRequest(f"the address must be plain ASCII of at most {MAX_URL} characters: {url[:80]!r}")


def _asked(
    pool: httpcore.ConnectionPool, url: str, ends: float, max_bytes: int, clock: Clock, limit_s: float
) -> Page | str:
    """The page, or where it has moved to."""

    def left() -> float:
        remaining = ends - clock.monotonic()
        if remaining <= 0:
            raise DeadlineExceeded(
                f"{url} took longer than {limit_s:g} s; set EVOLVE_RESEARCH_LIMIT_S, or give paper_abstract"
            )
        return remaining

    headers = [
        (b"User-Agent", AGENT),
        (b"Accept", b"text/html, application/pdf, text/plain, */*;q=0.1"),
        (b"Accept-Encoding", b"identity"),
    ]
    seconds = left()
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    try:
        with pool.stream("GET", url, headers=headers, extensions={"timeout": timeout}) as response:
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in (301, 302, 303, 307, 308) and found.get("location"):
                return found["location"]
            if response.status != 200:
                raise BadAnswer(f"{url} answered status {response.status}, no document")
            if found.get("content-encoding", "identity").lower() != "identity":
                # Compressed a thousandfold, a small answer is a large one; we asked for it plain.
                raise BadAnswer(f"{url} answered compressed ({found['content-encoding'][:20]}) though asked not to")
            body = bytearray()
            for part in response.iter_stream():
                body += part
                if len(body) > max_bytes:
                    raise TooLarge(f"{url} holds more than {max_bytes >> 20} MB; give paper_abstract instead")
                left()
    except httpcore.TimeoutException:
        left()
        raise Unavailable(f"{url} does not answer in time") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise Unavailable(f"{url} does not answer ({type(error).__name__}: {str(error)[:100]})") from None
    kind = found.get("content-type", "").split(";")[0].strip().lower()
    return Page(url, kind, bytes(body))
