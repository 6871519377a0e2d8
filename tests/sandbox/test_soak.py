"""Does anything pile up? Ten thousand runs, and the same counted afterwards as before."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from evolve.sandbox.executor import SafeExecutor
from homes import until

RUNS = 10_000
PROGRAMS = (
    "def main(d): return 1",
    "import numpy as np\ndef main(d): return float(np.mean([1, 2, 3]))",
    "def main(d): return 1 / 0",
    "import os",
    "def main(d):\n    print('x' * 100)\n    return {'a': [1] * 100}",
    "import numpy as np\ndef main(d): return np.ones(1 << 30).sum()",
)


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SafeExecutor]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # nobody else's files are counted
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=64, log_executions=False, home=tmp_path / "home") as executor:
        yield executor


@pytest.mark.prove
@pytest.mark.timeout(3000)
def test_ten_thousand_runs_leave_nothing_behind(executor: SafeExecutor) -> None:
    me = psutil.Process()
    executor.wait_until_warm()
    for number in range(200):  # caches fill
        executor.execute(PROGRAMS[number % len(PROGRAMS)], "m", {})
    until(
        lambda: counted(me)["processes"] <= 7, what="the first children to be reaped"
    )  # loader, zygotes, waiting ones
    before = counted(me)

    for number in range(RUNS):
        executor.execute(PROGRAMS[number % len(PROGRAMS)], "m", {})

    until(lambda: counted(me)["processes"] <= before["processes"], what="the last children to be reaped")
    after = counted(me)
    assert after["descriptors"] <= before["descriptors"] + 2
    assert after["zygotes' descriptors"] <= before["zygotes' descriptors"] + 2
    assert after["temporary files"] == before["temporary files"]
    assert after["MiB here"] < before["MiB here"] + 20
    assert after["MiB of the others"] < before["MiB of the others"] + 20
    assert executor.get_statistics()["total_executions"] == RUNS + 200


def counted(me: psutil.Process) -> dict[str, float]:
    alive = []
    for process in me.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a child may end while it is looked at
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    loader, *_ = me.children()
    family = [loader, *loader.children()]  # the zygotes: their children come and go
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": len(alive),
        "zygotes' descriptors": sum(process.num_fds() for process in family),
        "temporary files": len(os.listdir(tempfile.gettempdir())),
        "MiB here": me.memory_info().rss / 2**20,
        "MiB of the others": sum(process.memory_info().rss for process in family) / 2**20,
    }
