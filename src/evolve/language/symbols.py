"""Which instruments does the query name, and which does it rule out?

Names and tickers are looked up; the context decides where a word is both (NOW, Target, T): a cashtag, a following "stock", a
company's name, or capitals where an instrument is expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.language.gazetteer import COIN_QUOTES, FIAT, STABLECOINS, Alias, Gazetteer, correct_words, gazetteer
from evolve.language.lexicon import Mark, model_names
from evolve.language.text import Token, is_shouting


@dataclass(frozen=True, slots=True)
class Mention:
    """One instrument named at tokens start..end. excluded: ruled out by the user; known: in the gazetteer; fuzzy: a typo mended."""

    symbol: str
    start: int
    end: int
    excluded: bool = False
    known: bool = True
    fuzzy: bool = False
    ambiguous: bool = False


_SLOT_BEFORE = frozenset(
    """for on of with about into in vs versus or and is are does did do has was were will than between to buy buying sell selling
    short shorting long longing hold holding own owns owning dump add adding accumulate trade trading analyze analyse analysing
    plot chart draw graph visualize visualise backtest evaluate assess validate retrain train tune predict forecast compare like
    against at from
    para de en con sobre por comprar vender analiza entrena reentrena compara
    fur auf bei von mit uber zu um gegen kaufen verkaufen analysiere trainiere
    pour sur avec acheter vendre analyse entraine""".split()
)
_SHARE_AFTER = frozenset(
    """stock stocks share shares equity earnings ticker aktie aktien accion acciones action actions titres versus vs calls puts
    dividend dividends""".split()
)
_FOLLOWS = frozenset(
    """a an at on over for this today tomorrow yesterday now vs versus or and in with doing is last past next since trending
    going long short buy sell hold hourly daily weekly right still worth overvalued undervalued using by during through until
    s un una en para o y und oder am im auf fur mit ein et ou sur pour avec performing performed perform do did moving
    stock stocks share shares price chart candles bars bullish bearish if when because rising falling dropping""".split()
)  # fmt: skip
_ARTICLES = frozenset("a an the this that every each my your our no un une una ein eine la le el der die das".split())
_STOCK_WORDS = frozenset(
    """stock stocks share shares equity equities ticker corp corporation inc aktie aktien accion acciones action actions chart
    price earnings lstm model models position calls puts bonds holdings candles xgboost forecast signal backtest""".split()
)
_MODIFIER_ENDS = frozenset(
    """heavy sensitive like style based linked related driven focused adjacent neutral free weighted centric rich exposed
    correlated type esque trained backed tracking only dominated agnostic specific aware inspired""".split()
)
_JOINERS = frozenset("and or nor & / , y o ni und oder et ou ni 和 或 、".split())
_ARTICLES_SKIPPED = frozenset("the a any el la los las der die das den le les anything".split())
_PREPOSITIONS_SKIPPED = _ARTICLES_SKIPPED | frozenset("on for about in fur bei para en pour sur".split())


class _Finder:
    def __init__(
        self,
        tokens: Sequence[Token],
        words: Sequence[str],
        marks: Sequence[Mark],
        mended: frozenset[int],
        own: frozenset[str] = frozenset(),
    ) -> None:
        self.own = own
        self.tokens = tokens
        self.words = words
        self.mended = mended
        self.known: Gazetteer = gazetteer()
        self.shouting = is_shouting(
            tuple(tokens),
            self.known.acronyms | (self.known.tickers.keys() - self.known.ticker_words) | self.known.coins,
        )
        self.mark_at: dict[int, Mark] = {at: mark for mark in marks for at in range(mark.start, mark.end)}
        self.marks = marks

    def find(self) -> list[Mention]:
        found: list[Mention] = []
        at = 0
        while at < len(self.tokens):
            mention = self._mention(at, found[-1] if found else None)
            if mention is None:
                at += 1
                continue
            if not self._is_modifier(mention):
                found.append(mention)
            at = mention.end
        return found

    def _mention(self, at: int, previous: Mention | None) -> Mention | None:
        token = self.tokens[at]
        if token.kind == "cashtag":
            return self._cashtag(at)
        if token.text.lower() == "über":  # German for over; folded, it would be a company
            return None
        if token.kind in ("mark", "identifier") or token.is_clitic or self._is_file_name(at):
            return None
        return self._own(at) or self._longer_name(at) or self._pair(at) or self._name(at) or self._ticker(at, previous)

    def _own(self, at: int) -> Mention | None:
        """A symbol of the user's bars, exactly as imported; one that is also a word needs capitals, or is left to the rules for words."""
        word = self.tokens[at].folded
        # Letters and digits are tokens of their own: AAPL2 is two, written together.
        text, found = "", None
        for end in range(at, min(at + 6, len(self.tokens))):
            if end > at and self.tokens[end].before:
                break
            text += self.tokens[end].text.upper()
            is_word = end == at and (word in self.known.ticker_words or word in correct_words())
            in_capitals = self.tokens[at].is_upper and not self.shouting and len(word) > 1
            if text in self.own and (in_capitals or not is_word):
                found = Mention(text, at, end + 1)
        return found

    def _longer_name(self, at: int) -> Mention | None:
        """AAPL2 is not AAPL: a ticker with digits written to it is another symbol, known or not."""
        glued = at + 1 < len(self.tokens) and self.tokens[at + 1].kind == "number" and not self.tokens[at + 1].before
        word = self.words[at]
        if not glued or len(word) < 3 or word not in self.known.tickers or not self.tokens[at].is_upper:
            return None
        return Mention(self.tokens[at].text + self.tokens[at + 1].text.upper(), at, at + 2, known=False)

    def _is_file_name(self, at: int) -> bool:
        """eurusd.jpg names a picture."""
        return (
            at + 2 < len(self.words)
            and self.words[at + 1] == "."
            and self.tokens[at + 2].before == ""
            and self.words[at + 2] in ("png", "jpg", "jpeg", "webp", "gif", "csv", "parquet", "pdf")
        )

    def _cashtag(self, at: int) -> Mention | None:
        code = self.words[at][1:]
        if "." in code or "-" in code:
            return Mention(code.upper().replace(".", "-"), at, at + 1)
        pair = self.known.pair(code)
        symbol = pair or self.known.tickers.get(code) or (f"{code.upper()}USDT" if code in self.known.coins else None)
        return Mention(symbol or code.upper(), at, at + 1, known=symbol is not None)

    def _pair(self, at: int) -> Mention | None:
        word, token = self.words[at], self.tokens[at]
        if "_" in word:
            left, _, right = word.partition("_")
            if self._is_base(left) and self._is_quote(right):
                return Mention((left + right).upper(), at, at + 1)
            return None
        pair = self.known.pair(word)
        if pair is not None:
            return Mention(pair, at, at + 1)
        if token.is_upper and word.endswith("usdt") and 6 <= len(word) <= 14:
            return Mention(word.upper(), at, at + 1, known=False)
        base = self._base(at)
        if base is None:
            return None
        for gap in (1, 2):
            end = at + gap
            if end >= len(self.tokens):
                return None
            quote, between = self.words[end], self.tokens[end].before
            if not self._is_quote(quote) or quote == base:
                continue
            if gap == 1 and between == "-":
                return Mention((base + quote).upper(), at, end + 1)
            apart = gap == 1 and between == " " and quote in (FIAT | STABLECOINS) and self._both_codes(at, end)
            slashed = gap == 2 and self.words[at + 1] in ("/", ":") and (base, quote) != ("btc", "eth")
            if apart or slashed:
                return Mention((base + quote).upper(), at, end + 1)
        return None

    def _both_codes(self, at: int, end: int) -> bool:
        # "try" and "sol" are words; run-apart pairs of them count only in capitals.
        plain = {"try", "sol", "near", "one", "link", "hot", "all", "dash"}
        return (self.tokens[at].is_upper and self.tokens[end].is_upper) or not {self.words[at], self.words[end]} & plain

    def _base(self, at: int) -> str | None:
        word = self.words[at]
        if self._is_base(word):
            return word
        length, values = self.known.aliases.longest(self.words, at)
        if length == 1 and values[0].symbol.endswith("USDT"):
            return values[0].symbol.removesuffix("USDT").lower()
        return None

    def _is_base(self, word: str) -> bool:
        return word in self.known.coins or word in FIAT

    def _is_quote(self, word: str) -> bool:
        return word in COIN_QUOTES or word in FIAT or word in STABLECOINS

    def _name(self, at: int) -> Mention | None:
        length, values = self.known.aliases.longest(self.words, at)
        while length:
            alias = min(values, key=lambda value: ("none", "mostly_name", "mostly_word").index(value.ambiguity))
            end = at + length
            fuzzy = any(index in self.mended for index in range(at, end))
            if self._reads_as_instrument(alias, at, end, fuzzy=fuzzy):
                return Mention(alias.symbol, at, end, fuzzy=fuzzy, ambiguous=alias.ambiguity == "mostly_word")
            if length == 1:
                return None
            length, values = self.known.aliases.longest(self.words[: end - 1], at)
        return None

    def _reads_as_instrument(self, alias: Alias, at: int, end: int, *, fuzzy: bool) -> bool:
        mark = self.mark_at.get(at)
        inside_phrase = mark is not None and (mark.start < at or mark.end > end)
        if (
            inside_phrase
            and mark is not None
            and mark.concepts & {"OOS", "META_WORD", "MASK", "INJECT", "ILLEGAL", "STATE"}
        ):
            return False
        if model_names().longest(self.words, at)[0] > end - at:
            return False  # Facebook Prophet is a model
        token = self.tokens[at]
        before = self.words[at - 1] if at else ""
        after = self.words[end] if end < len(self.words) else ""
        ambiguity = alias.ambiguity
        written_as_name = token.is_capitalised and not self.shouting
        if ambiguity == "mostly_name" and self.words[at] == "meta" and not written_as_name and not fuzzy:
            ambiguity = "mostly_word"
        if ambiguity == "none":
            return True
        if after in _SHARE_AFTER or (after in _STOCK_WORDS and (written_as_name or before not in ("price", "stop"))):
            return True
        following = self.mark_at.get(end)
        if following is not None and "OOS" in following.concepts:
            return False
        if ambiguity == "mostly_name":
            if before in ("a", "an", "some", "any", "every", "un", "une", "ein", "eine"):
                return False
            if before in ("the", "my", "your"):
                # "the Apple xgboost" is the company's; "the Amazon" alone is a river.
                return following is not None or model_names().longest(self.words, end)[0] > 0 if after else False
            return True
        if fuzzy:
            return False
        slot_before = before in _SLOT_BEFORE or before in _JOINERS
        can_end = end >= len(self.tokens) or self.tokens[end].kind in ("mark", "number") or after in _FOLLOWS
        if written_as_name:
            starts = at == 0 or self.tokens[at - 1].kind == "mark"
            if starts:
                return after in ("vs", "versus", "or", "and", "s") or (at > 0 and can_end and before in _JOINERS)
            return slot_before and can_end and before not in _ARTICLES
        if before == "is" and after == "a" and {"buy", "sell", "hold", "short"} & set(self.words[end + 1 : end + 3]):
            return True
        acted_on = self.mark_at.get(at - 1)
        return (
            acted_on is not None
            and bool(acted_on.concepts & {"BUY", "SELL", "SHORT", "LONG"})
            and (can_end and after not in ("a", "going", "at"))
        )

    def _ticker(self, at: int, previous: Mention | None) -> Mention | None:
        word, token = self.words[at], self.tokens[at]
        if token.kind != "word" or at in self.mended:
            return None
        # A share class: BRK.B, BRK-B, BF/B
        if word in ("brk", "bf") and at + 1 < len(self.words):
            step = 1 if self.tokens[at + 1].before == "-" else 2
            if at + step < len(self.words) and self.words[at + step] in ("a", "b"):
                return Mention(f"{word.upper()}-{self.words[at + step].upper()}", at, at + step + 1)
        symbol = self.known.tickers.get(word)
        capital = token.is_upper and not self.shouting
        before = self.words[at - 1] if at else ""
        after = self.words[at + 1] if at + 1 < len(self.words) else ""
        last = at + 1 >= len(self.tokens)
        can_end = last or self.tokens[at + 1].kind in ("mark", "number") or after in _FOLLOWS or after in _STOCK_WORDS
        slot_before = before in _SLOT_BEFORE or (previous is not None and before in _JOINERS and previous.end >= at - 2)
        if before == "s" and at >= 2 and self.words[at - 2] in ("how", "what", "where", "why", "who"):
            slot_before = True
        followed_by_share = after in _SHARE_AFTER and after not in (
            "calls",
            "puts",
            "earnings",
            "equity",
            "action",
            "actions",
        )
        tied_to_next = not last and self.tokens[at + 1].before == "-"
        mark = self.mark_at.get(at)
        if (
            mark is not None
            and mark.end - mark.start > 1
            and mark.concepts & {"MASK", "OOS", "META_WORD", "INJECT", "ORDER"}
        ):
            return None
        if model_names().longest(self.words, at)[0]:
            return None
        doubtful = word in self.known.ticker_words or word in self.known.acronyms or len(word) == 1
        if symbol is None:
            return self._unknown(
                at, capital=capital, doubtful=doubtful, slot_before=slot_before, followed=followed_by_share
            )
        if doubtful:
            if after == "stocks":  # "IT stocks" are a sector's, "IT stock" is Gartner's
                return None
            if (
                followed_by_share
                and before not in ("which", "what", "any", "these", "those")
                and (capital or self._names_share(at))
            ):
                return Mention(symbol, at, at + 1, ambiguous=True)
            starts = at == 0 and after in ("vs", "versus")
            if capital and can_end and not tied_to_next and (slot_before or starts) and before not in _ARTICLES:
                return Mention(symbol, at, at + 1, ambiguous=True)
            return None
        if capital or len(word) >= 3:
            return Mention(symbol, at, at + 1)
        if slot_before and can_end:
            return Mention(symbol, at, at + 1)
        return None

    def _names_share(self, at: int) -> bool:
        """Whether a lower-case word before "stock" is a name there ("now stock", "key shares") and not an adjective."""
        word = self.words[at]
        ordinary = {"all", "on", "it", "are", "so", "a", "one", "well", "tech", "team", "old", "good", "real", "an", "you", "has",
                    "for", "or", "de", "la", "las", "el", "des", "les", "me", "low", "cost", "fast", "hot", "growth", "ai", "out",
                    "top", "us", "uk", "eu", "ev", "chip", "oil", "gold", "is", "its", "in", "of", "red", "be", "do", "di", "der",
                    "this", "that", "most", "best", "new", "energy", "bank", "safe", "live", "open", "go", "key"}  # fmt: skip
        return word not in ordinary and word not in self.known.acronyms

    def _unknown(self, at: int, *, capital: bool, doubtful: bool, slot_before: bool, followed: bool) -> Mention | None:
        token, word = self.tokens[at], self.words[at]
        readable = capital and 2 <= len(word) <= 5 and word.isascii() and word.isalpha() and not doubtful
        if not readable or at in self.mark_at or word in FIAT or word in STABLECOINS:
            return None
        if not (slot_before or followed) or token.before == "-":
            return None
        return Mention(word.upper(), at, at + 1, known=False)

    def _is_modifier(self, mention: Mention) -> bool:
        if mention.end >= len(self.tokens):
            return False
        after = self.tokens[mention.end]
        return after.before == "-" and after.folded in _MODIFIER_ENDS


