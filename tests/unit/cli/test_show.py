"""What a terminal shows: the same figures as the answer holds, nothing cut, nothing taken for markup."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from evolve.cards import (
    AnswerCard,
    Costs,
    Curve,
    DataCard,
    EvaluationCard,
    ModelCard,
    QueryResult,
    RankedRow,
    Recipe,
    SlotCard,
    TrustCard,
)
from evolve.cli import show
from evolve.evidence import Evidence, Unit

UNITS: dict[str, Unit] = {
    "sharpe": "ratio", "total_return": "fraction", "drawdown": "fraction", "alpha": "fraction", "alpha_p_value": "probability",
    "exposure": "fraction", "costs_paid": "fraction", "skill_r2": "fraction", "period_total_return": "fraction",
}  # fmt: skip
DATA = DataCard(
    "AAPL",
    "1d",
    "bokeh-sampledata",
    "f" * 64,
    3270,
    "2000-03-01",
    "2013-03-01",
    False,
    "stale",
    ("a [note] in brackets",),
)
TRUST = TrustCard(
    "no_edge", "No edge: [because]", DATA, Costs(1.0, 4.0), 5, 2270, 7, 12, ("buy_and_hold",), (), ("the bars end on 2013-03-01",), "evolve compare a b"
)  # fmt: skip
RIDGE = "ridge-AAPL-1d-3f9c2a7b"


def figures(of: str, value: float | None = -0.1234) -> dict[str, Evidence]:
    found = {name: Evidence("e1", name, of, value, unit, "2013-03-01", "s", "c") for name, unit in UNITS.items()}
    found["sharpe"] = replace(found["sharpe"], low=-0.65, high=1.25, level=0.95)
    return found


def answer(**changes: Any) -> AnswerCard:
    rows = (
        RankedRow(1, "buy_and_hold", "baseline", None, figures("buy_and_hold", 12.3456)),
        RankedRow(2, RIDGE, "model", RIDGE, figures(RIDGE)),
        RankedRow(3, "flat", "baseline", None, figures("flat", None)),
    )
    usual = AnswerCard(
        answer_id="0123456789ab", query="Best model for [AAPL]?", intent="model_recommendation", headline="No edge found.", verdict="no_edge",
        data_status="stale", slots={"symbols": SlotCard("AAPL", "stated"), "period_days": SlotCard(90, "stated"), "timeframe": SlotCard("1d", "default")},
        rows=rows, trust=TRUST, figures=(), commentary=("It [did] nothing.",),
        curves=(Curve("ridge", ("2013-01-01", "2013-01-02", "2013-01-03"), (1.0, 1.1, 1.2)),),
        disclaimer="Research, not investment advice.", reproduce="evolve reproduce 0123456789ab", plot="/plots/[answer].png",
    )  # fmt: skip
    return replace(usual, **changes)


def shown(card: AnswerCard, width: int = show.PIPED_WIDTH) -> str:
    output = Console(file=io.StringIO(), width=width, highlight=False)
    show.show_answer(card, output)
    # How many spaces stand between two parts is nobody's requirement.
    return re.sub(" +", " ", output.file.getvalue())  # type: ignore[attr-defined]


def test_an_answer_shows_question_parse_verdict_words_id_and_how_to_reproduce_it() -> None:
    text = shown(answer())

    for part in (
        "Best model for [AAPL]?", "understood as model_recommendation", "symbols AAPL (stated)", "period 90 days (stated)", "timeframe 1d (default)",
        "Verdict: NO EDGE No edge found.", "• It [did] nothing.", "chart /plots/[answer].png", "answer 0123456789ab · data stale",
        "reproduce evolve reproduce 0123456789ab", "Research, not investment advice.",
    ):  # fmt: skip
        assert part in text, part


def test_what_it_rests_on_is_shown() -> None:
    text = shown(answer())

    assert "tested on 2,270 bars out of sample, 5 refits, data ffffffffffff" in text


def test_how_luck_would_have_done_is_shown_where_it_is_known() -> None:
    def found(name: str, of: str, value: float | str | None, unit: Unit) -> Evidence:
        return Evidence("e1", name, of, value, unit, "2013-03-01", "s", "c")

    known = (
        found("spa_p_value", "all models", 0.69, "probability"), found("pbo", "all models", None, "probability"),
        found("random_entry_percentile", "ridge", 0.384, "fraction"), found("superior_models", "all models", "none", "text"),
    )  # fmt: skip

    text = shown(answer(trust=replace(TRUST, evidence=known)))

    assert "luck: SPA p 0.690 · random entries at equal turnover beaten: ridge 38.4 % · better than luck" in text
    assert "PBO" not in text
    assert "luck:" not in shown(answer())


def test_every_figure_is_shown_in_full_where_there_is_no_terminal() -> None:
    """What is cut in a file is lost."""
    text = shown(answer())

    assert "…" not in text.replace("-0.65…1.25", "")
    row = next(line for line in text.splitlines() if RIDGE in line)
    for part in ("-0.12 (-0.65…1.25)", "-12.3 %"):
        assert part in row
    assert row.split()[-2:] == ["-12.3", "%"]  # the last column is there


def test_an_unknown_figure_is_a_dash() -> None:
    row = next(line for line in shown(answer()).splitlines() if " flat " in line)

    assert set(row.split()[2:]) == {"–"}


def test_simulated_data_are_marked_before_any_figure() -> None:
    text = shown(answer(data_status="simulated"))

    assert text.index("SIMULATED DATA") < text.index("Sharpe")


def test_what_is_missing_is_named_with_its_reason() -> None:
    text = shown(
        answer(
            missing=(
                {"service": "model_builder", "model_type": "lstm", "why": "needs [torch]"},
                {"service": "charts", "why": "disk full"},
            )
        )
    )

    assert "• missing: lstm: needs [torch]" in text
    assert "• missing: charts: disk full" in text


def test_a_market_has_its_own_columns_and_no_verdict() -> None:
    book = {
        name: Evidence("e1", name, "AAPL", 0.5, "fraction", "d", "s", "c")
        for name in ("last_close", "period_return", "rsi_14")
    }

    text = shown(answer(verdict=None, trust=None, rows=(RankedRow(1, "AAPL", "baseline", None, book),)))

    assert "last close" in text
    assert "RSI" in text
    assert "Verdict" not in text
    assert "Sharpe" not in text


def test_the_verdict_of_every_kind_has_words() -> None:
    for verdict, words in (("edge", "EDGE"), ("no_edge", "NO EDGE"), ("insufficient_data", "INSUFFICIENT DATA")):
        assert f"Verdict: {words}" in shown(answer(verdict=verdict))


def test_a_failed_question_shows_the_reason_and_what_can_be_asked_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_query_result(QueryResult("q", "error", 1.0, error="no [symbol] named", suggestions=("Analyze AAPL",)))

    out, err = capsys.readouterr()
    assert out == ""
    assert err == 'error: no [symbol] named\n  try: evolve ask "Analyze AAPL"\n'


def reproduction(**changes: Any) -> dict[str, Any]:
    same = {"identical": True, "figures": 80, "differing": [], "largest_relative_difference": 0.0, "circumstances": []}
    return {**same, **changes}


def test_a_reproduction_says_that_all_figures_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_query_result(QueryResult("q", "success", 1.0, answer=answer(), results={"reproduction": reproduction()}))

    assert "Reproduced: all 80 figures are the same, bit for bit." in capsys.readouterr().out


def test_a_reproduction_says_what_differs_by_how_much_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    differing = [{"figure": f"sharpe of m{n}", "before": 1.0, "now": 0.9} for n in range(12)]
    found = reproduction(
        identical=False,
        differing=differing,
        largest_relative_difference=0.1,
        circumstances=["code_version: 1 then, 2 now"],
    )

    show.show_query_result(QueryResult("q", "success", 1.0, answer=answer(), results={"reproduction": found}))

    text = capsys.readouterr().out
    assert "Not the same: 12 of 80 figures differ, by at most 0.1 (relative)." in text
    assert "• code_version: 1 then, 2 now" in text
    assert "• sharpe of m0: 1.0 then, 0.9 now" in text


def test_a_result_from_json_is_shown_like_a_typed_one(capsys: pytest.CaptureFixture[str]) -> None:
    result = QueryResult("q", "success", 1.0, answer=answer())
    show.print_json(result)
    plain = json.loads(capsys.readouterr().out)

    show.show_query_result(plain)
    from_json = capsys.readouterr().out
    show.show_query_result(result)

    assert from_json == capsys.readouterr().out
    assert plain["answer"]["answer_id"] == "0123456789ab"


def model() -> ModelCard:
    recipe = Recipe("ridge", "AAPL", "1d", ("return_1",), {}, 1, 0, 5, 0, 1000)
    metrics = tuple(
        replace(item, name=name) for name, item in figures("ridge").items() if name != "period_total_return"
    )
    return ModelCard(
        RIDGE, recipe, DATA, "2026-01-01T00:00:00Z", "0.1.0", "0" * 64, metrics, notes=("volume [is] missing",)
    )


def test_a_model_is_shown_with_its_data_notes_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_model(model(), found=True)

    text = capsys.readouterr().out
    for part in (
        RIDGE,
        "(built before: same recipe, same bars)",
        "3,270 bars of AAPL at 1d",
        "• volume [is] missing",
        f"next: evolve evaluate {RIDGE}",
    ):
        assert part in text, part


def test_an_evaluation_is_shown_with_score_verdict_and_how_to_reproduce_it(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {name: item for name, item in figures(RIDGE).items() if name != "period_total_return"}
    card = EvaluationCard(
        "e",
        RIDGE,
        "AAPL",
        "1d",
        "90d",
        None,
        metrics,
        {"total_return": figures(RIDGE)["total_return"]},
        TRUST,
        "2026-01-01T00:00:00Z",
    )

    show.show_evaluation(card)
    unknown = re.sub(" +", " ", capsys.readouterr().out)
    show.show_evaluation(replace(card, overall_score=0.42))

    assert "overall score n/a" in unknown
    assert "overall score 0.42" in capsys.readouterr().out
    assert "last 90d" in unknown
    assert "Verdict: NO EDGE No edge: [because]" in unknown
    assert "reproduce evolve compare a b" in unknown


def test_progress_without_a_terminal_is_a_line_for_what_is_done_and_each_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = [("train", 1, 2, "one"), ("train", 2, 2, "two"), ("train", 2, 2, "two"), ("judge", 1, 1, "verdict")]

    with show.watch() as on_progress:
        for stage, done, total, message in events:
            on_progress({"stage": stage, "done": done, "total": total, "message": message})

    out, err = capsys.readouterr()
    assert (out, err) == ("", "train: two\njudge: verdict\n")
