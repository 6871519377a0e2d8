"""What does a request of each kind cost, and do real replicas keep people waiting as the model of `evolve capacity` says?

    python bench/capacity.py --measure            # writes src/evolve/manager/service_times.json
    python bench/capacity.py --check --write docs/capacity.md

`--measure` asks each kind one after another on an idle system and takes what the services log of each request, the CPU time of all their
processes, and what stays in the server and the database. `--check` sends programs that sleep for lognormal times to the safe executor, as a Poisson
stream that does not wait for answers, and holds the measured waits beside the predicted ones. Sleeping needs no core, so that what is checked is the
waiting for a place, on a machine that others use too.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import psutil
import redis
from report.page import commit, load, processor, provenance, write_section

from evolve.client.client import ServiceClient
from evolve.manager.capacity import DATA, Costs, Kind, Stage
from evolve.manager.manager import ServiceManager
from evolve.memory.database import Database
from evolve.memory.decisions import Decision, DecisionLog
from evolve.messaging import embedded
from evolve.messaging.bus import Lane
from evolve.messaging.service import load_service
from evolve.services import service_path
from evolve.settings import Settings
from evolve.statistics.queue_simulation import lognormal, quantile
from evolve.statistics.queueing import Queue, ServiceTime

LINE = re.compile(r"(\w+)=(?:'([^']*)'|(\S+))")
NAP = "import time\ndef main(data):\n    time.sleep(data['s'])\n    return 1"
SUM = "def main(data):\n    return sum(range(data['n']))"
SYMBOLS = ("AAPL", "MSFT", "IBM", "GOOG")


@dataclass(frozen=True)
class Answered:
    """One line of a service's log."""

    service: str
    request_id: str
    parent: str
    seconds: float
    waited: float
    at: float

    @property
    def sent(self) -> float:
        return self.at - self.seconds - self.waited


def answered(logs: Path) -> list[Answered]:
    found = []
    for path in logs.glob("*_service.log"):
        for line in path.read_text(errors="replace").splitlines():
            if "event='answered'" in line:
                said = {name: quoted or bare for name, quoted, bare in LINE.findall(line)}
                found.append(
                    Answered(said["service"], said["request_id"], said.get("parent", ""), float(said["seconds"]), float(said["waited"]), datetime.fromisoformat(said["timestamp"]).timestamp())
                )  # fmt: skip
    return found


@contextlib.contextmanager
def home() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="ev-cap-"))
    os.environ["EVOLVE_HOME"], os.environ["EVOLVE_LOG_DIR"] = str(folder / "h"), str(folder / "logs")
    try:
        yield Settings.load()
    finally:
        with ServiceManager(settings=Settings.load()) as manager:
            manager.down()
        shutil.rmtree(folder, ignore_errors=True)


def cpu_s(home: Path) -> float:
    """User and system time of all processes of a home, with their ended children."""
    spent = 0.0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            ours = process.environ().get("EVOLVE_HOME") == str(home) or any(str(home) in w for w in process.cmdline())
            if ours and process.pid != os.getpid():
                spent += sum(process.cpu_times()[:4])
    return spent


# --- what a request costs ---


@dataclass
class Work:
    """Requests of one kind. warm: how many come before the measured ones."""

    name: str
    service: str
    type: str
    what: str
    data: Callable[[int], dict[str, object]]
    count: int
    warm: int = 3
    ids: list[str] = field(default_factory=list)


