"""One server and one replica of the echo service for the tests that leave them as they found them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from homes import fresh_home
from integration.messaging.fronts import fronts_in
from web.api.web_servers import Web, web_in


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    with fresh_home() as home, fronts_in(home) as fronts:
        asyncio.run(fronts.start())
        with web_in(home) as served:
            yield served
