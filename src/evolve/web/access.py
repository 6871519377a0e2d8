"""Who asks, and what may they do? A user's own programs on this machine, or whoever holds a token.

Nobody is trusted for coming from this machine alone: other users of it are strangers, and so is a page of another site that
runs in the user's own browser (see `guard`).
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import secrets
import socket
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.requests import Request

from evolve.audit_trail import user_of_this_machine
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import Forbidden, InvalidRequest, RateLimited
from evolve.settings import Settings
from evolve.web.pace import Pace
from evolve.web.peer import is_loopback, tells_users
from evolve.web.problems import Unauthorized
from evolve.web.protocol import PEER
from evolve.web.tokens import SCOPES, Scope, Tokens, scopes_up_to

GUESSES_PER_MINUTE = 10
SESSION_S = 7 * 86_400.0
MAX_SESSIONS = 1_000
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# Whoever forwards for others would lend them its own user.
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
HOW = "send `Authorization: Bearer TOKEN`, with a token made by `evolve token create`; a browser opens the address that `evolve status` prints"

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. name: for logs and limits, never a secret. cross_site_safe: proved by a header that no other site can make a
    browser send. called: what the maker of a token named it, or the user of this machine; empty where nobody is known."""

    name: str
    scopes: frozenset[str] = frozenset()
    cross_site_safe: bool = False
    called: str = ""

    @property
    def on_record(self) -> str:
        """Who asked, for the audit trail and the decision log."""
        return f"{self.called} ({self.name})" if self.called else self.name


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the server listens, and under which names. hosts, origins: lower case; origins whose pages may ask too."""

    host: str
    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, settings: Settings, host: str) -> Reach:
        """Raises InvalidRequest for an origin that is none."""
        own = {name.strip().lower() for name in settings.web_hosts.split(",") if name.strip()}
        origins = {origin.strip().lower().rstrip("/") for origin in settings.web_origins.split(",") if origin.strip()}
        for origin in origins:
            if not origin.startswith(("http://", "https://")) or "/" in origin.partition("://")[2]:
                raise InvalidRequest(f"EVOLVE_WEB_ORIGINS: {origin!r} is no origin such as https://app.example:8443")
        return cls(host, frozenset({*LOOPBACK_NAMES, host, socket.gethostname().lower(), *own}), frozenset(origins))

    @property
    def is_local(self) -> bool:
        return self.host == "localhost" or is_loopback(self.host)

    def admits(self, host: str) -> bool:
        """Whether a request for `host` is meant for us. A page that rebinds its own name to our address names itself."""
        name = host_name(host)
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return not self.is_local  # an address cannot be rebound; on loopback the ones above are all there are


def host_name(host: str) -> str:
    """The name in a Host header: without port, brackets and case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


