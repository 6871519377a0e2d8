"""What a caller of the safe executor can rely on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from evolve.errors import InvalidRequest
from evolve.sandbox.executor import SafeExecutor, StrategyEnded
from homes import until

pytestmark = pytest.mark.xdist_group("sandbox")

MODEL = """
import numpy as np

def main(input_data):
    prices = input_data.get('prices', [100, 101, 102, 103, 104])
    window = input_data.get('window', 3)

    if len(prices) < window:
        return {"error": "Not enough data"}

    ma = np.mean(prices[-window:])
    prediction = ma * 1.01

    return {
        "prediction": prediction,
        "moving_average": ma,
        "confidence": 0.7
    }
"""
STRATEGY = """
def main(input_data):
    market_data = input_data.get('market_data', {})
    rsi = market_data.get('rsi', 65)

    if rsi > 70:
        signal = "SELL"
        confidence = 0.8
    elif rsi < 30:
        signal = "BUY"
        confidence = 0.8
    else:
        signal = "HOLD"
        confidence = 0.5

    return {
        "signal": signal,
        "confidence": confidence,
        "rsi": rsi
    }
"""
INDICATOR = """
import numpy as np

def main(input_data):
    price_data = input_data.get('price_data', {})
    prices = price_data.get('prices', [])
    fast_period = input_data.get('parameters', {}).get('fast_period', 12)

    if len(prices) < fast_period:
        return {"error": "Not enough data"}

    fast_ma = np.mean(prices[-fast_period:])
    return {
        "fast_ma": fast_ma,
        "signal": "BULLISH" if fast_ma > prices[0] else "BEARISH"
    }
"""
DANGEROUS = """
import os
import subprocess

def main(input_data):
    os.system("rm -rf /")  # Blocked!
    return {"status": "dangerous"}
