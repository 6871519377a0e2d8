"""Work over forked processes equals work in a loop, and leaves nothing behind.

Each case runs in a fresh interpreter with one thread: this one may have more, and then nothing may be forked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from structlog.testing import capture_logs

from evolve.compute.local import map_work
from evolve.errors import InvalidRequest

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PRELUDE = """
import os, signal, sys, time
import psutil
from evolve.compute.local import map_work
from evolve.errors import DataUnavailable, JobDied
parent = os.getpid()
assert psutil.Process().num_threads() == 1
def children():
    return psutil.Process().children()
"""


def shown_by(code: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ONE_THREAD, **environment},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_results_come_in_order_and_from_other_processes():
    out = shown_by("""
def work(n):
    time.sleep(0.02 * (4 - n))  # the later items finish first
    return n * n, os.getpid()
results = map_work(work, range(5), workers=2)
print([square for square, _ in results], parent in {pid for _, pid in results}, len({pid for _, pid in results}), children())
""")

    assert out == "[0, 1, 4, 9, 16] False 2 []"


def test_two_workers_give_the_same_bits_as_one():
    out = shown_by("""
import numpy as np
def work(seed):
    matrix = np.random.default_rng(seed).normal(size=(300, 300))
    return np.linalg.svd(matrix)[1].tobytes(), (matrix @ matrix).tobytes()
print(map_work(work, range(4), workers=2) == map_work(work, range(4), workers=1))
""")

    assert out == "True"


def test_walk_forward_over_two_processes_equals_that_over_one():
    out = shown_by(
        """
import numpy as np
from worlds import planted
from evolve.forecasting.base import forecaster
from evolve.forecasting.walk_forward import out_of_sample
from evolve.statistics.splits import walk_forward
bars = planted("ar1", bars=700, seed=1, r2=0.1).bars
folds = walk_forward(700, folds=3, first_train_bars=400, embargo_bars=0)
pairs = [out_of_sample(forecaster(name), bars, folds, workers=w) for name in ("ridge", "xgboost") for w in (1, 2)]
print([bool(np.array_equal(a.mean, b.mean) and a.mean.any()) for a, b in zip(pairs[::2], pairs[1::2])])
""",
        PYTHONPATH=os.path.join(os.path.dirname(__file__), "..", "forecasting"),
    )

    assert out == "[True, True]"


def test_progress_counts_finished_items():
    assert (
        shown_by("map_work(abs, range(3), workers=2, progress=lambda *step: print(step))") == "(1, 3)\n(2, 3)\n(3, 3)"
    )


def test_an_exception_keeps_its_type_message_and_details_and_leaves_no_process():
    out = shown_by("""
def work(n):
    if n == 1:
        raise DataUnavailable("no bars", symbol="X")
    time.sleep(30 if n > 1 else 0)
try:
    map_work(work, range(8), workers=2)
except DataUnavailable as error:
    print(error.message, error.details, "work(n)" in error.__notes__[0] or "in work" in error.__notes__[0], children())
""")

    assert out == "no bars {'symbol': 'X'} True []"


def test_of_several_exceptions_the_first_items_is_raised_as_a_loop_would():
    out = shown_by("""
def work(n):
    time.sleep(0.2 * (n == 0))
    raise ValueError(n)
try:
    map_work(work, range(2), workers=2)
except ValueError as error:
    print(error)
""")

    assert out == "0"


def test_an_exception_that_cannot_be_pickled_becomes_internal_with_its_name():
    out = shown_by("""
from evolve.errors import Internal
class Odd(Exception):
    def __init__(self, a, b): super().__init__("odd")
def work(n): raise Odd(1, 2)
try:
    map_work(work, range(2), workers=2)
except Internal as error:
    print(error)
""")

    assert out == "Odd: odd"


@pytest.mark.parametrize(
    ("death", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "by signal 9"),
        ("os._exit(3)", "with exit code 3"),
        ("os._exit(0)", "with exit code 0"),
    ],
)
def test_an_item_that_ends_every_worker_is_reported_and_not_waited_for(death, told):
    out = shown_by(f"""