class Access:
    """Tells who asks. `launch`: a token of this process alone, for the address that signs a browser in."""

    def __init__(self, settings: Settings, reach: Reach, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.reach = reach
        self.tokens = Tokens(settings.home, clock=clock)
        self.launch = secrets.token_urlsafe(32)
        self._guesses = Pace(per_s=GUESSES_PER_MINUTE / 60, burst=GUESSES_PER_MINUTE, clock=clock)
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._clock = clock

    @property
    def needs_login(self) -> bool:
        """Whether this user's own browser has to be signed in: we listen for others too, or cannot tell users apart."""
        return not (self.reach.is_local and tells_users())

    def who(self, scope: Mapping[str, Any], headers: Headers) -> Principal:
        """Raises Unauthorized for a wrong token, and RateLimited for an address that tried too many."""
        address = address_of(scope)
        given = headers.get(b"authorization")
        if given is not None:
            kind, _, token = given.decode("latin-1").partition(" ")
            return self._holder(token.strip() if kind.lower() == "bearer" else "", address)
        session = self._session(headers)
        if session is not None:
            return session
        if self._is_own_user(scope, headers):
            return Principal("owner", frozenset(SCOPES), called=user_of_this_machine())
        return Principal(f"address {address}")

    def _holder(self, token: str, address: str) -> Principal:
        wait_s = self._guesses.is_spent(address)
        if wait_s:
            # Not even looked at, so that guessing is as slow as it is promised to be.
            raise RateLimited(f"too many wrong tokens; wait {math.ceil(wait_s)} s", retry_after_s=math.ceil(wait_s))
        if secrets.compare_digest(token.encode(), self.launch.encode()):
            return Principal("launch", frozenset(SCOPES), cross_site_safe=True)
        found = self.tokens.find(token)
        if found is None:
            self._guesses.wait_s(address)
            raise Unauthorized(f"this token is not valid (any more); {HOW}")
        return Principal(f"token {found.id}", scopes_up_to(found.scope), cross_site_safe=True, called=found.name)

    def _is_own_user(self, scope: Mapping[str, Any], headers: Headers) -> bool:
        if any(name in headers for name in FORWARDED):
            return False
        if host_name(headers.get(b"host", b"").decode("latin-1")) not in LOOPBACK_NAMES:
            return False
        peer = scope.get("state", {}).get(PEER)
        return peer is not None and peer.is_same_user

    # --- browsers ---

    def sign_in(self, token: str, scope: Mapping[str, Any]) -> str:
        """A session for who holds `token`: the value of its cookie. Raises as `who`."""
        holder = self._holder(token, address_of(scope))
        session = secrets.token_urlsafe(32)
        self._sessions[_key(session)] = (holder.name, self._clock.now() + SESSION_S)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _session(self, headers: Headers) -> Principal | None:
        name, _, value = cookie_of(headers).partition("=")
        kept = self._sessions.get(_key(value)) if name else None
        if kept is None or kept[1] < self._clock.now():
            return None
        if kept[0] == "launch":
            return Principal("launch session", frozenset(SCOPES))
        id = kept[0].removeprefix("token ")
        token = next((token for token in self.tokens.list() if token.id == id and self.tokens.holds(id)), None)
        if token is None:
            return None
        return Principal(f"session of {kept[0]}", scopes_up_to(token.scope), called=token.name)


def cookie_name(host: str) -> str:
    """Cookies know no ports: each server on a machine needs a name of its own."""
    port = host.rpartition("]")[2].rpartition(":")[2]
    return f"evolve_{port if port.isdecimal() else '80'}"


def cookie_of(headers: Headers) -> str:
    """`name=value` of our own cookie in a request; empty without one."""
    given = headers.get(b"cookie", b"").decode("latin-1")
    name = cookie_name(headers.get(b"host", b"").decode("latin-1"))
    if name not in given:
        return ""
    try:
        morsel = SimpleCookie(given).get(name)
    except CookieError:
        return ""
    return "" if morsel is None else f"{name}={morsel.value}"


def _key(session: str) -> str:
    # A hash, so that the time a look-up takes says nothing about the sessions there are.
    return hashlib.sha256(session.encode()).hexdigest()


def address_of(scope: Mapping[str, Any]) -> str:
    """Who is limited: an address; of IPv6 its network, for anybody has as many addresses as they like in theirs."""
    client = scope.get("client")
    if not client:
        return "local"
    host = str(client[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network(f"{host}/64", strict=False)) if address.version == 6 else host


def principal_of(request: Request) -> Principal:
    """Who asks, as the guard found."""
    found: Principal = request.state.principal
    return found


def require(request: Request, scope: Scope) -> Principal:
    """Who asks, if they may. Raises Unauthorized for nobody in particular, Forbidden for who has not this scope."""
    principal = principal_of(request)
    check(principal, scope)
    return principal


def check(principal: Principal, scope: Scope) -> None:
    if scope in principal.scopes:
        return
    if not principal.scopes:
        raise Unauthorized(f"this needs a token with the scope {scope!r}: {HOW}")
    raise Forbidden(
        f"this needs the scope {scope!r}; {principal.name} has {', '.join(sorted(principal.scopes))}. "
        f"`evolve token create NAME --scope {scope}` makes one that may",
        needs=scope,
    )
