"""`service_client.py --action …`: JSON on stdout, exit codes a script can use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evolve.client import cli
from evolve.client.client import ServiceClient

REPLY: dict[str, Any] = {"type": "model_built", "status": "success", "data": {"found": True}, "found": True}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """The calls that were made instead of any network."""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def noted(name: str) -> Any:
        def call(self: ServiceClient, *arguments: Any, **options: Any) -> dict[str, Any]:
            calls.append((name, arguments, options))
            return dict(REPLY)

        return call

    for name in ("build_model", "evaluate_model", "route_prompt"):
        monkeypatch.setattr(ServiceClient, name, noted(name))
    return calls


@pytest.mark.parametrize(
    ("arguments", "method", "passed"),
    [
        (["--action", "build"], "build_model", ("lstm", "BTCUSDT", "1h")),
        (
            ["--action", "build", "--model-type", "ridge", "--symbol", "AAPL", "--timeframe", "1d"],
            "build_model",
            ("ridge", "AAPL", "1d"),
        ),
        (["--action", "evaluate", "--service", "m-1"], "evaluate_model", ("m-1", "BTCUSDT", "1h")),
        (["--action", "route"], "route_prompt", ("Build me an LSTM model for Bitcoin prediction",)),
    ],
)
def test_an_action_calls_its_method_and_prints_the_reply_as_json(
    sent: list[Any], capsys: pytest.CaptureFixture[str], arguments: list[str], method: str, passed: tuple[str, ...]
) -> None:
    code = cli.main(arguments)

    assert code == 0
    assert [(name, given) for name, given, _ in sent] == [(method, passed)]
    assert json.loads(capsys.readouterr().out) == REPLY


def test_an_error_reply_is_printed_and_the_exit_code_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        ServiceClient, "build_model", lambda *_, **__: {"type": "error", "status": "error", "data": {"error": "no"}}
    )

    assert cli.main(["--action", "build"]) == 1
    assert json.loads(capsys.readouterr().out)["data"]["error"] == "no"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--action", "dance"],
        ["--action", "evaluate"],
        ["--action", "retrain"],
        ["--action", "build", "--redis-port", "x"],
    ],
)
def test_wrong_usage_exits_with_two(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)

    assert leaving.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_progress_goes_to_stderr(sent: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--action", "build"])
    capsys.readouterr()

    sent[0][2]["on_progress"]({"stage": "train ridge", "done": 1, "total": 6, "message": "fold 1"})

    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "train ridge: 1/6 fold 1\n")


def test_ctrl_c_exits_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ServiceClient, "build_model", interrupted)

    assert cli.main(["--action", "build"]) == 130
