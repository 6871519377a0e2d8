"""Work on a Ray cluster is the work that a loop would do; a worker that dies costs nothing but time. In a process of its own: Ray leaves threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clusters import ONE_THREAD, RayProcesses, ray_processes

pytestmark = pytest.mark.prove

PROGRAM = """
import os, pathlib, signal, sys
import numpy as np
from evolve.compute.work import map_work
from evolve.errors import DataUnavailable, Cancelled, JobDied
place = pathlib.Path(sys.argv[1])
shared = np.random.default_rng(0).normal(size=(200, 200))
def work(seed):
    return np.linalg.svd(shared + np.random.default_rng(seed).normal(size=(200, 200)))[1].tobytes()
on = lambda function, items, **k: map_work(function, items, workers=2, engine=sys.argv[2], **k)
print("equal", on(work, range(6)) == map_work(work, range(6), workers=1))
def unpickled(path):
    with open(path, "a") as file: file.write("once\\n")
    return True
class Counted:
    def __reduce__(self): return unpickled, (str(place / "unpickled"),)
counted = Counted()
def holds(n): return os.getpid() if counted else 0
workers = set(on(holds, range(20)))
print("sent", len((place / "unpickled").read_text().splitlines()) == len(workers), len(workers) <= 2)
print("kept", set(on(lambda n: os.getpid(), range(20))) <= workers)
def dies(n):
    mark = place / "dead"
    if n == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n
print("killed", on(dies, range(8)) == [n * n for n in range(8)], (place / "dead").exists())
def deadly(n):
    if n == 2: os.kill(os.getpid(), signal.SIGKILL)
    return n
try: on(deadly, range(4))
except JobDied as error: print("deadly", error.details, "4 times" in error.message)
def buried(n):
    if n == 17: os.kill(os.getpid(), signal.SIGKILL)
    return n
try: on(buried, range(40))
except JobDied as error: print("buried", error.details)
def fails(n):
    if n == 2: raise DataUnavailable("no bars", symbol="X")
    return n
try: on(fails, range(6))
except DataUnavailable as error: print("error", error.details)
def listen(done, _):
    if done == 2: raise Cancelled("enough")
def notes(n):
    (place / f"n{n}").touch()
try: on(notes, range(200), progress=listen)
except Cancelled: print("cancelled", len(list(place.glob("n*"))) < 100)
"""
EXPECTED = ["equal True", "sent True True", "kept True", "killed True True", "deadly {'item': 2} True", "buried {'item': 17}", "error {'symbol': 'X'}", "cancelled True"]  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayProcesses]:
    pytest.importorskip("ray", reason="needs the package ray; `make prove` installs it")
    with ray_processes() as running:
        yield running


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["engine", "client"])
def test_work_on_ray_equals_work_in_a_loop(cluster: RayProcesses, tmp_path, how: str) -> None:
    """engine: from a machine of the cluster. client: through the head's client port, as from any other machine."""
    environment = {**os.environ, **ONE_THREAD, "RAY_USAGE_STATS_ENABLED": "0"}
    if how == "engine":
        environment["RAY_ADDRESS"] = cluster.address

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), getattr(cluster, how)],
        env=environment, capture_output=True, text=True, timeout=500,
    )  # fmt: skip

    assert said(done.stdout, EXPECTED) == EXPECTED, done.stdout + done.stderr


def said(output: str, expected: list[str]) -> list[str]:
    """Ray writes of dead workers in between."""
    begins = tuple(line.split()[0] for line in expected)
    return [line for line in output.splitlines() if line.startswith(begins)]