"""
LOOP = "def main(d):\n    print('began')\n    while True: pass\n"


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeExecutor]:
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=128, home=tmp_path_factory.mktemp("home")) as executor:
        yield executor


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[SafeExecutor]:
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=128, home=tmp_path / "home") as executor:
        yield executor


# --- the seed's examples ---


def test_the_seeds_model_predicts_from_the_moving_average(executor: SafeExecutor) -> None:
    given = {"prices": [100, 101, 102, 103, 104, 105], "window": 3}

    result = executor.execute_model(MODEL, "custom_ma_model", given, model_type="custom")

    assert result.status == "success"
    assert result.return_value == pytest.approx({"prediction": 105.04, "moving_average": 104.0, "confidence": 0.7})


def test_the_seeds_strategy_sells_when_overbought(executor: SafeExecutor) -> None:
    result = executor.execute_strategy(STRATEGY, "rsi_strategy", {"rsi": 75}, {"oversold": 30, "overbought": 70})

    assert result.return_value == {"signal": "SELL", "confidence": 0.8, "rsi": 75}


def test_the_seeds_indicator_is_bullish(executor: SafeExecutor) -> None:
    result = executor.execute_indicator(INDICATOR, "fast_ma", {"prices": list(range(100, 113))}, {"fast_period": 12})

    assert result.return_value == {"fast_ma": 106.5, "signal": "BULLISH"}


def test_the_seeds_dangerous_code_is_refused_with_line_and_rule(executor: SafeExecutor) -> None:
    result = executor.execute_model(DANGEROUS, "dangerous_model", {})

    assert result.status == "validation_error"
    assert result.error is not None
    assert result.error.startswith("line 2: `import os` is not allowed")
    assert result.error.endswith("[rule: import]")


# --- entry points and inputs ---


@pytest.mark.parametrize("name", ["main", "run_model", "execute"])
def test_the_entry_point_may_have_any_of_three_names(executor: SafeExecutor, name: str) -> None:
    assert executor.execute(f"def {name}(d): return d['a']", "m", {"a": 4}).return_value == 4


def test_main_goes_before_the_other_names(executor: SafeExecutor) -> None:
    code = "result = 3\ndef execute(d): return 2\ndef main(d): return 1"

    assert executor.execute(code, "m", {}).return_value == 1


def test_without_an_entry_point_the_global_result_counts(executor: SafeExecutor) -> None:
    assert executor.execute("result = input_data['a'] * 2", "m", {"a": 4}).return_value == 8


def test_a_program_without_anything_to_call_says_what_is_missing(executor: SafeExecutor) -> None:
    result = executor.execute("x = 1", "m", {})

    assert result.status == "execution_error"
    assert "main(input_data)" in (result.error or "")


def test_a_strategy_gets_market_data_parameters_and_its_name(executor: SafeExecutor) -> None:
    given = executor.execute_strategy("def main(d): return d", "s", {"rsi": 1}, {"p": 2})

    assert given.return_value == {"market_data": {"rsi": 1}, "parameters": {"p": 2}, "strategy_name": "s"}


def test_an_indicator_gets_price_data_parameters_and_its_name(executor: SafeExecutor) -> None:
    given = executor.execute_indicator("def main(d): return [d, indicator_name]", "i", {"c": [1]}, {"p": 2})

    assert given.return_value == [{"price_data": {"c": [1]}, "parameters": {"p": 2}, "indicator_name": "i"}, "i"]


# --- statuses ---


def test_an_exception_is_reported_with_the_programs_own_lines_only(executor: SafeExecutor) -> None:
    result = executor.execute("def f(x):\n    return 1 / x\ndef main(d):\n    return f(0)\n", "m", {})

    assert result.status == "execution_error"
    assert result.error == (
        "ZeroDivisionError: division by zero\n  line 4, in main: return f(0)\n  line 2, in f: return 1 / x"
    )


def test_a_program_that_does_not_end_is_stopped_soon_after_its_deadline(executor: SafeExecutor) -> None:
    """50 ms on a quiet machine; the bound here is for two busy cores."""
    result = executor.execute(LOOP, "m", {}, timeout_seconds=1.0)

    assert result.status == "timeout"
    assert result.output == "began\n"
    assert 1.0 <= result.execution_time < 1.5


def test_memory_ends_at_the_limit(executor: SafeExecutor) -> None:
    """The arithmetic: 128 MiB may be added to the warm interpreter; 120 fit, 129 do not."""
    code = "def main(d): return len(bytearray(d['mib'] << 20))"

    assert executor.execute(code, "m", {"mib": 120}).status == "success"
    result = executor.execute(code, "m", {"mib": 129})
    assert (result.status, result.error) == ("memory_limit", "the program needs more than its 128 MiB of memory")


def test_memory_used_is_what_the_run_added(executor: SafeExecutor) -> None:
    result = executor.execute("def main(d):\n    x = bytearray(b'x') * (64 << 20)\n    return len(x)", "m", {})

    # A part of a huge page (2 MiB) may have been there before the run.
    assert 62 <= result.memory_used < 70


def test_a_program_cannot_be_a_system_error(executor: SafeExecutor) -> None:
    code = "def main(d): raise SystemExit(3)"

    assert executor.execute(code, "m", {}).status == "execution_error"


def test_half_a_surrogate_pair_in_the_program_is_refused(executor: SafeExecutor) -> None:
    assert executor.execute("x = '\ud800'", "m", {}).status == "validation_error"


def test_input_that_is_no_data_is_refused(executor: SafeExecutor) -> None:
    result = executor.execute("def main(d): return 1", "m", {"lock": threading.Lock()})

    assert result.status == "validation_error"
    assert "input_data.lock is a lock" in (result.error or "")


def test_limits_must_be_above_zero(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        SafeExecutor(timeout_seconds=0, home=tmp_path)


# --- output ---


def test_printed_text_is_the_output_and_standard_error_a_note(executor: SafeExecutor) -> None:
    code = "import warnings\ndef main(d):\n    print('é', 1)\n    warnings.warn('odd')\n"

    result = executor.execute(code, "m", {})

    assert result.output == "é 1\n"
    assert any("odd" in line for line in result.logs)


def test_output_over_the_cap_is_cut_with_a_note(tmp_path: Path) -> None:
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=64, max_output_size=1000, home=tmp_path) as executor:
        result = executor.execute("def main(d):\n    print('x' * 5000)\n    return 1", "m", {})

        assert (result.status, result.return_value, result.output) == ("success", 1, "x" * 1000)
        assert "output was cut after 1,000 bytes" in result.logs


def test_a_return_value_over_the_cap_is_an_error_with_its_size(tmp_path: Path) -> None:
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=64, max_output_size=1000, home=tmp_path) as executor:
        result = executor.execute("def main(d): return 'x' * 2000", "m", {})

        assert result.status == "execution_error"
        assert "2,002 bytes" in (result.error or "")


def test_nan_becomes_null_with_a_note(executor: SafeExecutor) -> None:
    result = executor.execute("def main(d): return {'a': float('nan')}", "m", {})

    assert result.return_value == {"a": None}
    assert result.logs == ("return_value.a: NaN or infinity became null",)


def test_a_result_reads_as_attributes_and_as_a_mapping(executor: SafeExecutor) -> None:
    result = executor.execute("def main(d): return 1", "m", {})

    assert set(dict(result)) == {"status", "output", "error", "execution_time", "memory_used", "return_value", "logs"}
    assert result["return_value"] == result.return_value
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


# --- what a run may not do to others ---


def test_what_a_run_breaks_is_whole_in_the_next(executor: SafeExecutor) -> None:
    executor.execute("import numpy as np\ndef main(d): np.mean = None", "m", {})

    assert executor.execute_model(MODEL, "m", {}).status == "success"


def test_each_run_draws_its_own_random_numbers(executor: SafeExecutor) -> None:
    code = "import random, numpy as np\ndef main(d): return [random.random(), float(np.random.rand())]"

    drawn = [executor.execute(code, "m", {}).return_value for _ in range(3)]

    assert len({json.dumps(pair) for pair in drawn}) == 3


def test_many_threads_share_one_executor(executor: SafeExecutor) -> None:
    results: list[object] = []

    def run(number: int) -> None:
        results.append(executor.execute("def main(d): return d['n']", "m", {"n": number}).return_value)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results, key=str) == list(range(8))


# --- batches ---


def test_a_batch_gives_one_result_per_input_in_order(executor: SafeExecutor) -> None:
    results = executor.execute_many("def main(d): return d['n'] * 2", [{"n": n} for n in range(100)])

    assert [result.return_value for result in results] == [2 * n for n in range(100)]


def test_an_input_that_raises_fails_alone(executor: SafeExecutor) -> None:
    results = executor.execute_many("def main(d): return 1 / d['n']", [{"n": 1}, {"n": 0}, {"n": 2}])

    assert [result.status for result in results] == ["success", "execution_error", "success"]


def test_after_an_input_that_ends_the_process_the_others_are_not_run(executor: SafeExecutor) -> None:
    code = "def main(d):\n    while d['n'] == 1: pass\n    return d['n']"

    results = executor.execute_many(code, [{"n": n} for n in range(4)], timeout_seconds=0.5)

    assert [result.status for result in results] == ["success", "timeout", "execution_error", "execution_error"]
    assert "not run" in (results[3].error or "")


def test_a_refused_program_refuses_the_whole_batch(executor: SafeExecutor) -> None:
    assert {result.status for result in executor.execute_many("import os", [{}, {}])} == {"validation_error"}


def test_inputs_larger_than_a_socket_holds_pass_through_a_batch(executor: SafeExecutor) -> None:
    inputs = [{"x": "a" * 700_000} for _ in range(4)]

    results = executor.execute_many("def main(d): return d['x']", inputs)

    assert [len(str(result.return_value)) for result in results] == [700_000] * 4


# --- bar by bar ---

CROSS = (
    "def main(d):\n    c = d['market_data']['close']\n    return len(c) if c[-1] > d['parameters']['level'] else 0\n"
)


def bars(closes: list[float]) -> list[dict[str, float]]:
    return [{"open": close - 1, "close": close} for close in closes]


def test_a_strategy_decides_once_per_bar_on_the_bars_so_far(executor: SafeExecutor) -> None:
    run = executor.run_bars(CROSS, "cross", bars([1.0, 5.0, 2.0, 6.0]), {"level": 3})

    assert run.decisions == (0, 2, 0, 4)
    assert run.result.status == "success"


def test_the_next_bar_is_taken_only_after_the_decision_on_the_last_is_here(executor: SafeExecutor) -> None:
    with executor.open_strategy("def main(d): return d['market_data']['close'][-1]", "s") as session:
        decided: list[object] = []
        for close in (1.0, 2.0, 3.0):
            assert len(decided) == close - 1  # the program has been sent nothing of this bar yet
            decided.append(session.decide({"close": close}))

    assert decided == [1.0, 2.0, 3.0]


def test_a_program_never_holds_a_bar_it_was_not_asked_about(executor: SafeExecutor) -> None:
    """It searches all of its memory for the marker of the next bar."""
    code = (
        "import gc\n"
        "def main(d):\n"
        "    n = len(d['market_data']['mark'])\n"
        "    wanted = 'mark' + str(n)\n"
        "    return sum(wanted in str(x) for x in gc.get_objects() if type(x) is list and len(x) < 50)\n"
    )
    with SafeExecutor(
        timeout_seconds=10, memory_limit_mb=128, validate_code=False, home=executor._journal.security.parent
    ) as open_gate:
        run = open_gate.run_bars(code, "s", [{"mark": f"mark{n}"} for n in range(5)])

    assert run.decisions == (0, 0, 0, 0, 0)


def test_what_a_strategy_does_to_its_history_is_gone_at_the_next_bar(executor: SafeExecutor) -> None:
    code = "def main(d):\n    c = d['market_data']['close']\n    n = len(c)\n    c.clear()\n    return n"

    assert executor.run_bars(code, "s", bars([1, 2, 3])).decisions == (1, 2, 3)


def test_a_strategy_may_keep_state_between_bars(executor: SafeExecutor) -> None:
    code = "seen = []\ndef main(d):\n    seen.append(1)\n    return len(seen)"

    assert executor.run_bars(code, "s", bars([1, 2, 3])).decisions == (1, 2, 3)


def test_a_strategy_that_fails_keeps_the_decisions_before(executor: SafeExecutor) -> None:
    code = "def main(d): return 1 / (3 - len(d['market_data']['close']))"

    run = executor.run_bars(code, "s", bars([1, 2, 3, 4]))

    assert run.decisions == (0.5, 1.0)
    assert run.result.status == "execution_error"


def test_a_strategy_that_hangs_on_a_bar_times_out(executor: SafeExecutor) -> None:
    code = "def main(d):\n    while len(d['market_data']['close']) > 1: pass\n    return 1"

    run = executor.run_bars(code, "s", bars([1, 2, 3]), timeout_seconds=0.5)

    assert (run.decisions, run.result.status) == ((1,), "timeout")


def test_a_session_that_ended_says_how(executor: SafeExecutor) -> None:
    with executor.open_strategy("import os", "s") as session, pytest.raises(StrategyEnded) as ended:
        session.decide({"close": 1.0})

    assert ended.value.result.status == "validation_error"


# --- the wall, the log, the processes ---


def test_the_self_test_names_what_the_wall_is_made_of(executor: SafeExecutor) -> None:
    assert executor.isolation_level in ("namespaces+landlock+seccomp", "landlock+seccomp", "seccomp")


@pytest.mark.parametrize(
    ("options", "level"),
    [({"namespaces": False}, "landlock+seccomp"), ({"namespaces": False, "landlock": False}, "seccomp")],
)
def test_a_smaller_wall_is_called_by_its_name(tmp_path: Path, options: dict[str, bool], level: str) -> None:
    with SafeExecutor(memory_limit_mb=64, home=tmp_path, **options) as executor:
        assert executor.isolation_level in (level, "seccomp")  # "seccomp" on a kernel without Landlock


def test_where_no_wall_can_be_built_nothing_runs(fresh: SafeExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.sandbox.limits.architecture", lambda: None)

    result = fresh.execute("def main(d): return 1", "m", {})

    assert result.status == "system_error"
    assert "run Evolve on" in (result.error or "")
    assert fresh.isolation_level == "refused"


def test_a_wall_with_a_hole_is_refused(fresh: SafeExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool whose children have no wall but say they do: the self-test looks for itself."""
    fresh._pool._options["sandbox"] = False
    monkeypatch.setattr("evolve.sandbox.pool.isolation_level", lambda made_of: "seccomp")

    result = fresh.execute("def main(d): return 1", "m", {})

    assert result.status == "system_error"
    assert "self-test failed" in (result.error or "")


