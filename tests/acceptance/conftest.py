"""One running system for the tests that only use it; a fresh one for those that start, stop and break things."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
from _pytest.nodeid import NodeId
from seed_system import PATIENCE_S, System, new_system


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `--dist loadgroup` see the groups: pytest-xdist 3.8 notes them in an attribute that pytest 9.2 no longer reads."""
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and item.config.getoption("loadgroup", default=False):
            suffix = f"@{mark.args[0]}"
            if not item.nodeid.endswith(suffix):
                item._id = NodeId.parse(item.nodeid + suffix)


@pytest.fixture(scope="session")
def running() -> Iterator[System]:
    """All services, started once by the documented command. For tests that leave them as they found them."""
    system = new_system()
    try:
        system.json("python service_manager.py --action start-all")
        yield system
    finally:
        left = system.end()
    assert left == []


@pytest.fixture
def fresh() -> Iterator[System]:
    """A home in which nothing runs."""
    system = new_system()
    try:
        yield system
    finally:
        left = system.end()
    assert left == []


@pytest.fixture
def gently() -> Callable[[subprocess.Popen[str]], int]:
    """Ask a program to end, as an operating system does; returns its exit code."""

    def end(process: subprocess.Popen[str]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_S)

    return end
