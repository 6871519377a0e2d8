"""Does the safe executor's service keep what its sandbox promises? Cancelled, killed, replicated, busy: real processes, a real server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from evolve.client.client import ServiceClient
from evolve.errors import Unavailable
from evolve.messaging import embedded
from evolve.sandbox.hosted import HostedExecutor, remove_left_behind
from evolve.services.safe_executor import SafeExecutorService
from evolve.settings import Settings
from homes import END_S, environment_of, until

pytestmark = [pytest.mark.xdist_group("safe executor"), pytest.mark.timeout(300)]

ENDLESS = "def main(d):\n    while True: pass"
GONE_MS = 100.0
PROGRAM = "import sys; from evolve.services.launch import main; sys.exit(main(['safe_executor']))"


@dataclass
class Replicas:
    """Launches replicas of the service in one home, and asks them."""

    home: Path
    client: ServiceClient
    launched: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **environment: str) -> psutil.Process:
        """One more replica, that answers."""
        front = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment_of(self.home, EVOLVE_SAFE_EXECUTOR_SLOTS="2", **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.launched.append(front)
        until(lambda: front.pid in self.pids() or front.poll() is not None, what="a replica's heartbeat")
        assert front.poll() is None
        return psutil.Process(front.pid)

    def pids(self) -> list[int]:
        status = self.client.get_service_status("safe_executor")
        return [replica["pid"] for replica in status.get("replicas", [])]

    def run(self, code: str, input_data: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        return self.client.execute_model_safely(code, "m", input_data or {}, **options)

    def warm(self) -> None:
        """Have all libraries loaded: what loads them computes for a while too, and is no program."""
        assert self.run("import pandas as pd\ndef main(d): return 1", timeout=60)["result"]["status"] == "success"

    def end(self) -> None:
        for front in self.launched:
            front.terminate()
        for front in self.launched:
            try:
                front.wait(END_S)
            finally:
                front.kill()
                front.wait()


@pytest.fixture
def replicas(home: Path, settings: Settings) -> Iterator[Replicas]:
    embedded.ensure(home)
    with ServiceClient(settings=settings) as client:
        replicas = Replicas(home, client)
        yield replicas
        replicas.end()


def family(front: psutil.Process) -> list[psutil.Process]:
    """The front, its sandbox and everything below."""
    return [front, *front.children(recursive=True)]


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def running_programs(front: psutil.Process) -> list[psutil.Process]:
    """Processes at the end of the sandbox's tree that have computed for a while; those that wait for a job have not."""
    found = []
    for process in front.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if not process.children() and process.cpu_times().user > 0.3:
                found.append(process)
    return found


def test_a_cancelled_run_ends_and_its_place_is_free(replicas: Replicas) -> None:
    """Both places are taken by programs that never end; cancelling one by its id lets the next run."""
    front = replicas.start()
    replicas.warm()
    ids = [replicas.run(ENDLESS, timeout=0.01)["request_id"] for _ in range(2)]
    until(lambda: len(running_programs(front)) == 2, what="both programs to run")
    statistics = replicas.client.get_safe_executor_statistics  # a light request: answered while both places are taken
    assert statistics()["total_executions"] == 1

    assert replicas.client.cancel(ids[0], "safe_executor")

    assert replicas.run("def main(d): return 1", timeout=60)["result"]["return_value"] == 1
    until(
        lambda: statistics()["by_status"] == {"system_error": 1, "success": 2},
        what="the withdrawn run's line in the log",
    )
    until(
        lambda: (replicas.client.get_reply(ids[0], "safe_executor") or {}).get("code") == "cancelled", what="its reply"
    )
    replicas.client.cancel(ids[1], "safe_executor")


def test_nothing_is_left_of_a_service_that_was_killed(replicas: Replicas) -> None:
    front = replicas.start()
    replicas.run(ENDLESS, timeout=0.01)
    until(lambda: running_programs(front), what="the program to run")
    everyone = family(front)

    front.kill()

    until(lambda: not living(everyone), within_s=5.0, what="the end of every process of the service")


