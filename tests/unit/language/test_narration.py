"""A commentary of a language model is shown only if every figure in it was computed and none is turned round."""

from __future__ import annotations

import itertools
import random

import pytest

from evolve.evidence import Evidence
from evolve.language.model.narration import Ground, faults_of, ground_of, rendered


def figure(id: str, name: str, value: float, unit: str = "fraction", of: str = "AAPL") -> Evidence:
    return Evidence(id, name, of, value, unit, "2013-03-01", "bundled", "a test")  # type: ignore[arg-type]


GROUND = ground_of(
    (
        figure("e1", "total_return", 0.12, of="ridge"), figure("e2", "total_return", 0.31, of="buy_and_hold"),
        figure("e3", "sharpe", -0.4, "ratio", "ridge"), figure("e4", "sharpe", 0.8, "ratio", "buy_and_hold"),
        figure("e5", "drawdown", -0.25, of="ridge"), figure("e6", "period_return", -0.051),
        figure("e7", "above_average_50", 0.03), figure("e8", "above_average_200", -0.08),
        figure("e9", "volatility", 0.28), figure("e10", "alpha_p_value", 0.4, "probability"),
    ),
    names=("ridge-AAPL-1d-3f9c2a7b",), symbols=("AAPL",), edge=False, action="HOLD",
)  # fmt: skip

