"""How a child and the service speak: frames of one letter, a length and that many bytes over a private socket.

The service believes nothing it reads: every letter has its own largest length, and who breaks the form ends the run.
"""

from __future__ import annotations

import os
import struct
from typing import Final

HEADER: Final = struct.Struct(">cI")

# From the child.
LOCKED: Final = b"K"  # the wall stands; JSON: what it is made of
STARTED: Final = b"G"  # the gate let the program pass; its own code runs from here on
REFUSED: Final = b"V"  # the gate did not
OUTPUT: Final = b"O"  # printed text
WARNED: Final = b"E"  # text on standard error
RETURNED: Final = b"R"  # JSON: {"value": …, "notes": […]}
FAILED: Final = b"X"  # JSON: {"kind": …, "error": …, "notes": […]}
# To the child.
JOB: Final = b"J"
NEXT: Final = b"N"  # the next input of a batch, the next bar of a strategy


def frame(kind: bytes, payload: bytes) -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def write(descriptor: int, kind: bytes, payload: bytes) -> None:
    """Send one frame; blocks until the other side has taken it."""
    rest = memoryview(frame(kind, payload))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read(descriptor: int) -> tuple[bytes, bytes] | None:
    """The next frame from a side we trust; None when it hung up."""
    head = _exactly(descriptor, HEADER.size)
    if head is None:
        return None
    kind, length = HEADER.unpack(head)
    payload = _exactly(descriptor, length)
    return None if payload is None else (kind, payload)


def _exactly(descriptor: int, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
