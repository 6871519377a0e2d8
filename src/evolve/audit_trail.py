"""Who changed what others rely on? Promotions, deletions, tokens, users of the server, a sandbox switched off: one line each, for good.

`<home>/audit/trail.jsonl` only grows. Each line holds the SHA-256 of the line before it and of itself, so that a line that was changed,
taken out or put in between breaks the chain from there on (`evolve audit-log verify`). Who may write the file can also write it anew from the
start, or cut its end: against that, keep the head that `verify` prints somewhere else, and give it to `verify --head`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import InvalidRequest, Unavailable
from evolve.security_events import Detail, plain, report

START = "0" * 64  # what the first line follows
LAST_LINE_BYTES = 64 << 10  # a line holds bounded details; the last one is found in this much


@dataclass(frozen=True, slots=True)
class Entry:
    """number: from 1; at: ISO, UTC; what: the act; who: as they named themselves, or the user of this machine; details: of what and how it ended."""

    number: int
    at: str
    what: str
    who: str
    details: dict[str, Detail]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Verified:
    """entries that hold; head: the digest of the last of them; problem: where and how the chain breaks, "" when it does not."""

    entries: int
    head: str
    problem: str


def user_of_this_machine() -> str:
    """Who runs a command here, by the machine's own word for them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run as numbers without a name
        return f"uid {os.getuid()}"


class AuditTrail:
    """The trail of one home. Safe for many processes."""

    def __init__(self, home: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._folder = home / "audit"
        self.path = self._folder / "trail.jsonl"
        self._clock = clock

    def record(self, what: str, *, who: str, **details: Detail) -> Entry:
        """Add an entry; it is on disk when this returns. Raises Unavailable when it cannot be written, or the last line is no entry."""
        with self._alone() as descriptor:
            previous = _last(descriptor, self.path)
            entry = _entry(
                previous.number + 1 if previous else 1,
                iso(self._clock.now()),
                what,
                str(plain(who)),
                {name: plain(value) for name, value in details.items()},
                previous.digest if previous else START,
            )
            try:
                os.write(descriptor, _line(entry))
                os.fsync(descriptor)
            except OSError as error:
                raise Unavailable(
                    f"cannot write {self.path}: {error.strerror}; what was asked is not on record"
                ) from None
        return entry

    def entries(self) -> Iterator[Entry]:
        """Oldest first, as far as they can be read. Says nothing about whether they hold: see `verify`."""
        try:
            with self.path.open("rb") as file:
                for line in file:
                    entry = _read(line)
                    if entry is None:
                        return
                    yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"cannot read {self.path}: {error.strerror}") from None

    def verify(self, *, head: str = "") -> Verified:
        """Whether every line follows from the one before. head: a digest noted earlier, which must still be in the chain.

        A broken chain is a security event. Raises InvalidRequest for a head that is no digest.
        """
        if head and (len(head) != 64 or not set(head) <= set("0123456789abcdef")):
            raise InvalidRequest("--head is a digest that `evolve audit-log verify` printed: 64 hex digits")
        found = self._verified(head)
        if found.problem:
            report("tampered_audit", path=str(self.path), why=found.problem)
        return found

    def _verified(self, head: str) -> Verified:
        number, digest, seen = 0, START, head in ("", START)
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise Unavailable(f"cannot read {self.path}: {error.strerror}") from None
        for line in lines:
            entry = _read(line)
            if entry is None:
                return Verified(number, digest, f"line {number + 1} is no entry")
            expected = _entry(number + 1, entry.at, entry.what, entry.who, entry.details, digest)
            if entry != expected or line != _line(entry):
                return Verified(number, digest, f"line {number + 1} does not follow from line {number}")
            number, digest = number + 1, entry.digest
            seen = seen or digest == head
        return Verified(
            number,
            digest,
            "" if seen else f"no line has the head {head[:12]}…: the end was cut off, or all was written anew",
        )

    @contextmanager
    def _alone(self) -> Iterator[int]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"cannot write {self.path}: {error.strerror}; set EVOLVE_HOME to a writable directory"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _entry(number: int, at: str, what: str, who: str, details: dict[str, Detail], previous: str) -> Entry:
    digest = hashlib.sha256(_content(number, at, what, who, details, previous)).hexdigest()
    return Entry(number, at, what, who, details, previous, digest)


def _content(number: int, at: str, what: str, who: str, details: dict[str, Detail], previous: str) -> bytes:
    return json.dumps([number, at, what, who, details, previous], sort_keys=True, separators=(",", ":")).encode()


def _line(entry: Entry) -> bytes:
    fields = {
        "number": entry.number, "at": entry.at, "what": entry.what, "who": entry.who, "details": entry.details,
        "previous": entry.previous, "digest": entry.digest,
    }  # fmt: skip
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> Entry | None:
    """The entry of a line, or None when it is none."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
        entry = Entry(**fields)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
        return None
    whole = isinstance(entry.number, int) and isinstance(entry.details, dict)
    return (
        entry
        if whole
        and all(isinstance(text, str) for text in (entry.at, entry.what, entry.who, entry.previous, entry.digest))
        else None
    )


def _last(descriptor: int, path: Path) -> Entry | None:
    """The last entry; None in an empty file. Raises Unavailable when the end of the file is none: nothing is added to what is broken."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return None
    tail = os.pread(descriptor, LAST_LINE_BYTES, max(0, size - LAST_LINE_BYTES))
    entry = _read(tail.splitlines(keepends=True)[-1])
    if entry is None:
        raise Unavailable(
            f"the end of {path} is no entry; `evolve audit-log verify` says where, and it must be mended or moved away first"
        )
    return entry
