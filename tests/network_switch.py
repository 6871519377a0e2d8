"""The switch between the hosts of `network`: passes Ethernet frames on, late or not at all. Ends when its asker does.

Arguments: a seed, then the descriptors of the hosts' devices in the order of their numbers (1, 2, …), which are the last byte of their
hardware addresses. Each line of the input changes a link or nothing, and is answered with how many frames passed and were dropped.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import selectors
import sys
import time
from dataclasses import dataclass, field

FRAME = 65_536
IPV4 = b"\x08\x00"
AT_ONCE = 64  # frames of one host before the others have their turn


@dataclass
class Way:
    """From one host to another. Dice of its own: what one way meets does not depend on the others' traffic."""

    dice: random.Random
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    free_at: float = 0.0  # frames of one way keep their order


@dataclass
class Switch:
    taps: dict[int, int]
    seed: int
    ways: dict[tuple[int, int], Way] = field(default_factory=dict)
    late: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    passed: int = 0
    dropped: int = 0

    def way(self, source: int, target: int) -> Way:
        if (source, target) not in self.ways:
            self.ways[source, target] = Way(random.Random(f"{self.seed} {source} {target}"))
        return self.ways[source, target]

    def take(self, source: int, frame: bytes) -> None:
        target = frame[5]
        if frame[12:14] != IPV4 or target not in self.taps:
            return
        way = self.way(source, target)
        if way.loss and way.dice.random() < way.loss:
            self.dropped += 1
        elif way.delay_s or way.jitter_s or way.free_at > time.monotonic():
            way.free_at = max(way.free_at, time.monotonic() + way.delay_s + way.jitter_s * way.dice.random())
            self.passed += 1
            heapq.heappush(self.late, (way.free_at, self.passed, target, frame))
        else:
            self.passed += 1
            self.give(target, frame)

    def give(self, target: int, frame: bytes) -> None:
        try:
            os.write(self.taps[target], frame)
        except (BlockingIOError, OSError):  # its queue is full, or the device is down: as on a wire, the frame is gone
            self.dropped += 1

    def give_due(self) -> float | None:
        """Pass on what is due; seconds until the next."""
        while self.late:
            wait = self.late[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, target, frame = heapq.heappop(self.late)
            self.give(target, frame)
        return None

    def change(self, line: str) -> str:
        asked = json.loads(line)
        if "ends" in asked:
            a, b = asked["ends"]
            for way in (self.way(a, b), self.way(b, a)):
                way.delay_s, way.jitter_s, way.loss = asked["delay_s"], asked["jitter_s"], asked["loss"]
        return json.dumps({"passed": self.passed, "dropped": self.dropped})


def main() -> None:
    seed, *taps = map(int, sys.argv[1:])
    switch = Switch(dict(enumerate(taps, start=1)), seed)
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ, 0)
    for number, tap in switch.taps.items():
        waiting.register(tap, selectors.EVENT_READ, number)
    while True:
        for ready, _ in waiting.select(switch.give_due()):
            if ready.data == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                print(switch.change(line), flush=True)
                continue
            for _ in range(AT_ONCE):
                try:
                    frame = os.read(ready.fd, FRAME)
                except BlockingIOError:
                    break
                switch.take(ready.data, frame)


if __name__ == "__main__":
    main()