@pytest.mark.prove
def test_nothing_is_left_of_a_killed_service_after_100_ms(replicas: Replicas) -> None:
    took = []
    for _ in range(5):
        front = replicas.start()
        replicas.run(ENDLESS, timeout=0.01)
        until(lambda front=front: running_programs(front), what="the program to run")
        everyone = family(front)
        started = time.perf_counter()
        front.kill()
        until(lambda everyone=everyone: not living(everyone), within_s=5.0, what="the end of every process")
        took.append(1000 * (time.perf_counter() - started))
        until(lambda: not replicas.pids(), what="the heartbeat to lapse")

    print(f"milliseconds until nothing was left: {sorted(round(ms) for ms in took)}")
    assert sorted(took)[len(took) // 2] < GONE_MS


def test_a_replica_that_is_told_to_stop_takes_its_sandbox_with_it(replicas: Replicas) -> None:
    front = replicas.start()
    assert replicas.run("def main(d): return 1")["result"]["status"] == "success"
    everyone = family(front)

    front.terminate()
    assert replicas.launched[0].wait(END_S) == 0

    until(lambda: not living(everyone), what="the end of its processes")
    assert list((replicas.home / "run").glob("sandbox-*")) == []


def test_a_sandbox_whose_process_dies_is_started_again(replicas: Replicas) -> None:
    front = replicas.start()
    replicas.run("def main(d): return 1")
    (host,) = [each for each in front.children() if "evolve.sandbox.host" in each.cmdline()]

    host.kill()

    def answered() -> bool:
        result = replicas.run("def main(d): return 1")["result"]
        assert result["status"] in ("success", "system_error"), result
        return bool(result["status"] == "success")

    until(answered, what="a run in the new sandbox")


@pytest.mark.prove  # ten to twenty seconds, for the time that `make test` has
def test_two_replicas_share_the_work_and_the_statistics(replicas: Replicas) -> None:
    fronts = [replicas.start(), replicas.start()]
    threads = [threading.Thread(target=replicas.run, args=("def main(d): return 1",)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Whoever answers, and each sandbox asked by itself, counts all runs.
    sockets = list((replicas.home / "run").glob("sandbox-*.sock"))
    assert {int(path.name.split("-")[1]) for path in sockets} == {front.pid for front in fronts}
    assert [HostedExecutor(path).get_statistics()["total_executions"] for path in sockets] == [12, 12]
    assert replicas.client.get_safe_executor_statistics()["total_executions"] == 12


def test_the_service_answers_ping_while_programs_use_every_core_and_return_megabytes(replicas: Replicas) -> None:
    replicas.start()
    large = "def main(d): return [[i + 0.5] * 1000 for i in range(400)]"
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            reply = replicas.run(large, timeout=120)
            assert reply["type"] == "model_executed", reply
            assert reply["result"]["status"] == "success", reply["result"]["error"]

    loads = [threading.Thread(target=load) for _ in range(2)]
    for thread in loads:
        thread.start()
    took = []
    with ServiceClient(settings=replicas.client.settings) as other:
        for _ in range(40):
            started = time.perf_counter()
            assert other.ping_service("safe_executor", timeout=10.0)["type"] == "pong"
            took.append(1000 * (time.perf_counter() - started))
    stop.set()
    for thread in loads:
        thread.join()

    print(f"ping under load: p50 {sorted(took)[20]:.1f} ms, worst {max(took):.1f} ms")
    assert sorted(took)[20] < 100


def test_a_result_larger_than_the_cap_is_an_error_with_its_size_and_one_below_arrives_whole(replicas: Replicas) -> None:
    replicas.start()
    below = replicas.run("def main(d): return 'x' * (9 << 20)", timeout=120)
    above = replicas.run("def main(d): return 'x' * (11 << 20)", timeout=120)["result"]
    many = replicas.run("def main(d): return [1] * 600_000", timeout=120)["result"]

    assert len(below["result"]["return_value"]) == 9 << 20
    assert above["status"] == "execution_error"
    assert "bytes as JSON; at most 10,485,760 are allowed" in above["error"]
    assert many["status"] == "execution_error"
    assert many["error"].startswith("the return value has 600,000 elements; at most 450,000")


def test_the_service_class_runs_in_a_users_process_with_limits_of_its_own(home: Path, settings: Settings) -> None:
    embedded.ensure(home)
    service = SafeExecutorService(timeout_seconds=0.4, memory_limit_mb=64)
    assert not service.get_service_info()["running"]
    service.start()
    try:
        with ServiceClient(settings=settings) as client:
            assert client.execute_model_safely(ENDLESS, "m")["result"]["status"] == "timeout"
            found = client.get_safe_executor_statistics()
            assert (found["timeout_seconds"], found["memory_limit_mb"]) == (0.4, 64)
    finally:
        service.stop()
    assert not [each for each in living(psutil.Process().children()) if "evolve.sandbox.host" in each.cmdline()]


def test_who_asks_waits_for_the_executors_limit_and_ten_seconds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evolve.client.core import AsyncClient
    from evolve.contracts.safe_executor import ExecuteModel, GetStatistics

    assert AsyncClient(settings=settings).timeout_for(ExecuteModel) == 310.0
    monkeypatch.setenv("SAFE_EXECUTOR_TIMEOUT", "20")
    assert AsyncClient(settings=Settings.load()).timeout_for(ExecuteModel) == 30.0
    assert AsyncClient(settings=settings).timeout_for(GetStatistics) == settings.response_timeout_s


def test_a_strategy_decides_bar_by_bar_over_the_bus(replicas: Replicas) -> None:
    replicas.start()
    code = "seen = []\ndef main(d):\n    seen.append(len(d['market_data']['close']))\n    return {'signal': 'BUY', 'seen': list(seen), 'k': d['parameters']['k'], 'at': d['market_data']['symbol']}"
    reply = replicas.client.execute_strategy_over_bars(
        code, "s", {"close": [1.0, 2.0, 3.0]}, {"k": 7}, market_data={"symbol": "AAPL"}
    )

    assert [decision["seen"] for decision in reply["decisions"]] == [[1], [1, 2], [1, 2, 3]]
    assert reply["decisions"][0]["k"] == 7
    assert reply["decisions"][0]["at"] == "AAPL"
    assert reply["result"]["status"] == "success"


@pytest.mark.parametrize("bars", [{}, {"close": []}, {"open": [1], "close": [1, 2]}])
def test_bars_of_no_or_different_length_are_refused_before_any_run(replicas: Replicas, bars: dict[str, Any]) -> None:
    reply = replicas.client.execute_strategy_over_bars("def main(d): return 0", "s", bars)
    assert (reply["status"], reply["code"]) == ("error", "invalid_request")


def test_sockets_of_killed_fronts_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, kept = tmp_path / f"sandbox-{ended.pid}-0.sock", tmp_path / f"sandbox-{os.getpid()}-0.sock"
    left.touch()
    kept.touch()

    remove_left_behind(tmp_path)

    assert list(tmp_path.iterdir()) == [kept]


def test_a_replica_without_a_sandbox_says_how_to_start_one(settings: Settings) -> None:
    with pytest.raises(Unavailable, match="start the service with its launcher"):
        SafeExecutorService(settings=settings).setup()


def test_the_log_of_a_run_names_no_data_and_the_decision_log_keeps_large_inputs_by_hash(replicas: Replicas) -> None:
    from evolve.memory.database import Database
    from evolve.memory.decisions import DecisionLog

    replicas.start()
    replicas.run("def main(d): return len(d['prices'])", {"prices": [1.5] * 5000})

    with Database.open(replicas.client.settings) as database:
        (decision,) = DecisionLog(database).history(limit=1)
    assert decision.outcome["return_value"] == 5000
    assert decision.inputs["model_code"] == "def main(d): return len(d['prices'])"
    kept = json.loads(json.dumps(decision.inputs["input_data"]))
    assert set(kept) == {"sha256", "characters", "begins"}
    assert kept["characters"] > 10_000
