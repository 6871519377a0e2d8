"""Cards, replies and bars in a notebook: what they show, and that nothing in them becomes markup."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from evolve.cards import Curve, QueryResult
from evolve.contracts.performance_critic import BestModels
from evolve.contracts.quant_gpt import GetAvailableSymbols, QueryProcessed
from evolve.market.bars import Bars
from unit.display.shown_cards import CURVE, OUTLOOK, answer, evaluation, model, trust

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


def bars(symbol: str = "ACME", *, simulated: bool = False) -> Bars:
    close = np.linspace(100.0, 110.0, 12)
    return Bars(
        symbol, "1d", 1_360_000_000_000 + 86_400_000 * np.arange(12), close, close + 1, close - 1, close, np.full(12, 1e6), "by hand", 252.0,
        simulated=simulated, notes=("a note",),
    )  # fmt: skip


class Markup(HTMLParser):
    """What a browser would make of it: the elements, those that were never closed, and every attribute's name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_an_answer_shows_verdict_table_trust_and_how_to_reproduce_it():
    html = answer()._repr_html_()

    assert [words for words in ("NO EDGE", "0.07 (-0.67…0.73)", "2.0 %", "7 trials", "1 + 4 bp a leg", "one caveat", "evolve reproduce a1", "not advice") if words not in html] == []  # fmt: skip
    assert "SIMULATED" not in html
    assert Markup(html).open == []


@pytest.mark.parametrize(
    "html", [answer(simulated=True)._repr_html_(), trust(simulated=True)._repr_html_()], ids=["answer", "trust card"]
)
def test_simulated_data_are_marked(html):
    assert "SIMULATED DATA" in html


@pytest.mark.parametrize(
    "shown",
    [answer(HOSTILE), replace(evaluation(()), model_id=HOSTILE), replace(model(), notes=(HOSTILE,)), trust(caveats=(HOSTILE,)),
     QueryResult(HOSTILE, "error", 0.0, error=HOSTILE, suggestions=(HOSTILE,))],
    ids=lambda shown: type(shown).__name__,
)  # fmt: skip
def test_other_peoples_words_stay_words(shown):
    found = Markup(shown._repr_html_())

    assert {"script", "img"} & set(found.elements) == set()
    assert "onerror" not in found.attributes


@pytest.mark.parametrize(
    "shown", [evaluation(), model(OUTLOOK), bars()], ids=["evaluation", "model with outlook", "bars"]
)
def test_evaluations_models_and_bars_have_a_picture(shown):
    html = shown._repr_html_()

    assert html.count("data:image/png;base64,") == 2  # for a light screen and for a dark one
    assert html.count('media="(prefers-color-scheme: dark)"') == 1
    assert len(html) < 150_000  # a notebook with ten of them can still be sent
    assert "SIMULATED" not in html


def test_bars_show_their_ends_where_they_are_from_and_what_to_know():
    html = bars(simulated=True)._repr_html_()

    assert [words for words in ("ACME 1d", "12 bars", "2013-02-04", "2013-02-15", "by hand", "a note", "SIMULATED DATA") if words not in html] == []  # fmt: skip


def test_a_curve_that_cannot_be_drawn_is_said_to_be_missing():
    html = replace(evaluation(), curves=(Curve("ridge", ("2013-03-01",), (1.0,)),))._repr_html_()

    assert "no chart: curve &#x27;ridge&#x27; has 1 values" in html


def test_a_reply_shows_what_it_holds_and_one_that_holds_nothing_shown_stays_text():
    held = BestModels(models=(evaluation(()), evaluation(())), symbol="AAPL", timeframe="1d", metric="sharpe")
    asked = QueryProcessed(result=QueryResult("q", "success", 0.0, answer=answer()))

    assert held._repr_html_().count("NO EDGE") == 2
    assert "NO EDGE" in asked._repr_html_()
    assert GetAvailableSymbols.reply_type(symbols=(), timeframes=(), periods=(), models=())._repr_html_() is None


def test_cards_load_no_chart_before_one_is_shown():
    probe = "import sys, evolve.cards, evolve.client.client; print(sorted(n for n in sys.modules if n.startswith(('evolve.display', 'evolve.charts.equity', 'matplotlib'))))"

    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_the_curves_name_stands_beside_its_picture_for_who_cannot_see_it():
    assert 'alt="Growth of 1 and drawdown of ridge"' in evaluation((CURVE,))._repr_html_()
