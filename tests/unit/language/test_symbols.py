from __future__ import annotations

import pytest

from evolve.language.parse import parse


def symbols(query: str) -> tuple[str, ...]:
    return parse(query).symbols


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("Tesla", "TSLA"), ("google", "GOOGL"), ("Alphabet", "GOOGL"), ("facebook", "META"), ("Berkshire", "BRK-B"), ("BRK.A", "BRK-A"),
        ("brk-b", "BRK-B"), ("bitcoin", "BTCUSDT"), ("ether", "ETHUSDT"), ("BTC", "BTCUSDT"), ("sol", "SOLUSDT"), ("Johnson & Johnson", "JNJ"),
        ("AT&T", "T"), ("McDonald's", "MCD"), ("JP Morgan", "JPM"), ("ETH/USDT", "ETHUSDT"), ("BTC-USD", "BTCUSD"), ("ETH/BTC", "ETHBTC"),
        ("EUR/USD", "EURUSD"), ("gbpjpy", "GBPJPY"), ("nvda", "NVDA"), ("spy", "SPY"), ("Nestlé", "NSRGY"), ("英伟达", "NVDA"),
        ("比特币", "BTCUSDT"), ("servicenow", "NOW"), ("$brk.b", "BRK-B"), ("$BTC", "BTCUSDT"), ("3M", "MMM"), ("coke", "KO"),
    ],
)  # fmt: skip
def test_an_instrument_is_known_by_the_names_people_use(name: str, symbol: str):
    assert symbols(f"Should I buy {name}?") == (symbol,)


@pytest.mark.parametrize(
    ("typo", "symbol"),
    [("nvdia", "NVDA"), ("teslla", "TSLA"), ("etherium", "ETHUSDT"), ("aplle", "AAPL"), ("gogle", "GOOGL"), ("mircosoft", "MSFT"),
     ("bitcion", "BTCUSDT"), ("netlfix", "NFLX"), ("amazn", "AMZN")],
)  # fmt: skip
def test_a_typo_means_the_intended_company(typo: str, symbol: str):
    assert symbols(f"analyze {typo}") == (symbol,)


@pytest.mark.parametrize(
    "query", ["Analyze the weather", "What should I apply?", "Is being early good?", "a triple whammy"]
)
def test_an_everyday_word_is_no_typo_of_a_company(query: str):
    assert symbols(query) == ()


@pytest.mark.parametrize(
    "query",
    ["SHOULD I BUY IT NOW", "are all models on the go so open", "what is the key to a fast start", "What's the price target?",
     "Is there a gap at the open?", "show me now what you have", "which model is best for a long-term view", "What does the meta tuner do?",
     "best model in VIX-heavy regimes", "Über welche Modelle redest du?"],
)  # fmt: skip
def test_a_word_that_is_also_a_ticker_is_a_word(query: str):
    assert symbols(query) == ()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Should I buy NOW?", ("NOW",)), ("How is T doing versus VZ?", ("T", "VZ")), ("Plot $NOW and $IT", ("NOW", "IT")),
        ("Is Gap a buy?", ("GAP",)), ("train an lstm on Target stock", ("TGT",)), ("Is visa a buy?", ("V",)),
        ("AAPL, what is its price target?", ("AAPL",)), ("Is Meta a buy?", ("META",)),
    ],
)  # fmt: skip
def test_such_a_word_is_a_symbol_where_an_instrument_is_meant(query: str, found: tuple[str, ...]):
    assert symbols(query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Best model for AAPL, not TSLA", ("AAPL",)), ("Compare everything except Tesla and Ford with AAPL", ("AAPL",)),
        ("ignore what you said about AAPL, analyze MSFT", ("MSFT",)), ("Analyze MSFT instead of AAPL", ("MSFT",)),
        ("Analyze not only AAPL but also MSFT", ("AAPL", "MSFT")), ("Why isn't TSLA rising?", ("TSLA",)),
        ("Analiza Apple, excepto Tesla", ("AAPL",)), ("Analysiere Apple, aber nicht Tesla", ("AAPL",)),
    ],
)  # fmt: skip
def test_what_is_ruled_out_is_left_out(query: str, found: tuple[str, ...]):
    assert symbols(query) == found


def test_a_capital_symbol_that_we_do_not_know_is_still_what_the_user_named():
    assert symbols("Give me the best model for ZZTOP") == ("ZZTOP",)


def test_an_abbreviation_of_the_trade_is_no_symbol():
    assert symbols("Should I buy when the RSI and the MACD of AAPL cross, IMO a YTD low?") == ("AAPL",)


def test_the_name_of_a_picture_is_no_symbol():
    assert symbols("what do you see in eurusd.png") == ()
