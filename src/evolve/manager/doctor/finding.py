"""What was found, how bad is it, and what to do? The word for everything the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """name: the section of docs/troubleshooting.md, after `doctor-`; said: what is, in a sentence; mend: what to do, empty where nothing."""

    name: str
    state: State
    said: str
    mend: str = ""

    @property
    def help(self) -> str:
        return f"docs/troubleshooting.md#doctor-{self.name.replace('_', '-')}"


def ok(name: str, said: str) -> Finding:
    return Finding(name, "ok", said)


def warning(name: str, said: str, mend: str) -> Finding:
    return Finding(name, "warning", said, mend)


def fail(name: str, said: str, mend: str) -> Finding:
    return Finding(name, "fail", said, mend)
