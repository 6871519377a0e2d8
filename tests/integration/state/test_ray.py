"""Work on a Ray cluster is the work that a loop would do; a worker that dies costs nothing but time. In a process of its own: Ray leaves threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

pytestmark = pytest.mark.prove

PROGRAM = """
import os, pathlib, signal, sys
import numpy as np
from evolve.compute.work import map_work
from evolve.errors import DataUnavailable, Cancelled
place = pathlib.Path(sys.argv[1])
shared = np.random.default_rng(0).normal(size=(200, 200))
def work(seed):
    return np.linalg.svd(shared + np.random.default_rng(seed).normal(size=(200, 200)))[1].tobytes()
on = lambda function, items, **k: map_work(function, items, workers=2, engine=sys.argv[2], **k)
print("equal", on(work, range(6)) == map_work(work, range(6), workers=1))
def dies(n):
    mark = place / "dead"
    if n == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n
print("killed", on(dies, range(8)) == [n * n for n in range(8)], (place / "dead").exists())
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


@pytest.mark.timeout(400)
def test_work_on_ray_equals_work_in_a_loop(tmp_path) -> None:
    pytest.importorskip("ray", reason="needs the package ray; `make prove` installs it")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONUNBUFFERED": "1",
    }
    place = tempfile.mkdtemp(dir="/tmp")  # a path below pytest's own is too long for Ray's sockets
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    port = str(20_000 + os.getpid() % 10_000)
    head = [
        *ray,
        "start",
        "--head",
        "--num-cpus=2",
        f"--port={port}",
        "--include-dashboard=false",
        f"--temp-dir={place}",
        "--object-store-memory=100000000",
        "--block",
    ]
    process = subprocess.Popen(head, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ray runtime started" in line:
                break
        environment["RAY_ADDRESS"] = f"127.0.0.1:{port}"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path), "ray://auto"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        # Ray writes of the dead worker in between.
        told = [line for line in done.stdout.splitlines() if line.startswith(("equal", "killed", "error", "cancelled"))]
        expected = ["equal True", "killed True True", "error {'symbol': 'X'}", "cancelled True"]
        assert told == expected, done.stdout + done.stderr
    finally:
        process.terminate()
        process.communicate(timeout=60)
        shutil.rmtree(place, ignore_errors=True)
