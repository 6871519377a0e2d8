"""Does the safe executor do what seed.md shows? Its blocks run as they stand, one after the other, and each promise of its lists."""

from __future__ import annotations

import json

import pytest
from seed_blocks import block
from seed_system import System, eventually

from evolve.client.client import ServiceClient

pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]

# As the specification shows them, top to bottom; the later blocks use the `client` of the first.
BLOCKS = (
    "custom_ma_model",
    "rsi_strategy",
    "fast_ma_indicator",
    "dangerous_model",
    "timeout_seconds=300",
    "stats = client.get_safe_executor_statistics()",
)
SHOW = "\nimport json as _json\nprint('RESULT', _json.dumps(result))\n"


@pytest.fixture(scope="module")
def printed(running: System) -> list[str]:
    """What the blocks print, and the result of each execution."""
    program = ""
    for containing in BLOCKS:
        text = block(containing).text
        program += text + (SHOW if "result = client" in text else "\n")
    return running.python(program, timeout=600.0).splitlines()


@pytest.fixture(scope="module")
def results(printed: list[str]) -> list[dict]:
    return [json.loads(line.removeprefix("RESULT ")) for line in printed if line.startswith("RESULT ")]


@pytest.fixture
def client(running: System):
    with ServiceClient(settings=running.settings) as client:
        yield client


def test_the_model_predicts_one_percent_above_the_mean_of_the_last_three_prices(printed, results):
    # mean(103, 104, 105) × 1.01
    assert "Prediction: 105.04" in printed
    assert results[0]["type"] == "model_executed"
    assert results[0]["result"]["return_value"] == {
        "prediction": pytest.approx(105.04),
        "moving_average": 104.0,
        "confidence": 0.7,
    }


def test_the_strategy_sells_above_an_rsi_of_70(results):
    assert results[1]["type"] == "strategy_executed"
    assert results[1]["result"]["return_value"] == {"signal": "SELL", "confidence": 0.8, "rsi": 75}


def test_the_indicator_is_bullish_when_its_average_is_above_the_first_price(results):
    # mean(101 … 112) = 106.5 > 100
    assert results[2]["type"] == "indicator_executed"
    assert results[2]["result"]["return_value"] == {"fast_ma": 106.5, "signal": "BULLISH"}


def test_dangerous_code_is_a_validation_error_that_names_line_and_rule(results):
    result = results[3]["result"]
    assert (results[3]["status"], result["status"]) == ("success", "validation_error")
    assert result["error"].startswith("line 2: `import os` is not allowed")
    assert result["error"].endswith("[rule: import]")
    assert result["return_value"] is None


def test_the_statistics_are_printed_and_the_executor_is_cleaned_up(printed):
    shown = [line for line in printed if not line.startswith(("RESULT", "Prediction"))]
    assert [line.partition(":")[0] for line in shown] == ["Total Executions", "Success Rate", "Average Execution Time"]
    total = int(shown[0].partition(": ")[2])
    assert total >= 4
    assert shown[1].endswith("%")
    assert float(shown[2].partition(": ")[2].removesuffix("s")) < 5


def test_the_executor_of_the_library_takes_the_limits_of_the_specification(running: System):
    shown = running.python(
        block("timeout_seconds=300").text
        + "\nprint(executor.timeout_seconds, executor.memory_limit_mb, executor.max_output_size, executor.enable_sandbox, executor.log_executions)"
        + "\nprint(executor.execute_model('def main(d): return d', 'm', {'a': 1}).return_value)\nexecutor.close()"
    ).splitlines()
    assert shown == ["300 1024 10485760 True True", "{'a': 1}"]


@pytest.mark.parametrize(
    "code",
    [
        "import os", "import subprocess", "def main(d): return eval('1')", "def main(d): exec('x = 1')",
        "def main(d): return open('/etc/passwd').read()", "import socket", "def main(d): return ().__class__.__bases__",
    ],
)  # fmt: skip
def test_dangerous_imports_and_functions_are_refused_before_they_run(client, code):
    assert client.execute_model_safely(code, "dangerous")["result"]["status"] == "validation_error"


