"""A bucket per name: a burst at once, a rate in the long run, and never more memory than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.clock import FrozenClock
from evolve.web import pace
from evolve.web.pace import Pace
from evolve.web.tokens import Tokens


def test_a_burst_goes_at_once_and_then_the_rate_holds() -> None:
    clock = FrozenClock(0.0)
    paced = Pace(per_s=2.0, burst=3.0, clock=clock)

    assert [paced.wait_s("a") for _ in range(3)] == [0.0] * 3
    assert paced.wait_s("a") == pytest.approx(0.5)  # one every half second
    assert paced.wait_s("b") == 0.0
    clock.advance(0.5)
    assert paced.wait_s("a") == 0.0
    assert paced.is_spent("a") > 0
    clock.advance(10.0)
    assert [paced.wait_s("a") for _ in range(4)][:3] == [0.0] * 3


def test_the_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MAX_NAMES", 3)
    paced = Pace(per_s=1.0, burst=1.0, clock=FrozenClock(0.0))
    for name in "abcd":
        paced.wait_s(name)

    assert paced.wait_s("d") > 0
    assert paced.wait_s("a") == 0.0  # forgotten, and as good as new


def test_a_token_runs_out(tmp_path: Path) -> None:
    clock = FrozenClock(1_000_000.0)
    tokens = Tokens(tmp_path, clock=clock)
    text = tokens.create("short", "read", days=1)
    id = text.split("_")[1]

    assert tokens.find(text) is not None
    clock.advance(86_401)
    assert tokens.find(text) is None
    assert not tokens.holds(id)
