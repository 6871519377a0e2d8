"""A client on the wrong side of a partition: adds requests and waits for no reply, and notes which were accepted.

Arguments: journal of the runs, file for what was accepted, how many, seconds between two. A line of that file: Unix seconds, request id,
and `accepted`, or the error.
"""

from __future__ import annotations

import asyncio
import sys
import time

from evolve.errors import Unavailable
from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import RequestEnvelope, new_request_id
from evolve.settings import Settings


async def write(journal: str, notes: str, count: int, every_s: float) -> None:
    bus = bus_for(Settings.load())
    asker = Asker(bus)

    async def one(number: int) -> None:
        data = {"client": "cut-off", "number": number, "journal": journal, "pause_s": 0.0}
        envelope = RequestEnvelope("work", data, request_id=new_request_id(), reply_to=asker.name)
        try:
            await asker.send("tally", "light", envelope)
            said = "accepted"
        except Unavailable as error:
            said = error.message
        with open(notes, "a") as file:
            file.write(f"{time.time()}\t{number}\t{envelope.request_id}\t{said}\n")

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
            await asyncio.sleep(every_s)
    await asker.close()
    await bus.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