def works() -> list[Work]:
    return [
        Work("route", "prompt_router", "route_prompt", "find who answers a sentence", lambda n: {"user_prompt": f"best model for {SYMBOLS[n % 4]} over {30 + n} days"}, 60),
        Work("question", "quant_gpt", "process_query", "a market question on bundled daily bars", lambda n: {"query": f"What is the trend of {SYMBOLS[n % 4]} over {60 + n} days?"}, 24),
        Work("program", "safe_executor", "execute_model", "a program of 1 ms in the sandbox", lambda n: {"model_code": SUM, "model_name": "sum", "input_data": {"n": 1000 + n}}, 60),
        Work("ridge", "model_builder", "build_model", "build and test a ridge model on daily bars", lambda n: {"model_type": "ridge", "symbol": SYMBOLS[n % 4], "timeframe": "1d", "hyperparameters": {"alpha": 1 + n / 10}}, 16),
        Work("round", "updater", "auto_update", "one round of a watched symbol", lambda n: {"symbol": SYMBOLS[n % 4], "timeframe": "1d"}, 16, warm=4),
    ]  # fmt: skip


def measure(options: argparse.Namespace) -> None:
    with home() as settings, ServiceManager(settings=settings) as manager:
        manager.start_all_services()
        with ServiceClient(settings=settings) as client:
            kinds = []
            for work in works():
                if work.name == "round":
                    watch(client)
                kinds.append(cost_of(work, client, settings))
                print(f"{kinds[-1]}; load {load()}", file=sys.stderr)
            costs = Costs(
                measured=f"{datetime.now(UTC):%Y-%m-%d}", commit=commit(), machine=f"{processor()}, {os.cpu_count()} cores", load=load(),
                kinds=tuple(kinds),
                front_mb=statistics_of_fronts(client),
                job_mb=job_mb(settings.home),
                server_ms=options.server_ms,
                write_ms=write_ms(settings),
                server_kb=server_kb(client, settings),
                database_kb=database_kb(settings),
            )  # fmt: skip
    text = json.dumps(asdict(costs), indent=1)
    print(text)
    if not options.dry:
        DATA.write_text(text + "\n")


def watch(client: ServiceClient) -> None:
    for symbol in SYMBOLS:
        built = client.send_request(
            "model_builder", "build_model", {"model_type": "ridge", "symbol": symbol, "timeframe": "1d"}, timeout=300
        )
        said = client.send_request("updater", "start_watch", {"model_id": built["model_info"]["model_id"]}, timeout=300)
        if said["status"] != "success":
            raise SystemExit(f"cannot watch {symbol}: {said['error']}")  # fmt: skip


def cost_of(work: Work, client: ServiceClient, settings: Settings) -> Kind:
    def ask(number: int) -> str:
        reply = client.send_request(work.service, work.type, work.data(number), timeout=300)
        if reply["status"] != "success":
            raise SystemExit(f"{work.name}: {reply['error']}")
        return str(reply["request_id"])

    for number in range(work.warm):
        ask(1000 + number)
    before = cpu_s(settings.home)
    roots = {ask(number) for number in range(work.count)}
    cpu = (cpu_s(settings.home) - before) / work.count
    lines = answered(settings.logs)
    children = [line for line in lines if line.parent in roots]
    own = []
    for root in (line for line in lines if line.request_id in roots):
        # Who waits for an answer holds no place: what others did for it is theirs. They were asked one after another.
        others = sum(child.seconds + child.waited for child in children if child.parent == root.request_id)
        own.append(max(1e-4, root.seconds - others))
    served = {
        service: [child.seconds for child in children if child.service == service]
        for service in sorted({child.service for child in children})
    }
    stages = [stage_of(work.service, own, work), *(stage_of(service, took, work) for service, took in served.items())]
    return Kind(work.name, work.what, cpu, tuple(stages))


def stage_of(service: str, seconds: Sequence[float], work: Work) -> Stage:
    slots = {handler.request.slot for handler in load_service(service_path(service)).handlers.values()}
    lane: Lane = "heavy" if (service == work.service and slot_of(work) == "heavy") or slots == {"heavy"} else "light"
    time = ServiceTime.fitted(seconds)
    return Stage(service, lane, len(seconds) / work.count, time.mean_s, time.scv, len(seconds))


def slot_of(work: Work) -> str:
    return load_service(service_path(work.service)).handlers[work.type].request.slot


