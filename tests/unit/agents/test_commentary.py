"""Commentary: no sentence holds a number that was not computed, and what matters first comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from desks import Desk, daily_bars, noise

from evolve.agents.market_analyst import describe, regime
from evolve.cards import ComparisonCard, DataCard, EvaluationCard, TrustCard, Winner
from evolve.evidence import Evidence, EvidenceBook, render, render_value
from evolve.language import commentary
from evolve.market.bars import Bars
from evolve.market.catalog import data_card

# One worker for all: what they share takes seconds to make.
pytestmark = pytest.mark.xdist_group("commentary")

# What a sentence may say without evidence: the names of indicators and windows, and the level of the band.
CONSTANTS = ("90 % band", "50-bar mean", "200-bar mean", "RSI(14)")


def ungrounded(sentences: Iterable[str], evidence: Sequence[Evidence], *facts: str) -> list[str]:
    """The sentences that hold a digit after constants, facts and rendered figures were taken out."""
    shown = {*CONSTANTS, *facts}
    for item in evidence:
        shown.add(render(item))
        if item.low is not None and item.high is not None and item.level is not None:
            shown |= {
                render_value(item.low, item.unit),
                render_value(item.high, item.unit),
                f"{round(100 * item.level)} % interval",
            }
    left = []
    for sentence in sentences:
        for text in sorted((text for text in shown if text), key=len, reverse=True):
            # Not inside a longer number: "1.2" must not excuse "11.23".
            sentence = re.sub(rf"(?<![0-9.,]){re.escape(text)}(?![0-9])", "", sentence)
        if re.search("[0-9]", sentence):
            left.append(sentence)
    return left


def facts_of(data: DataCard) -> list[str]:
    return [f"{data.bars:,}", data.symbol, f"at {data.timeframe}", data.first, data.last, data.source]


def facts_of_trust(trust: TrustCard, reason: str) -> list[str]:
    return [reason, *facts_of(trust.data), f"{trust.costs.fee_bps:g} bp", f"{trust.costs.slippage_bps:g} bp"]


def said_of(comparison: ComparisonCard) -> tuple[list[str], list[str]]:
    reason = comparison.reason.removeprefix("No edge: ")
    facts = facts_of_trust(comparison.trust, reason[:1].upper() + reason[1:])
    facts += [comparison.period, *(row.model_id for row in comparison.rows if row.model_id)]
    return [commentary.headline(comparison), *commentary.on_comparison(comparison)], facts


@pytest.fixture(scope="module", params=["NOISE", "EDGY", "AAPL"])
def comparison(shared: Desk, request: pytest.FixtureRequest) -> ComparisonCard:
    return shared.compare(*(shared.build(family, request.param).card.model_id for family in ("ridge", "drift")))


def test_a_number_that_no_figure_holds_is_caught(comparison: ComparisonCard) -> None:
    """The check itself: a digit typed into a sentence must not pass."""
    said, facts = said_of(comparison)

    assert ungrounded([said[1] + " It made 1234.56 %."], comparison.trust.evidence, *facts)
    assert ungrounded(["a Sharpe ratio of 11.23"], [Evidence("e1", "sharpe", "x", 1.2, "ratio", "d", "s", "c")])


def test_every_number_in_the_words_on_a_comparison_is_a_figure_of_it(comparison: ComparisonCard) -> None:
    said, facts = said_of(comparison)

    assert ungrounded(said, comparison.trust.evidence, *facts) == []


@pytest.mark.parametrize("status", ["current", "stale"])
@pytest.mark.parametrize("signal", ["BUY", "SELL", "HOLD", None])
def test_every_number_in_the_words_on_a_signal_is_a_fact_of_its_data(
    comparison: ComparisonCard, signal: str | None, status: str
) -> None:
    data = replace(comparison.trust.data, status=status)  # type: ignore[arg-type]

    said = [*commentary.on_signal(signal, comparison, data), *commentary.on_data(data)]

    assert ungrounded(said, comparison.trust.evidence, *facts_of(data)) == []


def test_every_number_in_the_words_on_an_outlook_is_a_figure_of_it(comparison: ComparisonCard) -> None:
    said = commentary.on_outlook(comparison)
    sized = [
        f"{abs(float(item.value or 0)) * 100:.1f} %" for item in comparison.trust.evidence if item.name == "decision"
    ]

    assert [sentence.split(":")[0].split(" ")[0] for sentence in said[1:]] == ["For", "Against", "What"]
    names = [row.name for row in comparison.rows]
    assert ungrounded(said, comparison.trust.evidence, *sized, *names) == []


def evaluation(shared: Desk, family: str, symbol: str) -> EvaluationCard:
    return shared.evaluate(shared.build(family, symbol).card.model_id)


@pytest.mark.parametrize(("family", "symbol"), [("ridge", "EDGY"), ("naive", "NOISE")])
def test_every_number_in_the_words_on_an_evaluation_is_a_figure_of_it(shared: Desk, family: str, symbol: str) -> None:
    card = evaluation(shared, family, symbol)

    assert (
        ungrounded(commentary.on_evaluation(card), card.trust.evidence, *facts_of_trust(card.trust, card.trust.reason))
        == []
    )


def words_on(bars: Bars) -> tuple[list[str], EvidenceBook]:
    book = EvidenceBook()
    found = describe(bars, 90, book)
    return commentary.on_market(bars.symbol, found, *regime(found)), book


@pytest.mark.parametrize("bars", [1, 2, 15, 22, 60, 120, 253, 400])
def test_every_number_in_the_words_on_a_market_is_a_figure_of_it(bars: int) -> None:
    said, book = words_on(noise(bars))

    assert ungrounded(said, list(book)) == []


@pytest.mark.parametrize("bars", [1, 2, 15, 22, 60, 120, 253, 400])
def test_what_is_unknown_about_a_market_is_not_spoken_of(bars: int) -> None:
    said, _ = words_on(noise(bars))

    assert "n/a" not in " ".join(said)


def test_the_words_on_data_name_bars_dates_and_source(shared: Desk) -> None:
    data = data_card(shared.catalog.load("AAPL"), shared.clock.now())

    said = commentary.on_data(data)

    assert ungrounded(said, [], *facts_of(data)) == []
    assert "As of 2013-03-01: nothing here speaks of today." in said


@pytest.mark.parametrize(
    ("returns", "word"),
    [
        (np.full(260, 0.002), "rising"),
        (np.full(260, -0.002), "falling"),
        (np.full(30, 0.002), "too young to have a trend"),
    ],
)
def test_the_direction_word_agrees_with_the_sign_of_the_figures(returns: np.ndarray, word: str) -> None:
    said, book = words_on(daily_bars(returns * np.tile([1.0, 1.01], len(returns) // 2)))
    above = next(item.value for item in book if item.name == "above_average_200")

    assert f" is {word}" in said[0]
    if above is not None:
        assert (float(above) > 0) == (word == "rising")


def test_a_gain_carries_a_plus_and_nothing_carries_a_plus_of_zero() -> None:
    rising, _ = words_on(daily_bars(np.full(300, 0.002)))
    flat, _ = words_on(daily_bars(np.tile([1e-7, -1e-7], 150) + 1e-9))

    assert re.search(r"\+[0-9.]+ % over the period shown", rising[0])
    assert "+0.0 %" not in " ".join(flat)
    assert "-0.0 %" not in " ".join(flat)


def test_the_headline_follows_the_verdict(comparison: ComparisonCard) -> None:
    winner = Winner("ridge-X-1d-00000000", "because")

    assert f"{winner.model_id} has earned trust" in commentary.headline(
        replace(comparison, verdict="edge", winner=winner)
    )
    assert "No edge" in commentary.headline(replace(comparison, verdict="no_edge", winner=None))
    assert "Too little data" in commentary.headline(replace(comparison, verdict="insufficient_data", winner=None))


def test_the_reason_comes_first_and_costs_and_trials_are_named(comparison: ComparisonCard) -> None:
    said = commentary.on_comparison(comparison)

    if all(each.figures["sharpe"].value is None for each in comparison.rows if each.kind == "model"):
        assert said[0].startswith("No model ever had both shown skill")
    else:
        assert said[0].lower().endswith(comparison.reason.removeprefix("No edge: ").lower())
    assert "fee of 1 bp and slippage of 4 bp per leg" in said[-1]
    assert "trials counted" in said[-1]


def test_a_stale_signal_says_that_no_side_is_taken_and_what_to_do(comparison: ComparisonCard) -> None:
    data = replace(comparison.trust.data, status="stale")

    (said,) = commentary.on_signal(None, comparison, data)

    assert said.startswith("No side is taken")
    assert f"evolve data import FILE --symbol {data.symbol}" in said


def test_a_signal_on_simulated_bars_begins_by_saying_so(comparison: ComparisonCard) -> None:
    data = replace(comparison.trust.data, status="simulated", simulated=True)

    assert commentary.on_signal("BUY", comparison, data)[0].startswith("SIMULATED")


def test_nothing_is_said_of_other_symbols_where_there_were_none() -> None:
    assert commentary.on_others("AAPL", ["AAPL"]) == commentary.on_others("AAPL", []) == []
    assert "MSFT and IBM" in commentary.on_others("AAPL", ["AAPL", "MSFT", "IBM"])[0]
