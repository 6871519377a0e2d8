"""A client that asks and is killed before it hears the answers."""

from __future__ import annotations

import asyncio

from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from evolve.settings import Settings


async def ask(journal: str, count: str) -> None:
    bus = bus_for(Settings.load())
    asker = Asker(bus)
    for number in range(int(count)):
        data = {"client": "vanished", "number": number, "journal": journal, "pause_s": 0.05}
        envelope = RequestEnvelope("work", data, request_id=new_request_id(), reply_to=asker.name)
        await asker.send("tally", "light", envelope)
    await asyncio.sleep(3600)
