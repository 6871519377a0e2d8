"""A Dask and a Ray cluster of a test's own: processes as an operator starts them, each with two workers of one thread."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class DaskProcesses:
    engine: str
    workers: list[subprocess.Popen[str]]

    def working(self) -> list[psutil.Process]:
        return [psutil.Process(worker.pid) for worker in self.workers if worker.poll() is None]


@dataclass
class RayProcesses:
    """engine: on a machine of the cluster, with RAY_ADDRESS; client: from any other."""

    engine: str
    client: str
    address: str
    head: subprocess.Popen[str]

    def working(self) -> list[psutil.Process]:
        """The processes that are at an item now: Ray names them after the function."""
        found = []
        for process in psutil.Process(self.head.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "work_on" in " ".join(process.cmdline()):
                    found.append(process)
        return found


@contextmanager
def dask_processes() -> Iterator[DaskProcesses]:
    place = tempfile.mkdtemp(dir="/tmp")
    started: list[subprocess.Popen[str]] = []

    def start(sign: str, *command: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, **ONE_THREAD},
        )  # fmt: skip
        started.append(process)
        assert process.stderr is not None
        return next(line for line in process.stderr if sign in line).split()[-1]

    try:
        address = start("Scheduler at:", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")  # fmt: skip
        for _ in range(2):
            start("Registered to:", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", place)  # fmt: skip
        yield DaskProcesses("dask://" + address.removeprefix("tcp://"), started[1:])
    finally:
        for process in started:
            process.kill()
            process.communicate(timeout=20)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def ray_processes() -> Iterator[RayProcesses]:
    place = tempfile.mkdtemp(dir="/tmp")  # a path below pytest's own is too long for Ray's sockets
    client = _free_port()
    environment = {**os.environ, **ONE_THREAD, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    head = subprocess.Popen(
        [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=2", f"--port={_free_port()}",
            f"--ray-client-server-port={client}", "--include-dashboard=false", f"--temp-dir={place}", "--object-store-memory=100000000", "--block",
        ],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert head.stdout is not None
        address = next(line for line in head.stdout if "--address=" in line).split("'")[1]
        yield RayProcesses("ray://auto", f"ray://127.0.0.1:{client}", address, head)
    finally:
        head.terminate()
        head.communicate(timeout=60)
        shutil.rmtree(place, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