def work(n): {death}
try:
    map_work(work, range(4), workers=2)
except JobDied as error:
    print(error, children())
""")

    assert told in out
    assert "4 times over the same item of work (" in out
    assert out.endswith("[]")


def test_the_items_of_workers_that_are_killed_are_done_by_others():
    """Every third item kills the first worker that comes to it, and item 7 the first three."""
    out = shown_by("""
import pathlib, tempfile
place = pathlib.Path(tempfile.mkdtemp())
def work(n):
    deaths = len(list(place.glob(f"{n}-*")))
    if deaths < (3 if n == 7 else n % 3 == 0):
        (place / f"{n}-{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n
kept, steps = [], []
results = map_work(work, range(12), workers=2, each=lambda n, square: kept.append(n), progress=lambda *step: steps.append(step))
print(results == [n * n for n in range(12)], sorted(kept) == list(range(12)), steps[-1], len(list(place.iterdir())), children())
""")

    assert out == "True True (12, 12) 7 []"


def test_an_item_above_the_memory_limit_is_an_error_that_says_what_to_do():
    out = shown_by("""
import numpy as np
def work(n):
    return float(np.ones((300 << 20) // 8).sum()) if n == 2 else n
try:
    map_work(work, range(4), workers=2, memory_mb=200)
except JobDied as error:
    print(error.message, children())
print(map_work(work, range(4), workers=2, memory_mb=400)[2] > 0)
""")

    assert "needs more memory than EVOLVE_COMPUTE_MEMORY_MB=200 allows a worker; raise it, use fewer workers" in out
    assert out.endswith("[]\nTrue")


def test_ctrl_c_kills_the_workers():
    out = shown_by("""
import psutil
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it from birth
def work(n):
    # Once the parent waits for results: Python drops what is raised in the hooks it runs right after a fork.
    while n == 1 and psutil.Process(parent).status() != psutil.STATUS_SLEEPING:
        time.sleep(0.001)
    if n == 1:
        os.kill(parent, signal.SIGINT)
    time.sleep(30)
try:
    map_work(work, range(2), workers=2)
except KeyboardInterrupt:
    print("interrupted", children())
""")

    assert out == "interrupted []"


def test_ctrl_c_while_workers_are_still_being_started_leaves_none():
    """Sent by the first worker the moment it lives, some hundred microseconds before the others do."""
    out = shown_by("""
signal.signal(signal.SIGINT, signal.default_int_handler)
def work(n):
    if n == 0:
        os.kill(parent, signal.SIGINT)
    time.sleep(30)
try:
    map_work(work, range(8), workers=8)
except KeyboardInterrupt:
    print("interrupted", children())
""")

    assert out == "interrupted []"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_workers_die_with_their_parent():
    """The parent is killed outright; the write end that only its workers hold closes when they are gone too."""
    out = shown_by("""
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(reader)
    middle = os.getpid()
    def work(n):
        os.write(writer, b"w")
        if n == 1:
            time.sleep(0.05)
            os.kill(middle, signal.SIGKILL)
        time.sleep(30)
    map_work(work, range(2), workers=2)
os.close(writer)
started = time.monotonic()
while os.read(reader, 10): pass
print(time.monotonic() - started < 10)
""")

    assert out == "True"


def test_a_process_with_threads_works_serially_and_says_so():
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with capture_logs() as lines:
            pids = map_work(lambda _: os.getpid(), range(3), workers=2)
    finally:
        release.set()
        thread.join()

    assert set(pids) == {os.getpid()}
    assert "cannot fork safely" in lines[0]["event"]
    assert lines[0]["items"] == 3


def test_one_worker_needs_no_fork_and_no_warning():
    with capture_logs() as lines:
        assert map_work(lambda n: n + 1, [1, 2], workers=1) == [2, 3]

    assert lines == []


def test_no_items_are_no_work():
    assert map_work(abs, [], workers=4) == []


def test_zero_workers_are_refused():
    with pytest.raises(InvalidRequest, match="workers must be at least 1"):
        map_work(abs, [1], workers=0)