def find_mentions(
    tokens: Sequence[Token],
    words: Sequence[str],
    marks: Sequence[Mark],
    *,
    mended: frozenset[int],
    own: frozenset[str] = frozenset(),
) -> tuple[Mention, ...]:
    """All instruments of the query in order, those ruled out marked so.

    words: the folded tokens with typos mended; mended: the indices of those that were; own: symbols of the user's bars.
    """
    found = _Finder(tokens, words, marks, mended, own).find()
    return tuple(_with_scope(found, tokens, words, marks))


_WIDE = frozenset({"ignore", "ignoring", "forget", "disregard", "never", "nevermind", "olvida", "vergiss", "oublie"})
_CLAUSE_ENDS = frozenset({"and", "but", "just", "instead", "then", "y", "pero", "und", "aber", "et", "mais"})


def _with_scope(
    found: Sequence[Mention], tokens: Sequence[Token], words: Sequence[str], marks: Sequence[Mark]
) -> list[Mention]:
    out: list[Mention] = []
    for mention in found:
        before = out[-1] if out else None
        excluded = _ruled_out(mention, tokens, words, marks) or (
            before is not None and before.excluded and _chained(before, mention, words)
        )
        out.append(
            Mention(
                mention.symbol, mention.start, mention.end, excluded, mention.known, mention.fuzzy, mention.ambiguous
            )
        )
    return out


def _chained(before: Mention, mention: Mention, words: Sequence[str]) -> bool:
    between = words[before.end : mention.start]
    return 0 < len(between) <= 2 and all(word in _JOINERS and word != "," for word in between)


def _ruled_out(mention: Mention, tokens: Sequence[Token], words: Sequence[str], marks: Sequence[Mark]) -> bool:
    if mention.start and tokens[mention.start].before == "-" and words[mention.start - 1] in ("non", "ex", "anti"):
        return True
    for mark in marks:
        if mark.end > mention.start:
            break
        between = words[mark.end : mention.start]
        if "EXCEPT" in mark.concepts and words[mark.start] in _WIDE:
            if len(between) <= 8 and not any(word in _CLAUSE_ENDS or word in ".,;:!?" for word in between):
                return True
            continue
        if len(between) > 2:
            continue
        if "EXCEPT" in mark.concepts and all(word in _ARTICLES_SKIPPED for word in between):
            return True
        if "NOT" in mark.concepts and all(word in _PREPOSITIONS_SKIPPED for word in between):
            inverted = words[mark.start] in ("isn", "isnt", "aren", "arent") and (
                mark.start == 0 or words[mark.start - 1] not in ("that", "which", "it")
            )
            if not inverted:
                return True
    return False
