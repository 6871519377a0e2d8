"""A desk for every test, and one that the tests of a module share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from desks import Desk, autoregressive, noise, open_desk

from evolve.market.bars import Bars
from evolve.settings import Settings


@pytest.fixture(scope="package", autouse=True)
def _few_draws() -> Iterator[None]:
    """No test here is about how wide an interval is, and its thousand draws are most of what a comparison costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolve.agents.figures.INTERVAL_DRAWS", 100)
        yield


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    """Empty stores."""
    yield from open_desk(settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Stores that the tests of a module share, for what takes a second to make; they add, and never count all there is."""
    home = tmp_path_factory.mktemp("desk")
    desks = open_desk(Settings.load(home=home / "home", log_dir=home / "logs"))
    made = next(desks)
    made.store.save(noise(700))
    made.store.save(autoregressive(1500))
    yield made
    next(desks, None)


@pytest.fixture
def import_bars(desk: Desk) -> Callable[[Bars], Bars]:
    def save(bars: Bars) -> Bars:
        desk.store.save(bars)
        return bars

    return save