@pytest.mark.parametrize(
    ("code", "reached"),
    [
        ("import numpy as np\ndef main(d): return np.fromfile('/etc/passwd', dtype='u1').tolist()", "a file"),
        ("import numpy as np\ndef main(d): np.arange(3).tofile('/tmp/evolve-seed-marker')", "a file"),
        ("import pandas as pd\ndef main(d): return pd.read_csv('http://127.0.0.1:1/x').to_dict()", "the network"),
        ("import pandas as pd\ndef main(d): return len(pd.read_csv('/etc/passwd'))", "a file"),
    ],
)
def test_what_the_gate_cannot_see_meets_the_kernel(client, code, reached):
    result = client.execute_model_safely(code, "around the gate")["result"]
    assert result["status"] == "execution_error", f"it reached {reached}"
    assert result["return_value"] is None


def test_runtime_errors_come_back_with_the_programs_own_lines(client):
    result = client.execute_model_safely("def main(d):\n    return 1 / d['n']\n", "m", {"n": 0})["result"]
    assert result["status"] == "execution_error"
    assert result["error"] == "ZeroDivisionError: division by zero\n  line 2, in main: return 1 / d['n']"


def test_models_strategies_and_indicators_get_their_documented_inputs(client):
    code = "def main(input_data): return sorted(input_data)"
    assert client.execute_model_safely(code, "m", {"prices": [1]})["result"]["return_value"] == ["prices"]
    strategy = client.execute_strategy_safely(code, "s", {"rsi": 1}, {"p": 2})["result"]
    assert strategy["return_value"] == ["market_data", "parameters", "strategy_name"]
    indicator = client.execute_indicator_safely(code, "i", {"prices": [1]})["result"]
    assert indicator["return_value"] == ["indicator_name", "parameters", "price_data"]


def test_every_run_is_in_the_execution_log_and_the_decision_log(running: System, client):
    name = "a name found again"
    before = client.get_safe_executor_statistics()
    client.execute_model_safely("def main(d): return 1 / 0", name)

    after = client.get_safe_executor_statistics()
    assert after["failed_executions"] == before["failed_executions"] + 1
    assert after["statistics"]["total_executions"] == after["total_executions"]
    log = (running.home / "sandbox" / "executions.jsonl").read_text().splitlines()
    line = next(line for line in map(json.loads, log) if line.get("name") == name)
    assert (line["status"], line["error"].partition(":")[0]) == ("execution_error", "ZeroDivisionError")
    history = running.json("evolve history --json")
    entry = next(each for each in history if each["inputs"].get("model_name") == name)
    assert (entry["service"], entry["outcome"]["status"]) == ("safe_executor", "execution_error")


def test_a_refused_program_is_a_security_event(running: System, client):
    client.execute_model_safely("import subprocess", "refused and logged")
    events = [json.loads(line) for line in (running.home / "sandbox" / "security.jsonl").read_text().splitlines()]
    assert any(event["event"] == "program_refused" and event["name"] == "refused and logged" for event in events)


def test_the_launcher_takes_its_limits_from_the_environment(fresh: System, gently):
    process = fresh.launch(
        "launch_safe_executor.py", extra={"SAFE_EXECUTOR_TIMEOUT": "0.5", "SAFE_EXECUTOR_MEMORY_LIMIT": "64"}
    )
    with ServiceClient(settings=fresh.settings) as client:
        eventually(lambda: client.ping_service("safe_executor")["type"] == "pong", what="its pong")
        slow = client.execute_model_safely("def main(d):\n    while True: pass", "endless")["result"]
        large = client.execute_model_safely("def main(d): return len('x' * (100 << 20))", "large")["result"]
        found = client.get_safe_executor_statistics()

    assert gently(process) == 0
    assert (slow["status"], large["status"]) == ("timeout", "memory_limit")
    assert slow["error"] == "the program did not finish within 0.5 s"
    assert (found["timeout_seconds"], found["memory_limit_mb"]) == (0.5, 64)
    assert (fresh.home / "logs" / "safe_executor_service.log").is_file()
