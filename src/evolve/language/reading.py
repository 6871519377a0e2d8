"""What stands in the query, before anyone decides what it asks? Tokens, concepts, instruments, models and times in their places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from evolve.language.gazetteer import correct_words, gazetteer, spelling
from evolve.language.lexicon import Mark, lexicon, marks_of, model_names
from evolve.language.numbers import TimeReading, read_time
from evolve.language.similarity import SHORTEST_FUZZY
from evolve.language.symbols import Mention, find_mentions
from evolve.language.text import Token, tokenize

_MODEL_ID = re.compile(r"model_\w+")
MOST_MENDED = 12  # words: a text with more unknown ones is not a query with typos

# Words that carry no topic of their own, so that what remains unknown is the topic.
FUNCTION_WORDS = frozenset(
    """a an the and or but if of to in on at by for with from into over under about as than then there here so too very just only
    i me my mine we us our you your he she it its they them their this that these those one ones some any all each every both
    is are was were be been being am do does did done have has had having can could will would should may might must shall let
    who whom what which when where why how not no yes please pls plz hey ok okay also now today still yet already more most less
    least much many few lot lots bit really actually maybe perhaps again ever never always usually s t re ve ll d m don doesn
    didn isn aren wasn won wouldn couldn shouldn can want wants wanna need needs like get got give gimme go goes going gonna take
    make makes made put think know tell say says said see look sure thing things something anything everything someone anyone
    way kind sort up down out off between after before during while because since until till through per via versus vs good bad
    nice great big small large little high low long short first last next past new old same different other another own time
    times day days week weeks month months year years hour hours minute minutes run runs running start stop try help im ive id
    whether compared towards against using based given regarding around within without across among dont cant wont thats theres
    el la los las un una unos unas de del al y o u e en con por para sin sobre entre hasta desde que cual como cuando donde quien
    es son esta estan este esto ese esos estos ser estar fue era hay ha han he me te se le lo les nos mi mis tu tus su sus yo ella
    si no muy mas pero ya ahora hoy favor puedo puede tengo debo
    der die das den dem des ein eine einen einem einer und oder aber von vom zu zum zur im in am an auf aus bei mit nach fur uber
    ist sind war waren sein bin hat habe haben wird werden wurde kann konnen konnte soll sollte muss ich du er sie es wir ihr mir
    mich dir dich mein meine meinen dein deine sich nicht kein keine noch schon nur auch so wie was wer wo wann warum dieser diese
    dieses bitte jetzt gerade man doch denn mal dafur
    le la les un une des du de d l et ou mais ni a au aux en dans sur sous avec sans pour par entre chez est sont etait etre suis
    ai as avons avez ont je tu il elle on nous vous ils elles me te se mon ma mes ton ta tes son sa ses ce cet cette ces qui que
    quoi quand comment pas ne plus moins tres bien si y merci svp plait s il t maintenant peux peut dois doit faut moi
    的 了 吗 呢 吧 是 在 我 你 他 她 它 有 和 与 把 给 对 用 请 一 个 下 上 中 这 那 就 都 也 还 要 会 能 想 到 从 为 以 及 啊 么 现 在 最 近
    """.split()
)


@dataclass(frozen=True)
class ModelMention:
    """A model family or identifier at tokens start..end; negated: ruled out by the user."""

    name: str
    start: int
    end: int
    negated: bool
    identifier: bool


@dataclass(frozen=True)
class Reading:
    """One query, or a stretch of it. mended: token indices whose typo was corrected; own: symbols the user has bars of."""

    query: str
    tokens: tuple[Token, ...]
    words: tuple[str, ...]
    marks: tuple[Mark, ...]
    mentions: tuple[Mention, ...]
    models: tuple[ModelMention, ...]
    time: TimeReading
    mended: frozenset[int]
    own: frozenset[str] = frozenset()

    @cached_property
    def concepts(self) -> frozenset[str]:
        return frozenset().union(*(mark.concepts for mark in self.marks))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The instruments asked about, in order, once each."""
        return tuple(dict.fromkeys(mention.symbol for mention in self.mentions if not mention.excluded))

    @cached_property
    def excluded_symbols(self) -> frozenset[str]:
        return frozenset(mention.symbol for mention in self.mentions if mention.excluded)

    @cached_property
    def named_models(self) -> tuple[ModelMention, ...]:
        return tuple(model for model in self.models if not model.negated)

    @cached_property
    def unknown_words(self) -> int:
        """Words that are neither ours nor grammar: what a query out of scope is made of."""
        covered = {at for mark in self.marks for at in range(mark.start, mark.end)}
        covered |= {at for mention in self.mentions for at in range(mention.start, mention.end)}
        covered |= {at for model in self.models for at in range(model.start, model.end)}
        covered |= {at for period in self.time.periods for at in range(period.start, period.end)}
        covered |= {at for frame in self.time.timeframes for at in range(frame.start, frame.end)}
        return sum(
            token.kind in ("word", "ideograph")
            and at not in covered
            and not token.is_clitic
            and self.words[at] not in FUNCTION_WORDS
            for at, token in enumerate(self.tokens)
        )

    def slice(self, start: int, end: int) -> Reading:
        """The part of the reading between two tokens."""
        return read_tokens(
            self.query, self.tokens[start:end], self.words[start:end], _shift(self.mended, start, end), self.own
        )


