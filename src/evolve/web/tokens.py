"""Who may use the API from elsewhere? Tokens with scopes, kept as hashes in one file that only its user can read.

A token is 256 random bits: a plain hash of it cannot be guessed back, and slow hashing would only slow our own answers.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, Unavailable
from evolve.files import write_whole
from evolve.messaging.messages import Effect

Scope = Effect  # a token may do what has one of these effects
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "evolve"
NAME = re.compile(r"[\w .:@-]{1,64}")
SHAPE = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")


def scopes_up_to(scope: Scope) -> frozenset[str]:
    """Each scope holds those before it: who may run may read."""
    return frozenset(SCOPES[: SCOPES.index(scope) + 1])


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept. created, expires: Unix seconds, expires 0 for never; digest: SHA-256 of its secret."""

    id: str
    name: str
    scope: Scope
    created: float
    expires: float
    digest: str


class Tokens:
    """The tokens of one home. Changes of other processes are seen at the next question."""

    def __init__(self, home: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path, self._clock = home / "tokens.json", clock
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, Token] = {}

    def create(self, name: str, scope: Scope, *, days: float = 0) -> str:
        """A new token, which is shown once and never again. days: how long it holds, 0 for ever. Raises InvalidRequest."""
        if not NAME.fullmatch(name):
            raise InvalidRequest("a token's name has 1 to 64 letters, digits, spaces or any of . : @ _ -")
        if scope not in SCOPES:
            raise InvalidRequest(f"a token's scope is one of {', '.join(SCOPES)}, not {scope!r}")
        now = self._clock.now()
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        token = Token(id, name, scope, now, now + days * 86_400 if days else 0.0, _digest(secret))
        with self._changing() as known:
            known[id] = token
        return f"{PREFIX}_{id}_{secret}"

    def revoke(self, id: str) -> Token:
        """Take a token away; at once, also from who uses it now. Raises InvalidRequest for an id there is none of."""
        with self._changing() as known:
            if id not in known:
                raise InvalidRequest(f"there is no token {id!r}; `evolve token list` shows those there are")
            return known.pop(id)

    def list(self) -> Sequence[Token]:
        """Oldest first."""
        return sorted(self._read().values(), key=lambda token: token.created)

    def find(self, text: str) -> Token | None:
        """The token that `text` is, unless it was revoked or has run out. The comparison takes as long for a wrong secret as for the right one."""
        shape = SHAPE.fullmatch(text)
        if shape is None:
            return None
        token = self._read().get(shape[1])
        right = hmac.compare_digest(_digest(shape[2]), token.digest if token else _digest(""))
        if token is None or not right or (token.expires and token.expires < self._clock.now()):
            return None
        return token

    def holds(self, id: str) -> bool:
        """Whether a token found before is still good."""
        token = self._read().get(id)
        return token is not None and not (token.expires and token.expires < self._clock.now())

    def _read(self) -> dict[str, Token]:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._known = _parsed(self._path)
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._known = None, {}
        except OSError as error:
            raise Unavailable(f"cannot read {self._path}: {error.strerror}") from None
        return self._known

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        """What there is, under a lock; what it is afterwards is kept."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._path.with_name(".tokens.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"cannot write {self._path}: {error.strerror}; set EVOLVE_HOME to a writable directory"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = _parsed(self._path) if self._path.exists() else {}
            yield known
            text = json.dumps({"tokens": [asdict(token) for token in known.values()]}, indent=1)
            write_whole(self._path, text.encode(), durable=True)
        finally:
            os.close(lock)


def _parsed(path: Path) -> dict[str, Token]:
    try:
        return {entry["id"]: Token(**entry) for entry in json.loads(path.read_text())["tokens"]}
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        raise Unavailable(f"{path} is damaged; delete it, and make new tokens with `evolve token create`") from None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
