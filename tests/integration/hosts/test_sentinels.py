"""A failover with the old primary alive on the wrong side: what was accepted there is kept, or its loss is counted and said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.faults.ground import server_version
from integration.faults.tables import table
from integration.hosts.sentinels import DOWN_MS, PROTECTIONS, Protection, fail_over, watched_ground

SEED = 20_261_123
COLUMNS = (
    "set against loss | accepted beside the old primary | refused there | of the accepted lost | the last of these so many s after the cut "
    "| asked on the other side | answered | doubled | longest gap s | service heard again after s"
)
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("hosts")]


@pytest.fixture(scope="module")
def counted() -> Iterator[list[str]]:
    with table("failover", COLUMNS, said=f"{server_version()}; down-after-milliseconds {DOWN_MS}; seed {SEED}") as rows:
        yield rows


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection.name.split(" ")[0])
async def test_a_failover_loses_no_more_than_its_settings_say(protection: Protection, counted: list[str]) -> None:
    with watched_ground(protection, SEED) as made:
        found = await fail_over(made)
    counted.append(found.row())

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
