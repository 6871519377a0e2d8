"""What became of one request? Its life and that of every request it led to, told from the logs of all services.

Each answered, cancelled, retried or failed request leaves a line with its id, its parent's, how long it waited and worked. Where
services run on several machines their logs must lie in one directory (a shared one, or gathered) to be told together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ENDS = ("answered", "cancelled", "request failed")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a log about a request. at: ISO 8601, UTC."""

    at: str
    event: str
    level: str
    replica: str
    detail: str = ""


@dataclass(slots=True)
class TracedRequest:
    """waited_s: from being sent to being begun; worked_s: from then to the reply, each of the last attempt; code: of an error reply."""

    request_id: str
    service: str = ""
    request_type: str = ""
    parent: str | None = None
    sender: str = ""
    attempts: int = 1
    waited_s: float | None = None
    worked_s: float | None = None
    code: str = ""
    steps: list[Step] = field(default_factory=list)
    children: list[TracedRequest] = field(default_factory=list)

    @property
    def state(self) -> str:
        """`answered`, `cancelled`, the code of its error, or `under way` where no log says that it ended."""
        events = [step.event for step in self.steps]
        if self.code:
            return self.code
        return next((event for event in reversed(events) if event in ENDS), "under way")

    @property
    def at(self) -> str:
        return self.steps[0].at if self.steps else ""

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "request_id": self.request_id, "service": self.service, "type": self.request_type, "parent": self.parent,
            "from": self.sender or None, "state": self.state, "attempts": self.attempts, "waited_s": self.waited_s, "worked_s": self.worked_s,
            "steps": [{"at": step.at, "event": step.event, "level": step.level, "replica": step.replica, "detail": step.detail} for step in self.steps],
            "children": [child.plain() for child in self.children],
        }  # fmt: skip


SHOWN = ("timestamp", "level", "event", "service", "replica", "request_id", "request_type", "parent", "sender", "seconds", "waited", "attempt", "code", "exception")  # fmt: skip


def traced(lines: Iterable[Mapping[str, Any]], request_id: str) -> TracedRequest | None:
    """The request and, as `children`, those that it asked for, oldest first; None where no line names it.

    request_id: the whole id, or a beginning of eight letters or more that no other id shares.
    """
    requests: dict[str, TracedRequest] = {}
    for line in lines:
        if isinstance(line.get("request_id"), str):
            _note(requests.setdefault(line["request_id"], TracedRequest(line["request_id"])), line)
    found = requests.get(request_id)
    if found is None and len(request_id) >= 8:
        begun = [one for id, one in requests.items() if id.startswith(request_id)]
        found = begun[0] if len(begun) == 1 else None
    if found is None:
        return None
    for one in sorted(requests.values(), key=lambda each: each.at):
        if one.parent in requests and one is not found:
            requests[one.parent].children.append(one)
    return found


def _note(request: TracedRequest, line: Mapping[str, Any]) -> None:
    request.service = str(line.get("service") or request.service)
    request.request_type = str(line.get("request_type") or request.request_type)
    request.parent = line.get("parent") or request.parent
    request.sender = str(line.get("sender") or request.sender)
    request.attempts = max(request.attempts, int(line.get("attempt") or 1))
    if line["event"] == "answered":
        request.worked_s, request.waited_s = line.get("seconds"), line.get("waited")
    request.code = str(line.get("code") or "")
    rest = ", ".join(f"{name} {value}" for name, value in line.items() if name not in SHOWN)
    request.steps.append(
        Step(str(line["timestamp"]), str(line["event"]), str(line.get("level", "")), str(line.get("replica", "")), rest)
    )