def statistics_of_fronts(client: ServiceClient) -> float:
    replicas = [
        each
        for name in ("model_builder", "quant_gpt", "prompt_router")
        for each in client.get_service_status(name)["replicas"]
    ]
    return max(each["rss_mb"] for each in replicas)  # fmt: skip


def job_mb(home: Path) -> float:
    """The largest job process, pages that it shares with others counted by its share (PSS)."""
    largest = 0.0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if any("jobs.sock" in word for word in process.cmdline()) and str(home) in " ".join(process.cmdline()):
                largest = max([largest, *(child.memory_full_info().pss / 2**20 for child in process.children())])
    if not largest:
        raise SystemExit("no job process was found; nothing heavy was asked")
    return largest


def write_ms(settings: Settings, rows: int = 300) -> float:
    """One row of the decision log, in its own transaction: what a request writes at least."""
    with Database.open(settings) as database:
        log = DecisionLog(database)
        started = time.perf_counter()
        for number in range(rows):
            log.record(
                Decision(
                    service="bench", request_id=f"bench-{number}", request_type="bench", inputs={"n": number}, outcome={"text": "x" * 500},
                    status="success", code_version="bench", started_at=0.0, finished_at=1.0, asked_by="bench",
                )
            )  # fmt: skip
        return 1000 * (time.perf_counter() - started) / rows


def server_kb(client: ServiceClient, settings: Settings, requests: int = 400) -> float:
    """What a request leaves on the server for a day: its done-mark and reply."""
    server = redis.Redis(unix_socket_path=str(embedded.socket_path(settings.home)))

    def used() -> int:
        return int(server.info("memory")["used_memory_dataset"])

    for number in range(50):
        client.send_request("prompt_router", "route_prompt", {"user_prompt": f"warm {number}"})
    before = used()
    for number in range(requests):
        client.send_request("prompt_router", "route_prompt", {"user_prompt": f"model {number} for AAPL over 90 days"})
    kept = used() - before
    server.close()
    return kept / requests / 1024


def database_kb(settings: Settings) -> float:
    """A row of the decision log on disk, as the requests above filled it."""
    with Database.open(settings) as database, database.read() as connection:
        pages, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0 for name in ("page_count", "page_size")
        )
        rows = connection.exec_driver_sql("SELECT count(*) FROM decisions").scalar() or 1
    return pages * size / rows / 1024


# --- does the model hold? ---


@dataclass(frozen=True)
class Held:
    """Predicted and measured at one utilisation."""

    wanted: float
    utilisation: float
    requests: int
    predicted: Mapping[float, float]
    replayed: Mapping[float, float]
    measured: Mapping[float, float]


QUANTILES = (0.5, 0.9, 0.95)


def check(options: argparse.Namespace) -> None:
    os.environ["EVOLVE_SAFE_EXECUTOR_SLOTS"] = str(options.slots)
    servers = options.replicas * options.slots
    rng = random.Random(options.seed)
    draw = lognormal(ServiceTime(options.mean, options.scv), rng)
    before = load()
    rows = []
    with home() as settings, ServiceManager(settings=settings) as manager, ServiceClient(settings=settings) as client:
        manager.scale_services({"safe_executor": str(options.replicas)})
        for ask in [send(client, 0.01) for _ in range(4 * servers)]:  # their processes, and what they import
            wait_for(client, [ask])
        for wanted in options.utilisations:
            rate = wanted * servers / (options.mean + options.overhead)
            ids, due = [], time.perf_counter()
            for _ in range(options.requests):
                due += rng.expovariate(rate)
                time.sleep(
                    max(0.0, due - time.perf_counter())
                )  # open: the next comes whether or not this one is answered
                ids.append(send(client, draw()))
            wait_for(client, ids)
            known = set(ids)
            lines = [line for line in answered(settings.logs) if line.request_id in known]
            rows.append(held(wanted, servers, lines))
            print(rows[-1], f"load {load()}", file=sys.stderr)
    text = table(rows, options, before)
    print(text)
    if options.write:
        write_section(options.write, "check", text)


