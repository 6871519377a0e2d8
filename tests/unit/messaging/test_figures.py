"""Figures: sums that only grow, whoever left, came back, or counted."""

from __future__ import annotations

import pytest

from evolve.clock import FrozenClock
from evolve.messaging.bus import GONE
from evolve.messaging.envelope import RequestEnvelope, exemplar_labels, read_request, read_traceparent
from evolve.messaging.figures import (
    BOUNDS_S,
    DURATION_SUMS,
    DURATIONS,
    OTHER,
    REQUESTS,
    WAITS,
    Consumed,
    Figures,
    Noted,
    newest,
    total,
)
from evolve.messaging.memory_bus import MemoryBus

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def noted(bus: MemoryBus) -> dict[str, Noted]:
    return {name: Noted.read(raw) for name, raw in (await bus.figures("s")).items()}


async def note(figures: Figures, bus: MemoryBus, replica: str) -> None:
    await figures.note(bus, "s", replica, Consumed(cpu_s=1.5, fds=7), Consumed())


async def test_the_sum_goes_on_when_a_replica_is_given_up_and_comes_back() -> None:
    """Paused for a minute it counts as gone; what it had noted must not be counted twice when it goes on."""
    bus, figures = MemoryBus(), Figures(["echo"])
    figures.ended("echo", "ok")
    figures.ended("echo", "ok")
    await note(figures, bus, "a")
    await bus.retire("s", "a")
    figures.ended("echo", "ok")

    await note(figures, bus, "a")

    found = await noted(bus)
    assert found[GONE].counts == {(REQUESTS, "echo", "ok"): 2}
    assert found["a"].counts == {(REQUESTS, "echo", "ok"): 1}
    figures.ended("echo", "ok")
    await note(figures, bus, "a")
    assert total((await noted(bus)).values()) == {(REQUESTS, "echo", "ok"): 4}


async def test_a_duration_falls_into_the_bucket_that_ends_above_it() -> None:
    bus, figures = MemoryBus(), Figures(["echo"], FrozenClock(50.0))
    figures.took("echo", "light", 0.02, 0.001, {"request_id": "r1"})
    figures.took("echo", "light", 4000.0, 0.3, {})

    await note(figures, bus, "a")

    one = (await noted(bus))["a"]
    assert BOUNDS_S[4] == 0.025
    assert one.counts[DURATIONS, "echo", "4"] == 1
    assert one.counts[DURATIONS, "echo", str(len(BOUNDS_S))] == 1
    assert one.counts[DURATION_SUMS, "echo"] == 4000.02
    assert one.counts[WAITS, "light", "0"] == 1
    exemplar = newest([one])[DURATIONS, "echo", "4"]
    assert (exemplar.labels, exemplar.value, exemplar.at) == ({"request_id": "r1"}, 0.02, 50.0)
    assert (one.front, one.started) == (Consumed(cpu_s=1.5, fds=7), 50.0)


async def test_types_that_the_service_does_not_have_share_one_series() -> None:
    """Anybody may send any type: a series for each would fill the memory of whoever scrapes."""
    bus, figures = MemoryBus(), Figures(["echo"])
    for number in range(50):
        figures.ended(f"made up {number}", "unknown_type")

    await note(figures, bus, "a")

    assert (await noted(bus))["a"].counts == {(REQUESTS, OTHER, "unknown_type"): 50}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACEPARENT, TRACEPARENT),
        (f"cc{TRACEPARENT[2:]}-what-comes", TRACEPARENT),
        (f"{TRACEPARENT}-more", None),
        (f"ff{TRACEPARENT[2:]}", None),
        (TRACEPARENT.upper(), None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        ("\x1b[2J", None),
        (7, None),
        (None, None),
    ],
)
def test_a_traceparent_that_cannot_be_followed_is_ignored(given: object, kept: str | None) -> None:
    """Examples of W3C Trace Context, sections 3.2 and 4.3; it wants them ignored, not refused."""
    assert read_traceparent(given) == kept


def test_a_traceparent_travels_and_does_not_change_what_a_request_is() -> None:
    plain = RequestEnvelope("echo", {"text": "a"}, 1.0, request_id="r1")
    traced = RequestEnvelope("echo", {"text": "a"}, 1.0, request_id="r1", traceparent=TRACEPARENT)

    read = read_request(traced.to_bytes(), max_bytes=10_000)

    assert (read.traceparent, read.trace_id) == (TRACEPARENT, "0af7651916cd43dd8448eb211c80319c")
    assert read.content_hash == plain.content_hash
    assert b"traceparent" not in plain.to_bytes()


def test_an_exemplar_has_128_characters_at_most() -> None:
    """OpenMetrics 1.0 refuses the whole page for a longer one."""
    for length in range(1, 129):
        labels = exemplar_labels(RequestEnvelope("t", request_id="i" * length, traceparent=TRACEPARENT))
        assert sum(len(name) + len(value) for name, value in labels.items()) <= 128
        assert labels["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert exemplar_labels(RequestEnvelope("t", request_id='a"b')) == {}
