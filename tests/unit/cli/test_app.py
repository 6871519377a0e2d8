"""`evolve` in a shell: what is wrong is said in a sentence, with an exit code a script can use, before anything is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import main
from evolve.errors import Unavailable
from evolve.messaging.messages import Request


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[str]:
    """Nothing is ever started here; whoever tries is noted, and refused."""
    tries: list[str] = []

    def refuse(*_: Any, **__: Any) -> list[str]:
        tries.append("start")
        raise Unavailable("services are not started in this test")

    monkeypatch.setattr("evolve.quant_gpt.start_missing", refuse)
    return tries


class Answered(Exception):
    """Ends a command at the point where it would send."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[type[Request[Any]], dict[str, Any], float | None]]:
    requests: list[tuple[type[Request[Any]], dict[str, Any], float | None]] = []

    def send(request: type[Request[Any]], fields: dict[str, Any], timeout: float | None) -> Any:
        requests.append((request, request(**fields).model_dump(), timeout))
        raise Answered

    monkeypatch.setattr("evolve.cli.app._send", send)
    return requests


def fields_of(sent: list[Any], *arguments: str) -> dict[str, Any]:
    with pytest.raises(Answered):
        main(arguments)
    return dict(sent[-1][1])


# --- what a command sends ---


def test_ask_sends_the_question(sent: list[Any]) -> None:
    fields = fields_of(sent, "ask", "Analyze AAPL", "--simulate", "--timeout", "7")

    assert (fields["query"], fields["simulate"], sent[-1][2]) == ("Analyze AAPL", True, 7.0)


def test_build_sends_the_finest_timeframe_and_the_usual_features_unless_told(sent: list[Any]) -> None:
    fields = fields_of(sent, "build", "ridge", "aapl")

    assert (
        fields["model_type"],
        fields["symbol"],
        fields["timeframe"],
        fields["features"],
        fields["hyperparameters"],
    ) == ("ridge", "AAPL", None, (), {})


def test_build_passes_on_what_it_is_told(sent: list[Any]) -> None:
    fields = fields_of(
        sent, "build", "xgboost", "MSFT", "--timeframe", "1w", "--feature", "rsi", "--feature", "macd", "--param", "max_depth=2",
        "--param", "learning_rate=0.1", "--param", "booster=dart", "--horizon", "5", "--seed", "3", "--rebuild",
    )  # fmt: skip

    assert fields["features"] == ("rsi", "macd")
    assert fields["hyperparameters"] == {"max_depth": 2, "learning_rate": 0.1, "booster": "dart"}
    assert (fields["timeframe"], fields["horizon_bars"], fields["seed"], fields["rebuild"]) == ("1w", 5, 3, True)


def test_a_model_is_promoted_deleted_and_shown_by_its_id(sent: list[Any]) -> None:
    for command in (("show", "m-1"), ("delete", "m-1"), ("export", "m-1"), ("promote", "m-1")):
        assert fields_of(sent, "models", *command) == {"model_id": "m-1"}


def test_models_alone_lists_them(sent: list[Any]) -> None:
    assert fields_of(sent, "models", "--symbol", "AAPL") == {"symbol": "AAPL", "timeframe": None, "limit": 100}
    assert fields_of(sent, "models", "list") == {"symbol": None, "timeframe": None, "limit": 100}


def test_evaluate_and_compare_use_the_models_own_bars_unless_told(sent: list[Any]) -> None:
    evaluated, compared = (
        fields_of(sent, "evaluate", "m-1"),
        fields_of(sent, "compare", "m-1", "m-2", "--symbol", "IBM"),
    )

    assert (evaluated["symbol"], evaluated["timeframe"], evaluated["period"]) == (None, None, "90d")
    assert (compared["model_ids"], compared["symbol"], compared["timeframe"]) == (("m-1", "m-2"), "IBM", None)


def test_reproduce_takes_an_id_or_a_file(sent: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"query": "q", "answer": {"answer_id": "abc"}}))
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps({"answer_id": "abc"}))

    assert fields_of(sent, "reproduce", "0123456789ab")["reproduce"] == "0123456789ab"
    assert fields_of(sent, "reproduce", str(path))["document"] == {"answer_id": "abc"}
    assert fields_of(sent, "reproduce", str(bare))["document"] == {"answer_id": "abc"}


