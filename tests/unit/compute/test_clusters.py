"""Work on a Dask cluster is the work that a loop would do: same bits, same errors, and a worker's death costs nothing but time.

Scheduler and workers are processes of their own, as an operator starts them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from clusters import DaskProcesses, dask_processes
from evolve.compute.work import map_work
from evolve.errors import Cancelled, DataUnavailable, InvalidRequest, Unavailable

pytest.importorskip("distributed", reason="needs the package distributed")
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("dask"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskProcesses]:
    # The workers find the functions of these tests where this process does.
    with dask_processes(python_path=os.pathsep.join(sys.path)) as running:
        yield running


def on(cluster: DaskProcesses, function, items, **options):
    return map_work(function, items, workers=2, engine=cluster.engine, **options)


def test_results_equal_those_of_a_loop_to_the_bit_and_come_in_order(cluster):
    shared = np.random.default_rng(0).normal(size=(300, 300))

    def work(seed: int) -> bytes:
        matrix = shared + np.random.default_rng(seed).normal(size=(300, 300))
        return np.linalg.svd(matrix)[1].tobytes() + (matrix @ matrix).tobytes()

    steps: list[tuple[int, int]] = []
    found = on(cluster, work, range(6), progress=lambda *step: steps.append(step))

    assert found == map_work(work, range(6), workers=1)
    assert steps == [(done, 6) for done in range(1, 7)]


def test_what_a_function_encloses_is_unpickled_once_per_worker(cluster, tmp_path):
    class Counted:
        def __reduce__(self):
            # Runs where it is unpickled: one line per time.
            return (_noted, (str(tmp_path / "unpickled"),))

    enclosed = Counted()

    def work(n: int) -> tuple[int, int]:
        return n, os.getpid() if enclosed else 0

    found = on(cluster, work, range(20))

    assert len((tmp_path / "unpickled").read_text().splitlines()) == len({pid for _, pid in found}) == 2


def _noted(path: str) -> bool:
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    return True


def test_the_first_items_exception_is_raised_with_its_type_and_trace(cluster):
    def work(n: int) -> int:
        if n in (3, 5):
            raise DataUnavailable(f"no bars {n}", symbol="X")
        return n

    with pytest.raises(DataUnavailable, match="no bars 3") as caught:
        on(cluster, work, range(8))

    assert caught.value.details == {"symbol": "X"}
    assert "in work" in caught.value.__notes__[0]


def test_what_the_listener_raises_ends_the_work(cluster, tmp_path):
    def work(n: int) -> int:
        (tmp_path / str(n)).touch()
        return n

    def listen(done: int, _: int) -> None:
        if done == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        on(cluster, work, range(200), progress=listen)

    assert len(list(tmp_path.iterdir())) < 50


def test_the_items_of_a_worker_that_is_killed_are_done_by_another(cluster, tmp_path):
    """The first to come to item 4 dies of it; who does it again finds the mark and lives."""

    def work(n: int) -> int:
        mark = tmp_path / "dead"
        if n == 4 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return n * n

    assert on(cluster, work, range(12)) == [n * n for n in range(12)]
    assert (tmp_path / "dead").exists()
    assert any(worker.wait(10) == -signal.SIGKILL for worker in cluster.workers if worker.poll() is not None)


def test_a_cluster_whose_last_worker_died_is_said_and_not_waited_for():
    def work(_: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with dask_processes(python_path=os.pathsep.join(sys.path)) as mortal:
        with pytest.raises(Unavailable, match=r"or its last worker is gone.*; ask again when it has workers"):
            map_work(work, range(12), workers=2, engine=mortal.engine)
        assert mortal.working() == []


def test_an_address_nobody_answers_at_and_one_that_cannot_be_are_sentences(monkeypatch):
    monkeypatch.setattr("evolve.compute.dask_cluster.CONNECT_S", 0.3)
    with pytest.raises(Unavailable, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        map_work(abs, range(3), workers=2, engine="dask://127.0.0.1:9")
    with pytest.raises(InvalidRequest, match="write local, dask://host:port or ray://host:port"):
        map_work(abs, range(3), workers=2, engine="spark://h:1")


def test_workers_with_other_versions_are_refused():
    from evolve.compute.parcel import same_versions, versions

    with pytest.raises(Unavailable, match=r"numpy 1\.0 instead of .*: install there what is installed here"):
        same_versions("dask://h:1", [{**versions(), "numpy": "1.0"}])