def test_without_a_sandbox_programs_run_and_the_choice_is_a_security_event(tmp_path: Path) -> None:
    with SafeExecutor(memory_limit_mb=64, enable_sandbox=False, log_executions=False, home=tmp_path) as executor:
        assert executor.execute("def main(d): return 1", "m", {}).return_value == 1
        assert executor.isolation_level == "none"

    assert "sandbox_disabled" in (tmp_path / "sandbox" / "security.jsonl").read_text()


def test_statistics_are_the_same_whichever_process_is_asked(tmp_path: Path) -> None:
    with SafeExecutor(memory_limit_mb=64, home=tmp_path) as one, SafeExecutor(memory_limit_mb=64, home=tmp_path) as two:
        one.execute("def main(d): return 1", "m", {})
        two.execute("import os", "m", {})
        two.execute("def main(d): return 1 / 0", "m", {})

        for executor in (one, two):
            statistics = executor.get_statistics()
            assert statistics["total_executions"] == 3
            assert (statistics["successful_executions"], statistics["failed_executions"]) == (1, 2)
            assert statistics["success_rate"] == pytest.approx(1 / 3)
            assert statistics["by_status"] == {"success": 1, "validation_error": 1, "execution_error": 1}


def test_cleanup_ends_the_processes_and_keeps_the_statistics(fresh: SafeExecutor) -> None:
    before = set(psutil.Process().children())
    fresh.execute("def main(d): return 1", "m", {})
    (loader,) = set(psutil.Process().children()) - before  # another executor of these tests may fork at any moment
    started = [loader, *loader.children(recursive=True)]

    fresh.cleanup()

    until(lambda: not any(process.is_running() for process in started), what="the end of all its processes")
    assert fresh.get_statistics()["total_executions"] == 1
    assert fresh.execute("def main(d): return 1", "m", {}).status == "success"