# --- what is wrong ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "ridge", "not a symbol"], "is not a symbol"),
        (["build", "ridge", "AAPL", "--timeframe", "3h"], "timeframe"),
        (["build", "ridge", "AAPL", "--horizon", "0"], "horizon_bars"),
        (["build", "ridge", "AAPL", "--param", "alpha"], "--param takes NAME=VALUE"),
        (["build", "ridge", "AAPL", "--param", "=1"], "--param takes NAME=VALUE"),
        (["compare", "only-one"], "model_ids"),
        (["evaluate", "m-1", "--period", "soon"], "is not a period"),
        (["ask", "x" * 5000], "query"),
        (["models", "--symbol", "???"], "is not a symbol"),
        (["data", "show", "APPL"], "AAPL"),
        (["data", "show", "AAPL", "--timeframe", "1h"], "ask for 1d"),
        (["data", "import", "no-such-file.csv", "--symbol", "X"], "no-such-file.csv"),
        (["data", "import", "no-such-file.csv", "--symbol", "X", "--timeframe", "3h"], "is not a timeframe"),
        (["parse"], "parse needs a question"),
        (["parse", "--score", "no-such-file.jsonl"], "no-such-file.jsonl"),
        (["history", "--symbol", "???"], "is not a symbol"),
        (["config", "redis", "localhost:6379"], "is no server"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_sentence_exit_code_one_and_starts_nothing(
    started: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code = main(arguments)

    shown = capsys.readouterr()
    assert code == 1
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""
    assert started == []


@pytest.mark.parametrize("content", ["no json", "[1, 2]", '"text"', "17", "\xff\xfe"])
def test_a_file_that_is_no_answer_says_how_to_make_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, started: list[str], content: str
) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(content.encode("latin-1"))

    assert main(["reproduce", str(path)]) == 1
    assert "evolve ask … --json" in capsys.readouterr().err
    assert started == []


def test_an_answer_that_cannot_be_read_is_no_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "answer.json"
    path.write_text("{}")

    def denied(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)

    assert main(["reproduce", str(path)]) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_an_id_longer_than_any_file_name_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "a" * 5000]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["ask"],
        ["build", "ridge"],
        ["ask", "x", "--timeout", "soon"],
        ["data"],
        ["build", "ridge", "AAPL", "--seed", "x"],
        ["compare"],
        ["history", "--limit", "-1"],
        ["history", "--limit", "0"],
    ],
)
def test_wrong_usage_exits_with_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], started: list[str]
) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert started == []


def test_services_that_cannot_be_started_are_an_error(capsys: pytest.CaptureFixture[str], started: list[str]) -> None:
    assert main(["ask", "Analyze AAPL"]) == 1
    assert started == ["start"]
    assert (
        capsys.readouterr().err
        == "error: services are not started in this test · docs/troubleshooting.md#unavailable\n"
    )


def test_ctrl_c_exits_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evolve.cli.data.list_symbols", interrupted)

    assert main(["data", "list"]) == 130


@pytest.mark.parametrize(
    ("late", "code"),
    [({"status": "success", "data": {}}, 0), ({"status": "error", "code": "cancelled", "data": {}}, 1), (None, 1)],
)
def test_a_late_reply_exits_as_the_reply_itself_would_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], late: dict[str, Any] | None, code: int
) -> None:
    monkeypatch.setattr("evolve.client.client.ServiceClient.get_reply", lambda *_: late)

    assert main(["reply", "model_builder", "r1"]) == code
    assert (json.loads(capsys.readouterr().out) if late else None) == late


# --- what needs no service ---


def test_parse_shows_intent_and_slots(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "Should I buy AAPL over 2 weeks?"]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith("trading_signal (confidence ")
    assert "period_days: 14 (stated: '2 weeks')" in shown


def test_parse_as_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["parse", "Analyze AAPL", "--json"])

    assert json.loads(capsys.readouterr().out)["symbols"] == ["AAPL"]


def test_the_symbols_at_hand_are_listed_with_their_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0

    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if line}
    assert (lines["AAPL"], lines["TSLA"]) == ("sample", "SIMULATED")


