"""What is a general question about? The concern behind `general_query`, by the rule that understood it, and which instruments it spans."""

from __future__ import annotations

from typing import Literal

from evolve.language.intents import Decision
from evolve.language.reading import Reading

Topic = Literal["cross_section", "strategy", "model_performance", "history", "models", "supported", "documentation"]
Universe = Literal["stocks", "coins"]

_TOPIC_OF_RULE: dict[str, Topic] = {
    "across the market": "cross_section",
    "recommend across the market": "cross_section",
    "which strategy": "strategy",
    "a strategy": "strategy",
    "performance of the models at large": "model_performance",
    "history": "history",
    "list": "models",
}
# What a question can name: who asks which of these there are is shown the list, not a page about them.
_NAMEABLE = frozenset(
    """model models family families symbol symbols ticker tickers stock stocks coin coins timeframe timeframes period periods
    modelos simbolos modelle symbole modeles symboles""".split()
)
_COINS = frozenset(
    """coin coins crypto cryptos cryptocurrency cryptocurrencies token tokens altcoin altcoins stablecoin cripto criptos
    criptomoneda criptomonedas moneda monedas krypto kryptos kryptowahrung kryptowahrungen munzen cryptomonnaie cryptomonnaies
    monnaies 币""".split()
)
_STOCKS = frozenset(
    """stock stocks share shares equity equities company companies etf etfs accion acciones aktie aktien actions titres 股""".split()
)


def topic_of(reading: Reading, decision: Decision) -> Topic | None:
    """None for every intent but `general_query`."""
    if decision.intent != "general_query":
        return None
    if _NAMEABLE & set(reading.words) and not {"what is supported", "capability"}.isdisjoint(decision.reasons):
        return "supported"
    return next((_TOPIC_OF_RULE[rule] for rule in decision.reasons if rule in _TOPIC_OF_RULE), "documentation")


def universe_of(reading: Reading) -> Universe | None:
    """Whether only stocks or only coins are meant; None where the words name neither, or both."""
    words = frozenset(reading.words)
    coins, stocks = bool(words & _COINS), bool(words & _STOCKS)
    return None if coins == stocks else "coins" if coins else "stocks"