def send(client: ServiceClient, seconds: float) -> str:
    fields = {"model_code": NAP, "model_name": "nap", "input_data": {"s": seconds}}
    return str(client.send_request("safe_executor", "execute_model", fields, wait_for_response=False)["request_id"])


def wait_for(client: ServiceClient, ids: Sequence[str]) -> None:
    end = time.monotonic() + 120
    for id in ids:
        while client.get_reply(id, "safe_executor") is None:
            if time.monotonic() > end:
                raise SystemExit(f"{id} was not answered")
            time.sleep(0.01)


def held(wanted: float, servers: int, lines: Sequence[Answered]) -> Held:
    """Arrivals and service times are those of this very run: the overhead of sandbox and bus is in them, and what the draw was by chance."""
    sent = sorted(line.sent for line in lines)
    between = ServiceTime.fitted([after - before for before, after in pairwise(sent)])
    queue = Queue(1 / between.mean_s, ServiceTime.fitted([line.seconds for line in lines]), servers, between.scv)
    waits = [line.waited for line in lines]
    floor = min(waits)  # sending and reading, which no server can shorten: no waiting for a place
    return Held(
        wanted, queue.utilisation, len(lines),
        {q: queue.wait_quantile_s(q) for q in QUANTILES},
        {q: quantile(replayed(lines, servers), q) for q in QUANTILES},
        {q: quantile(waits, q) - floor for q in QUANTILES},
    )  # fmt: skip


def replayed(lines: Sequence[Answered], servers: int) -> list[float]:
    """The waits that these very requests have at so many ideal places, in the order they came: without the chance of a short run."""
    free, waits = [0.0] * servers, []
    for line in sorted(lines, key=lambda line: line.sent):
        begins = max(line.sent, free[0])
        waits.append(begins - line.sent)
        heapq.heapreplace(free, begins + line.seconds)
    return waits


def table(rows: Sequence[Held], options: argparse.Namespace, before: str) -> str:
    lines = [
        f"{provenance()}; load {before} before, {load()} after; seed {options.seed}, {options.replicas} replicas × {options.slots} slots, "
        f"sleeps of {1000 * options.mean:.0f} ms on average with scv {options.scv:g}, {options.requests} requests each.",
        "",
        "| utilisation, with overhead | " + " | ".join(f"p{100 * q:.0f} wait, ms: formula | replay | **measured**" for q in QUANTILES) + " |",
        "|---" * (1 + 3 * len(QUANTILES)) + "|",
    ]  # fmt: skip
    for row in rows:
        cells = [
            f"{1000 * row.predicted[q]:.0f} | {1000 * row.replayed[q]:.0f} | **{1000 * row.measured[q]:.0f}**"
            for q in QUANTILES
        ]
        lines.append(f"| {100 * row.wanted:.0f} % asked, {100 * row.utilisation:.0f} % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What requests cost, and whether they wait as predicted.")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--dry", action="store_true", help="measure, but keep the data file as it is")
    parser.add_argument(
        "--server-ms", type=float, default=0.09, help="CPU of the server per request, from bench/bus.py"
    )
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--mean", type=float, default=0.5, help="seconds")
    parser.add_argument(
        "--overhead", type=float, default=0.02, help="seconds that sandbox and bus add to each, as --measure finds"
    )
    parser.add_argument("--scv", type=float, default=1.0)
    parser.add_argument("--requests", type=int, default=1200)
    parser.add_argument(
        "--utilisations", type=lambda text: [float(each) for each in text.split(",")], default=[0.4, 0.6, 0.8]
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.measure:
        measure(options)
    if options.check or not options.measure:
        check(options)


if __name__ == "__main__":
    main()
