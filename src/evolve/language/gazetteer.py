"""Which instruments are there, and by which names do people call them?

Companies of the S&P 500 and the Nasdaq-100 and other much-asked ones, ETFs, coins and currency pairs, written down by hand (2025);
a symbol that is missing can still be asked for in upper case or as a cashtag. Names that are also words carry an ambiguity, and the
context decides (see `symbols`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from evolve.language.lexicon import PhraseIndex, lexicon, model_names, table, words_of
from evolve.language.similarity import FuzzyVocabulary

Kind = Literal["share", "etf", "coin", "currency_pair"]
Ambiguity = Literal["none", "mostly_name", "mostly_word"]

FIAT = frozenset(
    "usd eur gbp jpy chf aud cad nzd cny cnh hkd sgd sek nok dkk mxn zar try brl inr krw pln czk huf thb ils xau xag".split()
)
STABLECOINS = frozenset({"usdt", "usdc", "busd", "fdusd", "tusd", "dai"})
# Longest first, so that BTCFDUSD is not read as BTCFD in dollars.
COIN_QUOTES = (
    "fdusd",
    "usdt",
    "usdc",
    "busd",
    "tusd",
    "usd",
    "eur",
    "gbp",
    "jpy",
    "try",
    "brl",
    "krw",
    "aud",
    "btc",
    "eth",
    "bnb",
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something with a price. symbol: as the market layer wants it (AAPL, BTCUSDT, EURUSD); name: as people say it."""

    symbol: str
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Alias:
    symbol: str
    ambiguity: Ambiguity


_AMBIGUITY: dict[str, Ambiguity] = {"~": "mostly_name", "!": "mostly_word"}


@dataclass(frozen=True)
class Gazetteer:
    """All instruments. tickers: lower-case share and ETF tickers and coin codes to symbols; aliases: names, by their words."""

    instruments: dict[str, Instrument]
    tickers: dict[str, str]
    coins: frozenset[str]
    aliases: PhraseIndex[Alias]
    ticker_words: frozenset[str]
    acronyms: frozenset[str]

    def __contains__(self, symbol: str) -> bool:
        """Whether the symbol is one we know, or a pair made of parts we know."""
        return symbol in self.instruments or self.pair(symbol.lower()) is not None

    def is_coin(self, symbol: str) -> bool:
        """Whether the symbol is a coin in some money: BTCUSDT, or a pair such as ETHEUR."""
        known = self.instruments.get(symbol)
        if known is not None:
            return known.kind == "coin"
        return self.pair(symbol.lower()) is not None and symbol[:3].lower() not in FIAT

    def pair(self, word: str) -> str | None:
        """`ethusdt` → ETHUSDT, `eurusd` → EURUSD; None when the word is not base and quote run together."""
        if not 5 <= len(word) <= 12:
            return None
        for quote in COIN_QUOTES:
            base = word[: -len(quote)]
            if word.endswith(quote) and base != quote and base in self.coins:
                return word.upper()
        if len(word) == 6 and word[:3] != word[3:] and word[:3] in FIAT and word[3:] in FIAT:
            return word.upper()
        return None


@cache
def gazetteer() -> Gazetteer:
    instruments: dict[str, Instrument] = {}
    tickers: dict[str, str] = {}
    coins: set[str] = set()
    aliases: PhraseIndex[Alias] = PhraseIndex()

    def add_names(symbol: str, names: list[str]) -> None:
        for name in names:
            ambiguity = _AMBIGUITY.get(name[0], "none")
            words = words_of(name.lstrip("~!"))
            aliases.add(words, Alias(symbol, ambiguity))

    sources: tuple[tuple[str, Kind], ...] = (("companies.tsv", "share"), ("etfs.tsv", "etf"))
    for file, kind in sources:
        for ticker, names in table(file):
            title = names[0].lstrip("~!") if names else ticker
            instruments[ticker] = Instrument(ticker, kind, title)
            tickers[ticker.lower()] = ticker
            add_names(ticker, names)
    for code, names in table("coins.tsv"):
        symbol = f"{code}USDT"
        instruments[symbol] = Instrument(symbol, "coin", names[0].lstrip("~!") if names else code)
        coins.add(code.lower())
        # DASH is DoorDash's and AR Antero's: a share keeps its ticker, the coin is asked for by name or as a pair.
        tickers.setdefault(code.lower(), symbol)
        add_names(symbol, names)
    for pair, names in table("fx.tsv"):
        instruments[pair] = Instrument(pair, "currency_pair", names[0])
        add_names(pair, names)
    words = dict(table("words.tsv"))
    return Gazetteer(
        instruments,
        tickers,
        frozenset(coins),
        aliases,
        frozenset(words["word"]),
        frozenset(words["acronym"]),
    )


@cache
def spelling() -> FuzzyVocabulary:
    """Words that a mistyped one may have been meant as: names, models, and the words of intents."""
    return FuzzyVocabulary(_own_words())


@cache
def _own_words() -> frozenset[str]:
    return frozenset(gazetteer().aliases.words() | model_names().words() | lexicon().words())


@cache
def correct_words() -> frozenset[str]:
    """Words that look like a slip of one of ours but are words themselves: apply (apple), being (boeing), weather (ether)."""
    return _own_words().union(dict(table("not_typos.tsv"))["word"])
