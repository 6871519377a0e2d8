"""A failover with the old primary alive on the wrong side: what was accepted there is kept, or its loss is counted and said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.faults.ground import server_version
from integration.hosts.sentinels import DOWN_MS, PROTECTIONS, Failover, Protection, fail_over, watched_ground

ROOT = Path(__file__).resolve().parents[3]
SEED = 20_261_123
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("hosts")]


@pytest.fixture(scope="module")
def table() -> Iterator[list[Failover]]:
    found: list[Failover] = []
    yield found
    if found:
        sys.path.insert(0, str(ROOT / "bench"))
        from report.page import load, provenance, write_section

        lines = [
            f"{provenance()}; load {load()}; {server_version()}; down-after-milliseconds {DOWN_MS}; seed {SEED}.",
            "",
            "| set against loss | accepted beside the old primary | refused there | of the accepted lost | the last of these so many s after the cut "
            "| asked on the other side | answered | doubled | longest gap s | service heard again after s |",
            "|---" * 10 + "|",
            *(failover.row() for failover in found),
        ]
        write_section(ROOT / "docs" / "reliability.md", "failover", "\n".join(lines))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection.name.split(" ")[0])
async def test_a_failover_loses_no_more_than_its_settings_say(protection: Protection, table: list[Failover]) -> None:
    with watched_ground(protection, SEED) as made:
        found = await fail_over(made)
    table.append(found)

    assert found.answered == found.asked > 0, found
    assert not found.doubled, found
    if protection.wait:
        assert found.lost == 0, found
        assert found.refused > 0, found
    elif protection.lag_s:
        # The primary notices by itself that its replica is gone, and refuses from then on.
        assert found.accepted_after_s <= protection.lag_s + 2, found
        assert found.refused > 0, found
    else:
        assert found.lost > 0, "without any of these the loss should show: the partition did not do what it should"