def test_a_symbol_is_shown_with_range_source_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "AAPL"]) == 0

    shown = capsys.readouterr().out
    assert "3,270 bars, 2000-03-01 to 2013-03-01, from bokeh-sampledata (stale)" in shown
    assert "venue us_equity, in USD: 252 bars a year, benchmark SPY" in shown
    assert sum("  close " in line for line in shown.splitlines()) == 5


def test_bars_are_imported_and_then_at_hand(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = "\n".join(f"2020-01-{day:02},10,11,9,10.5,100" for day in (2, 3, 6, 7, 8))
    path = tmp_path / "bars.csv"
    path.write_text(f"date,open,high,low,close,volume\n{rows}\n")

    assert main(["data", "import", str(path), "--symbol", "mine"]) == 0

    assert "imported 5 bars of MINE at 1d" in capsys.readouterr().out
    main(["data", "list"])
    assert "MINE         imported" in capsys.readouterr().out


def test_an_empty_history_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 0
    assert "evolve ask" in capsys.readouterr().out


def test_the_history_shows_decisions_newest_first(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    from evolve.memory.database import Database
    from evolve.memory.decisions import Decision, DecisionLog
    from evolve.settings import Settings

    with Database.open(Settings.load()) as database:
        for number, error in enumerate((None, "unknown_symbol")):
            status: Any = "error" if error else "success"
            outcome = {"error": "no"} if error else {"headline": "No [edge] found"}
            DecisionLog(database).record(
                Decision(
                    "quant_gpt",
                    f"r{number}",
                    "process_query",
                    {"query": f"q{number}"},
                    outcome,
                    status,
                    "v",
                    0.0,
                    float(number),
                    error_code=error,
                )
            )

    assert main(["history"]) == 0
    first, refused, second, answered = capsys.readouterr().out.splitlines()
    assert "q1" in first
    assert "unknown_symbol: no" in refused
    assert "q0" in second
    assert "No [edge] found" in answered  # a headline's brackets are not a style
    main(["history", "--json", "--limit", "1"])
    assert [each["request_id"] for each in json.loads(capsys.readouterr().out)] == ["r1"]


def test_what_services_asked_of_each_other_is_shown_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    from evolve.memory.database import Database
    from evolve.memory.decisions import Decision, DecisionLog
    from evolve.settings import Settings

    with Database.open(Settings.load()) as database:
        for request_id, parent in (("asked", None), ("within", "asked")):
            inputs = {"model_type": "ridge", "symbol": "AAPL"}
            DecisionLog(database).record(
                Decision(
                    "model_builder", request_id, "build_model", inputs, {}, "success", "v", 0.0, 1.0, parent=parent
                )
            )

    main(["history"])
    assert capsys.readouterr().out.count("ridge AAPL") == 1
    main(["history", "--all"])
    assert capsys.readouterr().out.count("ridge AAPL") == 2


def test_help_loads_no_array_library_and_no_server() -> None:
    program = (
        "import sys; from evolve.cli import main; main(['--help'])\n"
        "print([name for name in ('numpy', 'pydantic', 'redis', 'sqlalchemy', 'torch') if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stderr.strip() == "[]"
    assert "ask" in done.stdout


def test_imported_bars_are_forgotten_when_removed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    csv = tmp_path / "bars.csv"
    csv.write_text("Date,Open,High,Low,Close\n2024-01-02,1,1,1,1\n2024-01-03,1,1,1,1\n")
    main(["data", "import", str(csv), "--symbol", "GONE"])

    assert main(["data", "remove", "gone"]) == 0
    assert main(["data", "remove", "gone"]) == 1
    assert "no bars of GONE have been imported" in capsys.readouterr().err


def test_ctrl_c_while_the_program_still_loads_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evolve.cli.app.app", interrupted)

    assert main(["status"]) == 130
    assert capsys.readouterr().err == "cancelled\n"


def test_what_stays_queued_when_the_server_goes_is_named_with_how_to_fetch_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(**_: object) -> None:
        raise Unavailable("the Redis server does not answer", service="quant_gpt", asked_id="abc")

    monkeypatch.setattr("evolve.cli.app.app", gone)

    assert main(["status"]) == 1
    assert "evolve reply quant_gpt abc" in capsys.readouterr().err
