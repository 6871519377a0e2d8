"""A Dask and a Ray cluster of one's own: processes as an operator starts them, each with two workers of one thread.

They write into files, whose end is shown when one does not come up: a pipe that nobody reads fills, and stops who writes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

AS_DOCUMENTED = {"DASK_CONFIG": str(Path(__file__).parents[1] / "deploy" / "dask.yaml")}  # in docs/operations.md
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Ray's head takes 10 s here, and took 38 with its files not yet in memory.
START_S = 150


@dataclass
class DaskProcesses:
    engine: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.scheduler.pid), *self.working()]

    def working(self) -> list[psutil.Process]:
        return [psutil.Process(worker.pid) for worker in self.workers if worker.poll() is None]


@dataclass
class RayProcesses:
    """engine: on a machine of the cluster, with RAY_ADDRESS; client: from any other."""

    engine: str
    client: str
    address: str
    head: subprocess.Popen[bytes]

    def processes(self) -> list[psutil.Process]:
        head = psutil.Process(self.head.pid)
        return [head, *head.children(recursive=True)]

    def working(self) -> list[psutil.Process]:
        """The processes that are at an item now: Ray names them after the function."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if "work_on" in " ".join(process.cmdline()):
                    found.append(process)
        return found


@contextmanager
def dask_processes(*, python_path: str = "") -> Iterator[DaskProcesses]:
    """python_path: where the workers find modules that are not installed, as a test's own functions are."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    started: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, **ONE_THREAD, **AS_DOCUMENTED, **({"PYTHONPATH": python_path} if python_path else {})}

    def start(sign: str, *command: str) -> str:
        log = place / f"{len(started)}.log"
        started.append(_started(log, environment, *command))
        return _said(started[-1], log, sign).split()[-1]

    try:
        address = start("Scheduler at:", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")  # fmt: skip
        for _ in range(2):
            start("Registered to:", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(place))  # fmt: skip
        yield DaskProcesses("dask://" + address.removeprefix("tcp://"), started[0], started[1:])
    finally:
        for process in started:
            process.kill()
            process.wait(20)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def ray_processes(*, client_port: int = 0, cpus: int = 2) -> Iterator[RayProcesses]:
    """client_port: 0 for one that is free. cpus: of its head."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # a path below pytest's own is too long for Ray's sockets
    client = client_port or _free_port()
    environment = {**os.environ, **ONE_THREAD, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    log = place / "head.log"
    head = _started(
        log, environment, "ray.scripts.scripts", "start", "--head", f"--num-cpus={cpus}", f"--port={_free_port()}",
        f"--ray-client-server-port={client}", "--include-dashboard=false", f"--temp-dir={place}", "--object-store-memory=200000000", "--block",
    )  # fmt: skip
    try:
        address = _said(head, log, "--address=", more=place / "session_latest" / "logs").split("'")[1]
        yield RayProcesses("ray://auto", f"ray://127.0.0.1:{client}", address, head)
    finally:
        _end_all(head)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def ray_node(cluster: RayProcesses) -> Iterator[Callable[[], None]]:
    """Another node, with two processors. Yields what kills it."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    log = place / "node.log"
    node = _started(
        log, {**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"},
        "ray.scripts.scripts", "start", f"--address={cluster.address}", "--num-cpus=2", "--object-store-memory=200000000", "--block",
    )  # fmt: skip
    try:
        _said(node, log, "Ray runtime started")
        yield lambda: _end_all(node)
    finally:
        _end_all(node)
        shutil.rmtree(place, ignore_errors=True)


def _end_all(first: subprocess.Popen[bytes]) -> None:
    """At once with all that it started: told to end, a head of Ray first waits for its own servers, which were told too."""
    processes = (
        [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)] if first.poll() is None else []
    )
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=20)
    first.wait(20)


def _started(log: Path, environment: dict[str, str], *command: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command], stdout=output, stderr=subprocess.STDOUT, env=environment
        )


def _said(process: subprocess.Popen[bytes], log: Path, sign: str, *, more: Path | None = None) -> str:
    """The first line with `sign` that it writes into `log`; AssertionError with the end of that, and of logs in `more`, if none comes."""
    until = time.monotonic() + START_S
    while True:
        ended = process.poll()
        found = [line for line in log.read_text(errors="replace").splitlines() if sign in line]
        if found:
            return found[0]
        if ended is not None or time.monotonic() > until:
            break
        threading.Event().wait(0.1)
    how = f"ended with {ended}" if ended is not None else f"did not say {sign!r} in {START_S} s"
    logs = [log, *sorted(more.glob("*.err")), *sorted(more.glob("*.out"))] if more else [log]
    raise AssertionError("\n".join([f"a process of the cluster {how}", *map(_end, logs)]))


def _end(log: Path) -> str:
    return f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