def _shift(indices: frozenset[int], start: int, end: int) -> frozenset[int]:
    return frozenset(index - start for index in indices if start <= index < end)


def read(query: str, own: frozenset[str] = frozenset()) -> Reading:
    """Tokens with typos mended, and everything found in them. own: symbols of imported bars, never taken for typos."""
    tokens = tokenize(query)
    words, mended = _mend(tokens, own)
    return read_tokens(query, tokens, words, mended, own)


def read_tokens(
    query: str,
    tokens: tuple[Token, ...],
    words: tuple[str, ...],
    mended: frozenset[int],
    own: frozenset[str] = frozenset(),
) -> Reading:
    marks = marks_of(words, tokens)
    mentions = find_mentions(tokens, words, marks, mended=mended, own=own)
    taken = frozenset(at for mention in mentions for at in range(mention.start, mention.end))
    marks = tuple(mark for mark in marks if taken.isdisjoint(range(mark.start, mark.end)))
    models = _find_models(tokens, words, marks, taken)
    time = read_time(
        tokens,
        words,
        marks,
        symbol_ends=frozenset(mention.end for mention in mentions),
        taken=taken | {at for model in models for at in range(model.start, model.end)},
    )
    in_model = frozenset(at for model in models for at in range(model.start, model.end))
    marks = tuple(mark for mark in marks if in_model.isdisjoint(range(mark.start, mark.end)))
    return Reading(query, tokens, words, marks, mentions, models, time, mended, own)


def _mend(tokens: Sequence[Token], own: frozenset[str]) -> tuple[tuple[str, ...], frozenset[int]]:
    words = [token.folded for token in tokens]
    mended: set[int] = set()
    known = gazetteer()
    tried = 0
    for at, token in enumerate(tokens):
        word = token.folded
        if token.kind != "word" or len(word) < SHORTEST_FUZZY or token.is_clitic or not word.isalpha():
            continue
        if word in FUNCTION_WORDS or word in correct_words() or word in known.tickers or known.pair(word) is not None:
            continue
        if lexicon().knows(word) or token.text.upper() in own:
            continue
        tried += 1
        if tried > MOST_MENDED:
            break
        nearest = spelling().nearest(word)
        if nearest is not None:
            words[at] = nearest[0]
            mended.add(at)
    return tuple(words), frozenset(mended)


def _find_models(
    tokens: Sequence[Token], words: Sequence[str], marks: Sequence[Mark], taken: frozenset[int]
) -> tuple[ModelMention, ...]:
    found: list[ModelMention] = []
    at = 0
    while at < len(tokens):
        if at in taken or tokens[at].kind == "mark":
            at += 1
            continue
        if tokens[at].kind == "identifier" or _MODEL_ID.fullmatch(tokens[at].folded):
            found.append(ModelMention(tokens[at].text, at, at + 1, _negated(at, words, marks), True))
            at += 1
            continue
        length, families = model_names().longest(words, at)
        if length and not tokens[at].is_clitic and not _is_news_channel(at, tokens):
            found.append(ModelMention(families[0], at, at + length, _negated(at, words, marks), False))
            at += length
        else:
            at += 1
    return tuple(found)


def _is_news_channel(at: int, tokens: Sequence[Token]) -> bool:
    after = tokens[at + 1].folded if at + 1 < len(tokens) else ""
    return tokens[at].folded == "cnn" and after in ("says", "said", "news", "reports", "reported", "article")


def _negated(at: int, words: Sequence[str], marks: Sequence[Mark]) -> bool:
    articles = (
        "a",
        "an",
        "the",
        "un",
        "una",
        "ein",
        "eine",
        "einen",
        "kein",
        "keine",
        "une",
        "any",
        "use",
        "using",
        "le",
        "el",
        "de",
    )
    for mark in marks:
        if mark.end > at:
            break
        between = words[mark.end : at]
        if mark.concepts & {"NOT", "EXCEPT"} and len(between) <= 2 and all(word in articles for word in between):
            return True
    return False
