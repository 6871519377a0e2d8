"""A process that keeps its connection to a Ray cluster, when the cluster goes. In a module of its own: two clusters on one machine share ports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clusters import ONE_THREAD, ray_node, ray_processes

pytestmark = pytest.mark.prove

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


ASKED_ONCE = """
import sys, time
import evolve.compute.ray_cluster
from evolve.compute.work import map_work
from evolve.errors import Unavailable
evolve.compute.ray_cluster.LOOK_S = 1.0
def slow(n):
    import time
    time.sleep(0.5)
    return n
def telling(done, _):
    if done == 1: print("begun", flush=True)
try: map_work(slow, range(1000), workers=2, engine=sys.argv[1], progress=telling)
except Unavailable as error: print("unavailable", "lost its last processor; start a node" in error.message, flush=True)
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


@pytest.mark.timeout(600)
def test_a_cluster_whose_last_node_died_is_said_and_not_waited_for() -> None:
    """The head has no processors; the only node that has, is killed in the middle of the work."""
    pytest.importorskip("ray", reason="needs the package ray; `make prove` installs it")
    with ray_processes(cpus=0) as cluster, ray_node(cluster) as node:
        program = subprocess.Popen(
            [sys.executable, "-c", ASKED_ONCE, cluster.engine],
            env={**os.environ, **ONE_THREAD, "RAY_ADDRESS": cluster.address}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert program.stdout is not None
            told = (line.strip() for line in program.stdout if line.startswith(("begun", "unavailable")))
            assert next(told) == "begun"
            node()
            assert next(told) == "unavailable True"
        finally:
            program.kill()
            program.communicate(timeout=20)