def test_an_executor_whose_processes_were_killed_starts_anew(fresh: SafeExecutor) -> None:
    before = set(psutil.Process().children())
    fresh.execute("def main(d): return 1", "m", {})
    (loader,) = set(psutil.Process().children()) - before
    loader.kill()

    statuses = [fresh.execute("def main(d): return 1", "m", {}).status for _ in range(3)]

    assert statuses[-1] == "success"


SERVICE = """
import sys, time
from pathlib import Path
from evolve.sandbox.executor import SafeExecutor
executor = SafeExecutor(memory_limit_mb=64, home=Path(sys.argv[1]))
executor.execute("def main(d): return 1", "m", {})
print("ready", flush=True)
executor.execute("def main(d):\\n    while True: pass", "m", {})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox runs on Linux")
def test_no_process_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL: no handler can run, so the kernel must do it. 100 ms on a quiet machine."""
    service = subprocess.Popen([sys.executable, "-c", SERVICE, str(tmp_path)], stdout=subprocess.PIPE)
    with service:
        assert service.stdout is not None
        assert any(line == b"ready\n" for line in service.stdout)
        left = psutil.Process(service.pid).children(recursive=True)
        assert left
        service.kill()
        service.wait()
        began = time.monotonic()
        _, alive = psutil.wait_procs(left, timeout=3.0)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    assert not alive
    assert time.monotonic() - began < 2.0


