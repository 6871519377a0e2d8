"""Whatever dies, stops, restarts or fills up: nothing lost, nothing answered twice, nothing answered to somebody else.

A few faults run briefly with all tests; all of them in full, as often as FAULT_RUNS says, they run with `make prove`, which writes
their table into docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import pytest

from integration.faults.faults import FAULTS
from integration.faults.ground import COLUMNS, Counts, ground, server_version
from integration.faults.tables import table

RUNS = int(os.environ.get("FAULT_RUNS", "1"))
SEED = 20_261_122
SAMPLE = random.Random(SEED).sample(sorted(FAULTS), 6)


async def tried(name: str, size: int, seed: int) -> Counts:
    with ground(seed) as made:
        async with made.watching():
            await FAULTS[name](made, size)
        return made.counts(name)


def assert_nothing_went_wrong(counts: Counts) -> None:
    wrong = {"lost": counts.lost, "doubled": counts.doubled, "crossed": counts.crossed, "errors": counts.errors}
    assert not any(wrong.values()), f"{counts}"
    assert counts.answered == counts.sent > 0


@pytest.mark.parametrize("name", SAMPLE)
async def test_nothing_is_lost_doubled_or_crossed(name: str) -> None:
    assert_nothing_went_wrong(await tried(name, 1, SEED))


@contextlib.contextmanager
def summed_table(name: str, *, runs: int, seed: int) -> Iterator[dict[str, list[Counts]]]:
    """What the runs of each fault counted; written at the end, the bad ones too."""
    said = f"{server_version()}; {runs} run{'s' if runs > 1 else ''} of each, seeds from {seed}"
    counts: dict[str, list[Counts]] = {}
    with table(name, COLUMNS, said=said) as rows:
        yield counts
        rows += [summed(each).row() for each in counts.values()]


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, list[Counts]]]:
    with summed_table("faults", runs=RUNS, seed=SEED) as counts:
        yield counts


def summed(counts: list[Counts]) -> Counts:
    names = ("sent", "refused", "run", "answered", "doubled", "lost", "crossed", "errors")
    sums = {name: sum(getattr(one, name) for one in counts) for name in names}
    return Counts(counts[0].fault, **sums, longest_gap_s=max(one.longest_gap_s for one in counts))


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_lost_doubled_or_crossed_in_full(
    name: str, run: int, counted: dict[str, list[Counts]]
) -> None:
    counts = await tried(name, 10, SEED + run)
    counted.setdefault(name, []).append(counts)
    assert_nothing_went_wrong(counts)
