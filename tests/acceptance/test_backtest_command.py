"""`evolve backtest --code FILE --symbol AAPL`: a user's program, judged like a model, by the running services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from seed_blocks import ROOT
from seed_system import System

pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]

CROSS = ROOT / "examples" / "moving_average_cross.py"
LEAK = """
def main(input_data):
    close = [price or 0.0 for price in input_data["market_data"]["close"]]
    return [1.0 if after > now else 0.0 for now, after in zip(close, [*close[1:], 0.0])]
"""


def test_a_strategy_is_scored_with_costs_and_baselines_and_counted_as_a_trial(running: System) -> None:
    reply = running.json(f"evolve backtest --code {CROSS} --symbol AAPL --param slow=50 --json")
    again = running.json(f"evolve backtest --code {CROSS} --symbol AAPL --param slow=50 --json")

    comparison = reply["comparison"]
    rows = {row["name"]: row for row in comparison["rows"]}
    assert {"moving_average_cross", "buy_and_hold", "flat", "naive", "drift"} == set(rows)
    mine = rows["moving_average_cross"]["figures"]
    assert mine["costs_paid"]["value"] > 0
    assert mine["sharpe"]["low"] < mine["sharpe"]["value"] < mine["sharpe"]["high"]
    assert mine["alpha_p_value"]["value"] is not None
    assert comparison["verdict"] in ("edge", "no_edge", "insufficient_data")
    assert comparison["trust"]["data"]["status"] == "stale"  # the bundled bars end in 2013
    assert any("not refitted" in caveat for caveat in comparison["trust"]["caveats"])
    # The same program on the same bars is no new trial, and gives the same figures.
    assert again["comparison"]["trust"]["trials"] == comparison["trust"]["trials"] >= 1
    assert [row["figures"] for row in again["comparison"]["rows"]] == [row["figures"] for row in comparison["rows"]]


def test_it_is_shown_like_the_other_answers_with_the_command_that_repeats_it(running: System) -> None:
    done = running.shell(f"evolve backtest --code {CROSS} --symbol NVDA --simulate --long-only")

    assert done.returncode == 0, done.stderr
    for words in ("SIMULATED DATA", "Verdict:", "Sharpe (95 %)", "buy_and_hold", "costs", "trial"):
        assert words in done.stdout
    reproduce = next(line for line in done.stdout.splitlines() if line.startswith("reproduce"))
    assert reproduce.split()[1:] == ["evolve", "backtest", "--code", str(CROSS), "--symbol", "NVDA", "--simulate", "--long-only"]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def main(d): return 1 / 0", "ended at bar 0 (2000-03-01), execution_error: ZeroDivisionError"),
        ("import os", "ended before the first bar, validation_error: line 1"),
        # All of them, and the audits below, also stand in unit tests; here they cost four seconds each.
        pytest.param("def main(d): return 'LONG'", "at bar 0 (2000-03-01) returned 'LONG'", marks=pytest.mark.prove),
        pytest.param("x = 1", "defines neither main(input_data)", marks=pytest.mark.prove),
    ],
)
def test_a_strategy_that_cannot_be_scored_says_where_and_why(
    running: System, tmp_path: Path, code: str, said: str
) -> None:
    program = tmp_path / "mine.py"
    program.write_text(code)

    done = running.shell(f"evolve backtest --code {program} --symbol AAPL")

    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_decides_otherwise_each_time_is_scored_but_told_of(running: System, tmp_path: Path) -> None:
    program = tmp_path / "dice.py"
    program.write_text("import random\ndef main(d): return random.choice(['BUY', 'FLAT'])")

    comparison = running.json(f"evolve backtest --code {program} --symbol AAPL --json")["comparison"]

    assert comparison["winner"] is None
    assert any(
        "run twice on the same bars, dice decided differently" in note for note in comparison["trust"]["caveats"]
    )


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        (LEAK, 1, "it looks ahead: with the bars after bar"),
        pytest.param(CROSS.read_text(), 0, "handed bar by bar", marks=pytest.mark.prove),
        pytest.param(
            "import random\ndef main(d): return random.random()",
            1,
            "run twice on the same bars",
            marks=pytest.mark.prove,
        ),
    ],
)
def test_a_program_is_audited_for_look_ahead_as_it_is_written(
    running: System, tmp_path: Path, code: str, exit_code: int, said: str
) -> None:
    program = tmp_path / "mine.py"
    program.write_text(code)

    done = running.shell(f"evolve audit {program} --symbol AAPL")

    assert (done.returncode, "Traceback" in done.stderr) == (exit_code, False)
    assert said in done.stdout
    assert "acting one bar later" in done.stdout


def test_an_audit_of_a_program_needs_a_symbol_and_one_of_a_model_no_parameters(running: System) -> None:
    assert "such as --symbol AAPL" in running.shell(f"evolve audit {CROSS}").stderr
    assert "--param is for a program" in running.shell("evolve audit ridge-1 --param a=1").stderr


def test_the_backtest_is_on_record(running: System) -> None:
    running.json(f"evolve backtest --code {CROSS} --symbol MSFT --json")

    entry = next(each for each in running.json("evolve history --json") if each["request_type"] == "backtest_strategy")
    assert entry["symbols"] == ["MSFT"]
    assert json.dumps(entry["inputs"]).count("moving_average_cross") >= 1
