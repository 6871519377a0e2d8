"""`evolve audit`: a file is a program, anything else a model's id; what was found is shown with its figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.cards import AuditCard
from evolve.cli.audit import request_for, show_audit
from evolve.contracts.performance_critic import AuditModel, AuditStrategy
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence


def figure(name: str, value: float | None, unit: str = "ratio", note: str = "") -> Evidence:
    return Evidence("e1", name, "mine", value, unit, "2013-03-01", "s", "c", note=note)  # type: ignore[arg-type]


FIGURES = (
    figure("warm_up_bars", 20, "bars"), figure("settled_bars", None, "bars", "not within 200 bars"),
    figure("sharpe", 6.08), figure("sharpe_one_bar_later", 0.1),
)  # fmt: skip
CARD = AuditCard(
    "mine", "AAPL", "1d", False, "it looks ahead", 400, 60, 242, ("truncate", "noise"), 0.0, "all bars at once", FIGURES, ("nan: it refuses NaN",)
)  # fmt: skip


def test_a_file_is_a_program_and_is_sent_with_its_symbol_and_parameters(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def main(d): return 'FLAT'")

    request, fields = request_for(str(file), "AAPL", None, {"fast": 5}, simulate=False)

    assert request is AuditStrategy
    assert (fields["strategy_name"], fields["symbol"], fields["parameters"]) == ("mine", "AAPL", {"fast": 5})
    assert fields["strategy_code"].startswith("def main")


def test_anything_else_is_a_models_id() -> None:
    assert request_for("ridge-AAPL-1d-1", None, None, {}, simulate=True) == (
        AuditModel, {"model_id": "ridge-AAPL-1d-1", "symbol": None, "timeframe": None, "simulate": True},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "symbol", "parameters", "said"),
    [
        ("missing.py", "AAPL", {}, r"cannot read missing\.py"),
        ("missing.py", None, {}, "such as --symbol AAPL"),
        ("ridge-1", None, {"a": 1}, "--param is for a program"),
    ],
)
def test_what_cannot_be_audited_says_why(
    target: str, symbol: str | None, parameters: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        request_for(target, symbol, None, parameters, simulate=False)


def test_the_verdict_is_shown_with_what_was_tried_and_what_hangs_on_being_quick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_audit(CARD, as_json=False)

    assert capsys.readouterr().out.splitlines() == [
        "mine: FAILED: it looks ahead",
        "400 bars of AAPL at 1d, handed all bars at once, 242 runs; the future was changed by: truncate, noise",
        "first value after 20 bars; the same whenever history began after n/a (not within 200 bars)",
        "Sharpe ratio 6.08; acting one bar later 0.10",
        "• nan: it refuses NaN",
    ]
