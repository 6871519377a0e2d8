"""The gallery users can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.sandbox.executor import SafeExecutor
from evolve.sandbox.gallery import ATTACKS, show

pytestmark = pytest.mark.xdist_group("sandbox")


def test_every_attack_of_the_gallery_is_stopped_and_says_by_what(tmp_path: Path) -> None:
    with SafeExecutor(memory_limit_mb=256, timeout_seconds=5, home=tmp_path) as executor:
        shown = list(show(executor))

    assert len(shown) == len(ATTACKS)
    assert [case.attack.name for case in shown if case.reached] == []
    assert {case.wall.partition(":")[0] for case in shown} <= {"execution_error", "timeout", "memory_limit"}
    assert all(":" in case.wall for case in shown)
