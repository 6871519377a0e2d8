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
EXPECTED = ["equal True", "sent True True", "kept True", "killed True True", "deadly {'item': 2} True", "error {'symbol': 'X'}", "cancelled True"]  # fmt: skip


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


# Asked anew whenever the test writes a line.
ASKED_AGAIN = """
import sys
from evolve.compute.work import map_work
from evolve.errors import Unavailable
def slow(n):
    import time
    time.sleep(0.5)
    return n
def telling(done, _):
    if done == 1: print("begun", flush=True)
def asked(function, **k):
    try: print("answer", map_work(function, range(40), workers=2, engine=sys.argv[1], **k) == [function(n) for n in range(40)], flush=True)
    except Unavailable as error: print("unavailable", "went away in the middle" in error.message, "no Ray cluster answers" in error.message, flush=True)
asked(abs)
for line in sys.stdin:
    asked(*{"quick": (abs,), "slow": (slow,)}[line.strip()], progress=telling)
"""


@pytest.mark.timeout(600)
def test_a_cluster_that_goes_away_is_said_and_one_that_comes_back_is_used() -> None:
    """In the middle of the work, and between two; the same process then works with the cluster that has its place."""
    pytest.importorskip("ray", reason="needs the package ray; `make prove` installs it")
    heard: list[str] = []

    def next_line() -> str:
        assert program.stdout is not None
        heard.append(
            next(line for line in program.stdout if line.startswith(("begun", "answer", "unavailable"))).strip()
        )
        return heard[-1]

    def ask(what: str) -> None:
        assert program.stdin is not None
        program.stdin.write(f"{what}\n")
        program.stdin.flush()

    with ray_processes() as cluster:
        program = subprocess.Popen(
            [sys.executable, "-c", ASKED_AGAIN, cluster.client], env={**os.environ, **ONE_THREAD}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert next_line() == "answer True"
        ask("slow")
        assert next_line() == "begun"
    try:
        assert next_line() == "unavailable True False"
        ask("quick")
        assert next_line() == "unavailable False True"
        with ray_processes(client_port=int(cluster.client.rpartition(":")[2])):
            ask("quick")
            assert (next_line(), next_line()) == ("begun", "answer True")
        with ray_processes(client_port=int(cluster.client.rpartition(":")[2])):
            ask("quick")
            assert (next_line(), next_line()) == ("begun", "answer True")
    finally:
        program.kill()
        program.communicate(timeout=20)


def said(output: str, expected: list[str]) -> list[str]:
    """Ray writes of dead workers in between."""
    begins = tuple(line.split()[0] for line in expected)
    return [line for line in output.splitlines() if line.startswith(begins)]
