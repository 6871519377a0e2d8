"""Both buses, one after the other."""

from __future__ import annotations

import pytest

from contracts.bus_contract import Ground, MemoryGround, RedisGround


@pytest.fixture(params=["memory", "redis"])
def ground(request: pytest.FixtureRequest, unique_name: str) -> Ground:
    """A bus that a service was opened on."""
    if request.param == "memory":
        return MemoryGround(unique_name)
    ground: RedisGround = request.getfixturevalue("redis_ground")
    return ground


@pytest.fixture
def redis_ground(request: pytest.FixtureRequest, unique_name: str) -> RedisGround:
    return RedisGround(request.getfixturevalue("redis_bus"), unique_name)
