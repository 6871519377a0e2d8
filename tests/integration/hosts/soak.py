"""An hour in the life of an estate: requests of several kinds at a steady rate, faults at random, and what grows meanwhile.

Whoever is killed stands on host `b`; the replicas on `a` are stopped, cut off and slowed, but live all the time, so that what they
leak would be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select

from contracts.bus_contract import eventually
from evolve.contracts.model_builder import BuildModel, ListModels
from evolve.contracts.prompt_router import DetectIntent, RoutePrompt
from evolve.contracts.safe_executor import ExecuteIndicator
from evolve.errors import Unavailable
from evolve.memory.database import Database
from evolve.memory.tables import metadata
from evolve.messaging.asker import Asker
from evolve.messaging.connection import bus_for
from evolve.messaging.envelope import new_request_id
from evolve.messaging.messages import Request
from homes import PATIENCE_S
from integration.faults.asking import insist, watching
from integration.hosts.estate import LEASE_S, Estate, Replica

SERVICES = ("prompt_router", "safe_executor", "model_builder")
EVERY_S = 0.3  # between two requests
SAMPLE_S = 15.0
QUIET_S = (15.0, 40.0)  # between two faults
ANSWERED_WITHIN_S = 90.0
MODELS = 8  # as many recipes are asked for; after the first time each is found
INDICATOR = "def main(d):\n    close = d['price_data']['close']\n    return [d['parameters']['number'], sum(close) / len(close)]\n"
# What is kept for good, one row for what was asked: growth is its purpose.
KEPT_FOR_GOOD = frozenset({"decisions", "decision_symbols", "models", "trials"})


@dataclass(frozen=True)
class Kind:
    service: str
    weight: int
    make: Callable[[int], Request[object]]


KINDS = (
    Kind("prompt_router", 40, lambda n: DetectIntent(user_prompt=f"Give me the best model for NVDA over {n} days", use_openai=False)),  # type: ignore[arg-type, return-value]
    Kind("prompt_router", 20, lambda n: RoutePrompt(user_prompt=f"Backtest AAPL over {n} days")),  # type: ignore[arg-type, return-value]
    Kind("safe_executor", 20, lambda n: ExecuteIndicator(indicator_code=INDICATOR, indicator_name="mean", price_data={"close": [1.0, 2.0, 3.0]}, parameters={"number": n})),  # type: ignore[arg-type, return-value]
    Kind("model_builder", 20, lambda n: ListModels(limit=5)),  # type: ignore[arg-type, return-value]
    Kind("model_builder", 2, lambda n: BuildModel(model_type="ridge", symbol="BTCUSDT", timeframe="1d", seed=n % MODELS, simulate=True)),  # type: ignore[arg-type, return-value]
)  # fmt: skip


@dataclass
class Soak:
    estate: Estate
    rng: random.Random
    sent: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    crossed: int = 0
    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    recorded: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, float]] = field(default_factory=list)
    steady: list[Replica] = field(default_factory=list)

    # --- requests ---

    async def ask_on(self, seconds: float) -> None:
        bus = bus_for(self.estate.settings())
        asker = Asker(bus)
        end = time.monotonic() + seconds
        try:
            async with asyncio.TaskGroup() as group:
                for number in itertools.count():
                    if time.monotonic() >= end:
                        break
                    [kind] = self.rng.choices(KINDS, [kind.weight for kind in KINDS])
                    group.create_task(self.ask(asker, kind, kind.make(number), number))
                    await asyncio.sleep(EVERY_S)
        finally:
            await asker.close()
            await bus.close()

    async def ask(self, asker: Asker, kind: Kind, request: Request[object], number: int) -> None:
        id = new_request_id()
        self.sent += 1
        reply = await insist(
            asker, kind.service, request, id, within_s=ANSWERED_WITHIN_S, pause_s=0.5, refused=self._refuse
        )
        if reply is None:
            self.lost.append(f"{request.wire_type} {id}")
            return
        self.answered += 1
        if type(request).records and reply["status"] == "success":
            self.recorded.add(id)
        if reply["status"] == "error":
            self.errors[f"{request.wire_type}: {reply['data']['code']}: {reply['data']['error'][:120]}"] += 1
        elif reply["request_id"] != id or (
            request.wire_type == "execute_indicator" and reply["data"]["result"]["return_value"] != [number, 2.0]
        ):
            self.crossed += 1

    def _refuse(self) -> None:
        self.refused += 1

    def watching(self) -> contextlib.AbstractAsyncContextManager[None]:
        return watching(self.estate.server.monitor(), SERVICES, self.published)

    # --- faults ---

    async def disturb(self, seconds: float) -> None:
        """One fault after the other, each mended before the next."""
        end = time.monotonic() + seconds
        faults = (
            self.kill, self.restart, self.stop, self.cut_from_bus, self.cut_from_database, self.cut_client,
            self.kill_bus, self.restart_database, self.slow_and_lossy,
        )  # fmt: skip
        while True:
            await asyncio.sleep(self.rng.uniform(*QUIET_S))
            # The last ones have time to be over, and what they disturbed to be answered.
            if time.monotonic() > end - 30:
                return
            fault = self.rng.choice(faults)
            await fault()
            self.faults[fault.__name__] += 1

    async def kill(self) -> None:
        await self._replace(signal.SIGKILL)

    async def restart(self) -> None:
        await self._replace(signal.SIGTERM)

    async def _replace(self, number: int) -> None:
        victim = self.rng.choice([replica for replica in self.estate.replicas if replica.host == "b"])
        victim.process.send_signal(number)
        await asyncio.to_thread(victim.process.wait, 30)
        self.estate.replicas.remove(victim)
        self.estate.launch(victim.service, "b")

    async def stop(self) -> None:
        victim = self.rng.choice(self.steady)
        victim.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S + self.rng.uniform(0.5, 3))
        victim.process.send_signal(signal.SIGCONT)

    async def _cut(self, one: str, other: str, seconds: float) -> None:
        self.estate.network.cut(one, other)
        await asyncio.sleep(seconds)
        self.estate.network.join(one, other)

    async def cut_from_bus(self) -> None:
        await self._cut(self.rng.choice(("a", "b")), "bus", self.rng.uniform(1, 3 * LEASE_S))

    async def cut_from_database(self) -> None:
        await self._cut(self.rng.choice(("a", "b")), "db", self.rng.uniform(1, 8))

    async def cut_client(self) -> None:
        await self._cut("client", "bus", self.rng.uniform(1, 8))

    async def kill_bus(self) -> None:
        self.estate.server.kill()
        await asyncio.sleep(self.rng.uniform(0.2, 2))
        self.estate.start_bus()

    async def restart_database(self) -> None:
        def restart() -> None:
            self.estate.postgres.stop("immediate")
            with self.estate.network.inside("db"):
                self.estate.postgres.start()

        await asyncio.to_thread(restart)

    async def slow_and_lossy(self) -> None:
        pair = self.rng.choice((("a", "bus"), ("b", "bus"), ("client", "bus"), ("a", "db"), ("b", "db")))
        self.estate.network.set_link(*pair, delay_s=0.05, jitter_s=0.1, loss=0.05)
        await asyncio.sleep(self.rng.uniform(5, 15))
        self.estate.network.join(*pair)

    # --- what grows ---

    async def measure(self, seconds: float) -> None:
        start = time.monotonic()
        while time.monotonic() - start < seconds - SAMPLE_S:
            await asyncio.sleep(SAMPLE_S)
            found = {"at": time.monotonic() - start} | self._of_processes() | self._of_files()
            # One that is away just now says nothing: what is counted there lacks in this sample.
            with contextlib.suppress(RedisError):
                async with self.estate.server.monitor() as monitor:
                    found |= await self._of_bus(monitor)
            with contextlib.suppress(Unavailable):
                found |= await asyncio.to_thread(self._of_database)
            self.samples.append(found)

    async def _of_bus(self, monitor: Redis) -> dict[str, float]:
        keys, lasting = 0, 0
        async for key in monitor.scan_iter(count=1_000):
            keys += 1
            lasting += await monitor.ttl(key) == -1
        consumers = 0
        for service, lane in itertools.product(SERVICES, ("light", "heavy")):
            groups = await monitor.xinfo_groups(f"evolve:{{{service}}}:requests:{lane}")
            consumers += sum(group["consumers"] for group in groups)
        info = await monitor.info("memory")
        return {
            "bus: keys": keys, "bus: keys that never expire": lasting, "bus: consumers of the groups": consumers,
            "bus: memory MB": info["used_memory_dataset"] / 2**20,
        }  # fmt: skip

    def _of_database(self) -> dict[str, float]:
        with Database.unmigrated(self.estate.settings()) as database, database.read() as connection:
            return {
                f"rows: {table.name}": connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.tables.values()
            }

    def _of_processes(self) -> dict[str, float]:
        found: dict[str, float] = {"client: open files": psutil.Process().num_fds()}
        for replica in self.steady:
            assert replica.process.poll() is None, f"{replica.service} on {replica.host} ended by itself"
            front = psutil.Process(replica.process.pid)
            tree = [front, *front.children(recursive=True)]
            found[f"{replica.service}: front, memory MB"] = pss_mb(front)
            found[f"{replica.service}: front, open files"] = front.num_fds()
            found[f"{replica.service}: with its jobs, memory MB"] = sum(map(pss_mb, tree))
            found[f"{replica.service}: processes"] = len(tree)
        return found

    def _of_files(self) -> dict[str, float]:
        logs = sum(_size(self.estate.folder / host / "logs") for host in ("a", "b"))
        homes = sum(_size(self.estate.folder / host) for host in ("a", "b")) - logs
        return {
            "files: logs MB": logs / 2**20,
            "files: homes without logs MB": homes / 2**20,
            "files: bus's log MB": _size(self.estate.folder / "appendonlydir") / 2**20,
        }

    # --- all of it ---

    async def run(self, seconds: float) -> None:
        Database.open(self.estate.settings()).close()
        self.steady = [self.estate.launch(service, "a") for service in SERVICES]
        for service in SERVICES:
            self.estate.launch(service, "b")
        await self._until_alive()
        async with self.watching(), asyncio.TaskGroup() as group:
            group.create_task(self.measure(seconds))
            group.create_task(self.disturb(seconds))
            await self.ask_on(seconds)

    async def _until_alive(self) -> None:
        bus = bus_for(self.estate.settings())

        async def alive() -> bool:
            return all([len(await bus.replicas(service)) == 2 for service in SERVICES])

        try:
            await eventually(alive, within_s=2 * PATIENCE_S, what="the replicas' heartbeats")
        finally:
            await bus.close()

    @property
    def doubled(self) -> int:
        return sum(count > 1 for count in self.published.values())

    def series(self, name: str, *, after_s: float) -> tuple[list[float], list[float]]:
        points = [(sample["at"], sample[name]) for sample in self.samples if sample["at"] >= after_s and name in sample]
        return [at for at, _ in points], [value for _, value in points]

    def names(self) -> list[str]:
        return sorted({name for sample in self.samples for name in sample} - {"at"})


def pss_mb(process: psutil.Process) -> float:
    """What it alone holds, and its share of what it shares; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def growth(times: list[float], values: list[float]) -> float:
    """How much more at the end than at the beginning, by the median slope of all pairs (Theil–Sen): single peaks do not count."""
    pairs = itertools.combinations(zip(times, values, strict=True), 2)
    slopes = [(later - before) / (end - start) for (start, before), (end, later) in pairs if end > start]
    return statistics.median(slopes) * (times[-1] - times[0])


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total
