"""Evolve's echo: the real `Worker` by `run_service`, the real `AsyncClient`, every guarantee on.

`worker` runs one replica, `client` the load.
"""

from __future__ import annotations

import asyncio
import os
import sys

import load

from evolve.client.core import AsyncClient
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service, handles
from evolve.messaging.serving import run_service
from evolve.services import SERVICES
from evolve.settings import Settings


class Echoed(Reply):
    text: str


class Echo(Request[Echoed], service="echo", slot="inline"):
    text: str


class EchoService(Service):
    name = "echo"

    @handles
    def echo(self, request: Echo, job: Job) -> Echoed:
        return Echoed(text=request.text)


async def client() -> None:
    async with AsyncClient(settings=Settings.load(redis_url=f"unix://{os.environ['BENCH_SOCKET']}")) as evolve:

        async def ask(text: str, **_: float) -> str:
            return (await evolve.ask(Echo(text=text))).text

        await load.obey(ask)


if __name__ == "__main__":
    # The registry names modules; this one runs as __main__, and is imported once more under its name.
    from echo_evolve import EchoService as Registered

    SERVICES["echo"] = "echo_evolve:EchoService"
    if sys.argv[1] == "worker":
        sys.exit(run_service(Registered, Settings.load(redis_url=f"unix://{os.environ['BENCH_SOCKET']}")))
    asyncio.run(client())
