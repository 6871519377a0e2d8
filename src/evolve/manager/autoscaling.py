"""How many replicas does the work that waits ask for? A pure rule: what was seen goes in, a number and a reason come out.

Up: something has waited, unread by any replica, for longer than `old_s` in two looks in a row, or more wait than the replicas have in work.
Then as many more as clear it at the rate of today's, at most twice as many at once, and not before the last ones serve (`settle_s`).
Down: for `calm_s` nothing waited and fewer requests were in work than there are replicas; to the most that were in work meanwhile.
The shape (a ratio, one doubling at a time, down only to the highest need of a window) is that of Kubernetes' horizontal pod autoscaler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from evolve.manager.scale import Scale


@dataclass(frozen=True, slots=True)
class Policy:
    """old_s: a reader looks once a second at the latest, so what waits for longer waits because all are busy. settle_s: a replica
    is forked and serves within a second on an idle machine; more than that, so that one burst is not answered twice. calm_s: a
    replica costs memory only, so there is no hurry. looks: one look may fall between two reads of a stream."""

    old_s: float = 2.0
    settle_s: float = 5.0
    calm_s: float = 60.0
    looks: int = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """A service in one moment. at: monotonic seconds; waiting: messages no replica has taken, the oldest for oldest_s; room: how
    many more replicas the machine's memory holds."""

    at: float
    replicas: int
    in_work: int
    waiting: int
    oldest_s: float
    room: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What a service was seen to do before. pressed: looks in a row with work that waits; calm_since: of the window without any;
    peak: most requests in work in it."""

    pressed: int = 0
    changed_at: float = float("-inf")
    calm_since: float | None = None
    peak: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """why: empty where all stays as it is and nothing held it back."""

    replicas: int
    why: str
    memory: Memory


def decide(seen: Seen, scale: Scale, memory: Memory, policy: Policy) -> Verdict:
    """How many replicas there should be. A number outside the range is brought into it at once."""
    bounded = min(max(seen.replicas, scale.low), scale.high)
    if bounded != seen.replicas:
        return Verdict(bounded, f"the range is {scale}", Memory(changed_at=seen.at))
    if seen.waiting:
        return _pressed(seen, scale, replace(memory, pressed=memory.pressed + 1, calm_since=None, peak=0), policy)
    return _calm(seen, scale, replace(memory, pressed=0), policy)


def _pressed(seen: Seen, scale: Scale, memory: Memory, policy: Policy) -> Verdict:
    late = seen.oldest_s > policy.old_s or seen.waiting > seen.in_work
    if not late or memory.pressed < policy.looks or seen.at - memory.changed_at < policy.settle_s:
        return Verdict(seen.replicas, "", memory)
    # All are busy, so what they have in work is what they can have: as many more as the rest fills.
    each = max(1.0, seen.in_work / seen.replicas)
    needed = math.ceil((seen.in_work + seen.waiting) / each)
    wanted = min(max(needed, seen.replicas + 1), 2 * seen.replicas, scale.high)
    waits = f"{seen.waiting} wait{'s' * (seen.waiting == 1)}, the oldest for {seen.oldest_s:.1f} s"
    if wanted <= seen.replicas:
        return Verdict(seen.replicas, f"{waits}, and {scale.high} is the most there may be", memory)
    possible = min(wanted, seen.replicas + max(0, seen.room))
    if possible <= seen.replicas:
        return Verdict(seen.replicas, f"{waits}, and there is no memory for one more", memory)
    return Verdict(possible, waits, Memory(changed_at=seen.at))


def _calm(seen: Seen, scale: Scale, memory: Memory, policy: Policy) -> Verdict:
    if seen.replicas <= scale.low or seen.in_work >= seen.replicas:
        return Verdict(seen.replicas, "", replace(memory, calm_since=None, peak=0))
    since = seen.at if memory.calm_since is None else memory.calm_since
    memory = replace(memory, calm_since=since, peak=max(memory.peak, seen.in_work))
    if seen.at - since < policy.calm_s:
        return Verdict(seen.replicas, "", memory)
    wanted = max(scale.low, memory.peak)
    why = f"nothing waited for {seen.at - since:.0f} s, and at most {memory.peak} were in work"
    return Verdict(wanted, why, Memory(changed_at=seen.at))