def test_nothing_of_the_services_environment_reaches_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    with SafeExecutor(memory_limit_mb=64, validate_code=False, home=tmp_path) as executor:
        code = "import os\ndef main(d): return dict(os.environ)"
        seen = executor.execute(code, "m", {}).return_value

    assert "very-secret" not in json.dumps(seen)
    assert isinstance(seen, dict)
    assert seen["TZ"] == "UTC0"


def test_no_descriptor_is_left_after_an_executor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with SafeExecutor(memory_limit_mb=64, home=tmp_path) as executor:
        executor.execute("def main(d): return 1", "m", {})

    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("piece", ["b''", "b'x'"])
def test_text_by_the_byte_ends_the_run_before_it_costs_the_service_anything(home: Path, piece: str) -> None:
    """Ten million frames of one byte would keep a core of the service busy for a minute and a half."""
    code = (
        "import os, struct\n"
        f"frame = struct.pack('>cI', b'O', len({piece})) + {piece}\n"
        "def main(d):\n"
        "    while True: os.write(3, frame * 1000)\n"
    )
    with SafeExecutor(timeout_seconds=20, memory_limit_mb=64, validate_code=False, home=home) as executor:
        result = executor.execute(code, "m", {})

    assert result.status == "execution_error"
    assert (
        result.error
        == "the program wrote to the sandbox's own channel: text in more pieces than the sandbox makes of it"
    )
    assert result.execution_time < 5


def test_a_program_that_prints_much_and_often_is_no_forger(executor: SafeExecutor) -> None:
    code = "import time\ndef main(d):\n    for i in range(20_000): print(i)\n    for i in range(40):\n        print('slowly', flush=True)\n        time.sleep(0.01)\n    return 1"
    result = executor.execute(code, "m", {})

    assert result.status == "success", result.error
    assert result.output.count("\n") == 20_040


def test_a_batch_that_prints_at_every_input_is_no_forger(executor: SafeExecutor) -> None:
    results = executor.execute_many(
        "def main(d):\n    print(d['n'])\n    return d['n']", [{"n": n} for n in range(2_000)]
    )

    assert {result.status for result in results} == {"success"}
    assert [result.output for result in results[-2:]] == ["1998\n", "1999\n"]


def test_what_runs_programs_is_the_first_to_go_when_memory_runs_out(fresh: SafeExecutor) -> None:
    before = set(psutil.Process().children())
    fresh.execute("def main(d): return 1", "m", {})
    (loader,) = set(psutil.Process().children()) - before

    found = set()
    for each in (loader, *loader.children(recursive=True)):
        with contextlib.suppress(
            FileNotFoundError, ProcessLookupError
        ):  # the child that ran the program ends while we look
            found.add(int(Path(f"/proc/{each.pid}/oom_score_adj").read_text()))
    assert found == {500}