WRONG = {
    "AAPL rose {{e6}} over the period": "against the sign",
    "AAPL gained {{e6}}, with a volatility of {{e9}}": "against the sign",
    "AAPL lost money, {{e6}}, yet ridge fell {{e1}}": "against the sign",
    "AAPL did not fall over the period ({{e6}})": None,  # the figure stands in a clause without a word of direction
    "AAPL did not fall: it stands where it stood, or never fell {{e6}}": "against the sign",
    "Its close is above the average by {{e8}}": "against the sign",
    "The return of ridge, {{e1}}, beat that of holding": None,
    "With {{e1}} ridge beat the {{e2}} of holding": "the wrong way round",
    "A return of {{e1}} is higher than {{e2}}": "the wrong way round",
    "A Sharpe ratio of {{e4}} trails {{e3}}": "the wrong way round",
    "Its volatility is {{e8}} a year": "not what it is called here",
    "A Sharpe ratio of {{e1}} is what ridge reached": "not what it is called here",
    "Ridge returned {{e2}} net of costs": "not of ridge",
    "Holding returned {{e1}} net of costs": "not of buy_and_hold",
    "It reached {{e1}} of holding": "not of buy_and_hold",
    "The drawdown was 25 %": "digit",
    "The drawdown was a quarter, {{e5}}, or about two fifths": "in words",
    "The risk doubled to {{e9}}": "in words",
    "Return: {{e6}} percent": "in words",
    "It cost $ {{e1}}": "sign of markup",
    "MSFT fell {{e6}}": "not what the answer is about",
    "Like Microsoft, AAPL fell {{e6}}": "not what the answer is about",
    "Sell it, since it fell {{e6}}": "an action",
    "Ridge has an edge": "claims skill",
    "It is going to recover from {{e6}}": "foretells",
    "{{e11}} is what it returned": "there is no e11",
    "La acción perdió {{e6}} — 苹果公司的股票下跌了很多很多很多": "English",
    "": "characters",
    "x" * 500: "characters",
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_with_a_sentence_is_named(sentence: str):
    wanted = WRONG[sentence]

    found = faults_of([sentence], GROUND)

    assert (found == []) if wanted is None else any(wanted in fault for fault in found), found


def test_behind_a_word_of_direction_the_sign_is_left_out():
    assert rendered("AAPL fell {{e6}} and returned {{e6}}.", GROUND) == "AAPL fell 5.1 % and returned -5.1 %."
    assert rendered("a loss of {{ e6 }}", GROUND) == "a loss of 5.1 %"
    assert rendered("{{n1}} had a drawdown of {{e5}}", GROUND) == "ridge-AAPL-1d-3f9c2a7b had a drawdown of -25.0 %"


def test_an_unknown_figure_is_not_offered():
    ground = ground_of((Evidence("e1", "sharpe", "x", None, "ratio", "", "", "", note="unknown"),), names=(), symbols=(), edge=False, action=None)  # fmt: skip

    assert faults_of(["The Sharpe ratio is {{e1}}."], ground) == ["sentence 1: there is no e1"]


def test_what_the_verdict_grants_may_be_said():
    granted = Ground(GROUND.figures, GROUND.names, GROUND.symbols, edge=True, action="BUY")

    assert faults_of(["The model has an edge on AAPL and is long at the close."], granted) == []


# --- false refusals: correct commentaries of many kinds, written by chance ---

SUBJECTS = ("The model", "Ridge", "This candidate", "The best-ranked model", "The forecaster", "{{n1}}")
OPENINGS = (
    "",
    "Net of costs, ",
    "Out of sample, ",
    "On this evidence ",
    "Over the stretch shown ",
    "All in all, ",
    "In short, ",
)
UP_VERBS = ("returned", "gained", "earned", "made", "rose", "grew by", "was up", "advanced by", "climbed")
DOWN_VERBS = ("returned", "lost", "fell", "declined by", "dropped", "was down", "slid", "shed", "gave up")
VERDICTS = (
    "No edge was found, so nothing here is worth trusting with money.",
    "That is not enough to call it skill.",
    "None of the models has an edge after costs.",
    "The verdict stands: luck explains it as well.",
    "One stretch proves nothing, and the test does not reject chance.",
    "There is no sign that the forecasts carry any skill beyond luck.",
    "A side would need a model that passes the gate; until then the answer is to hold.",
)
TAILS = (
    "Volatility stands at {v} a year.",
    "The deepest fall from a peak was {d}.",
    "Its maximum drawdown, {d}, shows what had to be endured.",
    "The p-value of its alpha is {p}, far from convincing.",
    "It has to be read beside a yearly volatility of {v}.",
    "Each trade paid fees and slippage, filled at the next open.",
    "Buying and holding is the baseline that matters most here.",
    "Apple's own path explains most of it.",
)


def correct(rng: random.Random) -> tuple[list[str], Ground]:
    """A commentary whose every claim is true of its ground."""
    mine, other = round(rng.uniform(-0.5, 0.5), 3) or 0.1, round(rng.uniform(-0.5, 0.5), 3) or 0.2
    sharpe, held = round(rng.uniform(-1.5, 1.5), 2) or 0.3, round(rng.uniform(-1.5, 1.5), 2) or 0.4
    close = round(rng.uniform(-0.2, 0.2), 3) or 0.05
    items = (
        figure("e1", "total_return", mine, of="ridge"), figure("e2", "total_return", other, of="buy_and_hold"),
        figure("e3", "sharpe", sharpe, "ratio", "ridge"), figure("e4", "sharpe", held, "ratio", "buy_and_hold"),
        figure("e5", "drawdown", -abs(round(rng.uniform(0.01, 0.7), 3)), of="ridge"), figure("e6", "above_average_50", close),
        figure("e7", "volatility", 0.28), figure("e8", "alpha_p_value", 0.4, "probability"),
    )  # fmt: skip
    ground = ground_of(items, names=("ridge-AAPL-1d-3f9c2a7b",), symbols=("AAPL",), edge=False, action="HOLD")
    subject, opening = rng.choice(SUBJECTS), rng.choice(OPENINGS)
    verb = rng.choice(UP_VERBS if mine > 0 else DOWN_VERBS)
    first = f"{opening}{subject if not opening else subject[:1].lower() + subject[1:]} {verb} {{{{e1}}}}"
    more = mine > other
    seconds = [
        f", while holding {'gained' if other > 0 else 'lost'} {{{{e2}}}}.",
        " against {{e2}} for buying and holding.",
        f", which {'beats' if more else 'trails'} the {{{{e2}}}} of buy-and-hold.",
        f", {'more' if more else 'less'} than the {{{{e2}}}} of the baseline.",
        ".",
        "; buy and hold returned {{e2}}.",
    ]
    thirds = [
        "Its Sharpe ratio is {{e3}}, that of holding {{e4}}.",
        f"A Sharpe ratio of {{{{e3}}}} is {'better' if sharpe > held else 'worse'} than {{{{e4}}}}.",
        f"The Sharpe ratio, {{{{e3}}}}, is {'positive' if sharpe > 0 else 'negative'}.",
        f"AAPL closed {{{{e6}}}} {'above' if close > 0 else 'below'} its average.",
        f"The close of AAPL is {{{{e6}}}} from its mean, {'higher' if close > 0 else 'lower'} than a while ago.",
    ]
    names = {"v": "{{e7}}", "d": "{{e5}}", "p": "{{e8}}"}
    sentences = [
        first + rng.choice(seconds),
        rng.choice(thirds),
        rng.choice(TAILS).format(**names),
        rng.choice(VERDICTS),
    ]
    rng.shuffle(sentences)
    return sentences[: rng.randint(2, 4)], ground


def test_of_300_correct_commentaries_fewer_than_one_in_a_hundred_is_refused():
    rng = random.Random(7)
    written = [correct(rng) for _ in range(300)]

    refused = [(sentences, faults) for sentences, ground in written if (faults := faults_of(sentences, ground))]

    assert len({tuple(sentences) for sentences, _ in written}) > 250  # they differ
    assert len(refused) < 3, refused[:5]


def test_each_of_them_is_refused_once_a_direction_is_turned_round():
    turned = {"gained": "lost", "lost": "gained", "rose": "fell", "fell": "rose"}
    rng = random.Random(11)
    tried = caught = 0
    for sentences, ground in itertools.islice(iter(lambda: correct(rng), None), 300):
        for sentence in sentences:
            verb = next((verb for verb in turned if f" {verb} {{{{e1}}}}" in sentence), None)
            if verb is None:
                continue
            tried += 1
            caught += bool(faults_of([sentence.replace(f" {verb} ", f" {turned[verb]} ", 1)], ground))

    assert tried > 30
    assert caught == tried


# --- a second bank of sentences, written after the checks and never used to change them ---


def other_words(rng: random.Random) -> tuple[list[str], Ground]:
    r, h = (rng.choice((-1, 1)) * round(rng.uniform(0.02, 0.6), 3) for _ in range(2))
    s1, s2 = (rng.choice((-1, 1)) * round(rng.uniform(0.1, 1.6), 2) for _ in range(2))
    sym, fam = rng.choice(["AAPL", "MSFT", "BTCUSDT", "NVDA"]), rng.choice(["ridge", "xgboost", "lstm"])
    short = {"BTCUSDT": "bitcoin"}.get(sym, sym)
    items = (
        figure("e4", "total_return", r, of=fam), figure("e9", "total_return", h, of="buy_and_hold"),
        figure("e12", "sharpe", s1, "ratio", fam), figure("e17", "sharpe", s2, "ratio", "buy_and_hold"),
        figure("e20", "drawdown", -0.3, of=fam), figure("e21", "volatility", 0.3, of=sym), figure("e22", "from_high", -0.1, of=sym),
        figure("e23", "rsi_14", 44.0, "ratio", sym), figure("e30", "dm_p_value", 0.3, "probability", fam),
        figure("e31", "exposure", 0.4, of=fam), figure("e33", "band_coverage", 0.9, of=fam), figure("e40", "year_high", 120.0, "price", sym),
    )  # fmt: skip
    ground = ground_of(items, names=(f"{fam}-{sym}-1d-0a1b2c3d",), symbols=(sym,), edge=False, action="HOLD")
    bank = [
        f"For {short} the test came back empty-handed: {fam} made {{{{e4}}}} after costs, and simply holding made {{{{e9}}}}.",
        f"Taken alone, the {fam} candidate {'turned a profit of' if r > 0 else 'ended with a loss of'} {{{{e4}}}}.",
        f"Holding {short} {'added' if h > 0 else 'cost'} {{{{e9}}}} over the same bars.",
        f"{fam.capitalize()} spent {{{{e31}}}} of the time in the market and still saw a drawdown of {{{{e20}}}}.",
        "Its risk-adjusted result, a Sharpe ratio of {{e12}}, has to be set against {{e17}} for the passive alternative.",
        f"{{{{n1}}}} {'outperformed' if s1 > s2 else 'underperformed'} in risk-adjusted terms: {{{{e12}}}} against {{{{e17}}}}.",
        f"{short[:1].upper() + short[1:]} trades {{{{e22}}}} from its high of the year, and the RSI reads {{{{e23}}}}.",
        "With a p-value of {{e30}}, the forecast cannot be told from chance.",
        "The forecast band is honest: it held {{e33}} of the outcomes.",
        "Nothing here argues for taking a side; the prudent reading is to stay out until a model clears the gate.",
        "The highest close of the year was {{e40}}, some way above the latest.",
        "Costs matter: fees and slippage were charged on every trade.",
        "First, the verdict: no edge. Second, the reason: luck would do as well.",
        f"Volatility runs at {{{{e21}}}} a year, so swings of this size are ordinary for {short}.",
        "A single good stretch would not change that.",
        "On balance the evidence is thin, and more data would be needed to say otherwise.",
        f"The model's record is {'better' if r > h else 'worse'} than that of the market, {{{{e4}}}} versus {{{{e9}}}}.",
    ]
    return rng.sample(bank, rng.randint(2, 5)), ground


def test_of_300_in_words_that_the_checks_were_not_written_with_fewer_than_one_in_a_hundred_is_refused():
    rng = random.Random(99)
    written = [other_words(rng) for _ in range(300)]

    refused = [(sentences, faults) for sentences, ground in written if (faults := faults_of(sentences, ground))]

    assert len(refused) < 3, refused[:5]
