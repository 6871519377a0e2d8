"""May this commentary of a language model be shown? Only if it holds no figure that was not computed, and none turned round.

The model writes no digits: where a figure belongs it writes the figure's id, `{{e17}}`, and code puts the value there. Names that
hold digits have ids too, `{{n1}}`. What is left to get wrong is checked: ids that do not exist, numbers in words, a direction against
the sign of its figure, comparisons the wrong way round, other symbols, and claims that the verdict does not bear.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from pydantic import Field

from evolve.evidence import Evidence, render, render_value
from evolve.language.gazetteer import gazetteer
from evolve.language.model.consultant import Strict
from evolve.language.reading import read

View = Literal["favourable", "unfavourable", "unclear"]
MOST_SENTENCES = 8
LONGEST_SENTENCE = 400
SLOT = re.compile(r"\{\{\s*([en]\d{1,4})\s*\}\}")


class Narration(Strict):
    """What the model is asked for. view: its own reading of the evidence as a whole."""

    sentences: list[str] = Field(min_length=1, max_length=MOST_SENTENCES)
    view: View


class Opinion(Strict):
    view: View


@dataclass(frozen=True, slots=True)
class Ground:
    """What a commentary may rest on. names: id → name with digits in it (a model's id); action: BUY, SELL, HOLD or none."""

    figures: Mapping[str, Evidence]
    names: Mapping[str, str] = field(default_factory=dict)
    symbols: frozenset[str] = frozenset()
    edge: bool = False
    action: str | None = None


def ground_of(
    figures: Sequence[Evidence], *, names: Sequence[str], symbols: Sequence[str], edge: bool, action: str | None
) -> Ground:
    """The ground of an answer: its known figures by id, and ids for the names that a model cannot write without digits."""
    numbered = [name for name in dict.fromkeys(names) if any(map(_is_numeric, name))]
    return Ground(
        {item.id: item for item in figures if item.value is not None},
        {f"n{number}": name for number, name in enumerate(numbered, 1)},
        frozenset(symbols),
        edge,
        action,
    )


def faults_of(sentences: Sequence[str], ground: Ground) -> list[str]:
    """Why these sentences may not be shown, one line each; empty when they may."""
    found: list[str] = []
    for number, sentence in enumerate(sentences, 1):
        found += [f"sentence {number}: {fault}" for fault in _faults(sentence, ground)]
    return found


def reported_faults_of(sentences: Sequence[str], ground: Ground) -> list[str]:
    """The same for what a text of others is said to say: its claims are its own, but figures and directions are checked alike."""
    found: list[str] = []
    for number, sentence in enumerate(sentences, 1):
        faults = list(_signs(sentence, ground)) or [*_orders(sentence), *_directions(sentence, ground)]
        found += [f"sentence {number}: {fault}" for fault in faults]
    return found


def rendered(sentence: str, ground: Ground) -> str:
    """The sentence with its figures. Behind a word that says the direction the sign is left out: "a loss of 5.0 %"."""
    parts: list[str] = []
    end = 0
    for match in SLOT.finditer(sentence):
        parts.append(sentence[end : match.start()])
        parts.append(_shown(match.group(1), ground, sentence[: match.start()]))
        end = match.end()
    return " ".join("".join((*parts, sentence[end:])).split())


def _shown(id: str, ground: Ground, before: str) -> str:
    if id in ground.names:
        return ground.names[id]
    item = ground.figures[id]
    last = [word.casefold() for word in re.findall(r"[A-Za-z]+", SLOT.sub(" ; ", before).rpartition(";")[2])[-3:]]
    if isinstance(item.value, int | float) and item.value < 0 and _DOWN_BY & set(last):
        return render_value(-item.value, item.unit)
    return render(item)


# --- what may stand in a sentence ---

_NUMBER_WORDS = frozenset(
    """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions billion billions
    trillion trillions dozen dozens twice thrice double doubles doubled doubling triple triples tripled tripling quadruple
    quadrupled half halves halved thirds quarters tenfold twofold threefold percent percentage pct bps bp
    dos tres cuatro cinco seis siete ocho nueve diez veinte treinta cuarenta cincuenta cien ciento mil millones doble mitad
    zwei drei vier funf sechs sieben acht neun zehn zwanzig dreissig vierzig funfzig hundert tausend prozent doppelt halfte
    deux trois quatre cinq sept huit neuf dix vingt trente quarante cinquante cent mille pourcent moitie
    zero nought third fourth fifth tenth tenths hundredth""".split()
)
_UP = frozenset(
    """rose rise rises rising risen gained gain gains gaining grew grow grows growing grown climbed climb climbs climbing advanced
    advance advances advancing up higher positive profit profits profitable earned rallied rally increased increase increases
    increasing appreciated jumped surged above""".split()
)
_DOWN = frozenset(
    """fell fall falls falling fallen lost lose loses losing loss losses dropped drop drops dropping declined decline declines
    declining down lower negative shrank shrink shrunk decreased decrease decreases decreasing slid slipped sank plunged tumbled
    depreciated below unprofitable""".split()
)
# Words that take a size and not a signed figure: "fell 5 %", never "fell -5 %".
_DOWN_BY = _DOWN - {"negative", "lower", "below", "unprofitable"} | {"below", "under", "lower"}
_NO = frozenset(
    "not no never neither nor without hardly cannot didn doesn isn wasn none nothing failed fails rather".split()
)
_MORE = frozenset(
    "beat beats beating outperformed outperforms outperforming exceeded exceeds exceeding surpassed ahead better".split()
)
_LESS = frozenset(
    "trailed trails trailing lagged lags lagging underperformed underperforms underperforming behind worse".split()
)
_THAN_MORE, _THAN_LESS = frozenset({"higher", "more", "greater", "better", "above"}), frozenset({"lower", "less", "smaller", "worse", "below"})  # fmt: skip
# Figures whose sign is a direction; of others (a p-value, a share of bars) a direction word says nothing that could be checked.
_SIGNED = re.compile(
    r"return|sharpe|sortino|calmar|alpha|drawdown|skill|above_average|from_high|_pnl|profit|decision|trend"
)
_CLAUSE = re.compile(r"[,;:.!?()]|\b(?:while|but|whereas|although|though|against|compared|yet)\b")
_FORETELLS = re.compile(
    r"\b(?:will|shall|is going to|are going to|is set to|is bound to|is about to|guarantee[ds]?|certain to|sure to|cannot lose|risk[- ]free)\b",
    re.IGNORECASE,
)
# "in short" and "so long as" advise nothing: the two words are actions only where a position is meant.
_ADVISES = re.compile(
    r"\b(?:buy|sell)\b|\b(?:go|goes|going|be|is|stay|stays|staying|take|takes|a|should|to)\s+(?:a\s+)?(?:long|short)\b(?!\s+(?:time|while|way|stretch|period|history|run))",
    re.IGNORECASE,
)
_HOLDS = re.compile(
    r"\bbuy(?:ing)?[- ]and[- ]hold(?:ing)?\b|\bbuy_and_hold\b|\b(?:long|short)(?:er)?[- ](?:term|run|only)\b",
    re.IGNORECASE,
)
_EDGE = re.compile(
    r"\b(?:has|have|had|shows?|showed|demonstrates?|proves?|found|with|a|an|earned|is|are|clear|real|genuine)\s+(?:an?\s+|its\s+|real\s+|clear\s+|genuine\s+|true\s+)*(?:edge|skill|skilful|trustworthy|worth trusting|predictive power)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"https?:|www\.|[<>`\\|]|\]\(|\[\[|\$|€|£|¥|%|‰|[{}]")
_WORDS = re.compile(r"[^\W\d_]+")


def _faults(sentence: str, ground: Ground) -> Iterator[str]:
    signs = list(_signs(sentence, ground))
    yield from signs
    if any(fault.startswith((_NO_LENGTH, _NO_ID)) for fault in signs):
        return
    text = SLOT.sub(" ", sentence)
    yield from _claims(text, [_folded(word) for word in _WORDS.findall(text)], ground)
    yield from _names(text, ground)
    yield from _directions(sentence, ground)


_NO_LENGTH, _NO_ID = "it must have 1 to", "there is no"


def _signs(sentence: str, ground: Ground) -> Iterator[str]:
    """What no sentence may hold: numbers of its own, unknown ids, markup, signs that nobody sees, another language."""
    if len(sentence) > LONGEST_SENTENCE or not sentence.strip():
        yield f"{_NO_LENGTH} {LONGEST_SENTENCE} characters"
        return
    ids = [match.group(1) for match in SLOT.finditer(sentence)]
    unknown = [id for id in ids if id not in ground.figures and id not in ground.names]
    if unknown:
        yield f"{_NO_ID} {unknown[0]}"
        return
    text = SLOT.sub(" ", sentence)
    words = [_folded(word) for word in _WORDS.findall(text)]
    if any(map(_is_numeric, text)):
        yield "it holds a digit; write the id of a figure, such as {{e1}}, or leave the number out"
    spelled = next((word for word in words if word in _NUMBER_WORDS), None)
    if spelled is not None:
        yield f"“{spelled}” is a number in words; write the id of a figure or leave it out"
    if _MARKUP.search(text):
        yield "it holds a sign of markup, money or per cent; units come with the figures"
    if any(unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") for character in sentence):
        yield "it holds invisible characters"
    letters = [character for character in text if character.isalpha()]
    if sum(character.isascii() for character in letters) < 0.9 * len(letters):
        yield "it must be in English"


def _claims(text: str, words: Sequence[str], ground: Ground) -> Iterator[str]:
    if _FORETELLS.search(text):
        yield "it foretells or promises; say what was, not what will be"
    advised = {match.group().lower().split()[-1] for match in _ADVISES.finditer(_HOLDS.sub(" ", text))}
    allowed = {"BUY": {"buy", "long"}, "SELL": {"sell", "short"}}.get(ground.action or "", set())
    if advised - allowed and not _NO & set(words):
        yield f"it names an action (“{min(advised - allowed)}”) that the answer does not take"
    claim = _EDGE.search(text)
    if claim and not ground.edge and not _NO & set(words):
        yield f"“{claim.group()}” claims skill where the verdict is that there is none"


def _orders(text: str) -> Iterator[str]:
    if read(text).concepts & {"INJECT", "DESTROY", "TRANSFER", "ILLEGAL"}:
        yield "it gives orders to a system"


def _names(text: str, ground: Ground) -> Iterator[str]:
    """Symbols that the answer is not about, and orders to a system."""
    reading = read(text)
    if reading.concepts & {"INJECT", "DESTROY", "TRANSFER", "ILLEGAL", "ORDER"}:
        yield "it gives orders to a system"
    known = gazetteer()
    for mention in reading.mentions:
        said = [token.text for token in reading.tokens[mention.start : mention.end]]
        is_name = all(word[:1].isupper() for word in said) and not mention.fuzzy and not mention.ambiguous
        first = (
            mention.start == 0 and len(said) == 1 and not said[0].isupper()
        )  # any word begins a sentence with a capital
        if is_name and not first and mention.symbol in known and mention.symbol not in ground.symbols:
            yield f"{mention.symbol} is not what the answer is about"


# Whose direction is not that of their words.
_IDIOMS = (
    (re.compile(r"\b(?:gave|gives?|giving|given) up\b|\b(?:gave|gives?|giving|given) back\b", re.IGNORECASE), "lost"),
    (
        re.compile(
            r"\b(?:(?:made|makes?|summed|sums|follow) up|up to|boils? down to|comes? down to|broken down)\b",
            re.IGNORECASE,
        ),
        "is",
    ),
)


def _directions(sentence: str, ground: Ground) -> Iterator[str]:
    for idiom, plain in _IDIOMS:
        sentence = idiom.sub(plain, sentence)
    marked = SLOT.sub(lambda match: f" SLOT{match.group(1)} ", sentence)
    for clause in _CLAUSE.split(marked):
        words = re.findall(r"SLOT[en]\d+|[^\W\d_]+", clause)
        places = [(at, ground.figures[word[4:]]) for at, word in enumerate(words) if word[:5] == "SLOTe"]
        folded = ["" if word[:4] == "SLOT" else _folded(word) for word in words]
        yield from _misplaced(places, folded, ground)
        for at, item in places:
            fault = _against_its_sign(at, item, folded, [place for place, _ in places])
            if fault:
                yield fault
        yield from _compared(places, folded)


# What a figure may be called. A noun that stands before a figure of another kind gives it a wrong name.
_KINDS: dict[str, str] = {
    "volatility": "volatility", "sharpe": "sharpe", "sortino": "sortino", "calmar": "calmar", "drawdown": "drawdown",
    "rsi": "rsi", "alpha": "alpha", "exposure": "exposure", "turnover": "turnover", "volume": "volume",
    "return": "return", "returned": "return", "probability": "p_value|pbo|probability|coverage|rank", "coverage": "coverage",
}  # fmt: skip
_OWNER_WORDS = {"buy_and_hold": ("holding", "hold")}


def _misplaced(places: Sequence[tuple[int, Evidence]], words: Sequence[str], ground: Ground) -> Iterator[str]:
    """Figures under the name of another kind, or of another model where that one has such a figure of its own."""
    owners = {item.of for item in ground.figures.values()}
    previous = -1
    for at, item in places:
        own = words[previous + 1 : at]
        kind = next((_KINDS[word] for word in reversed(own) if word in _KINDS), None)
        if kind is not None and not re.search(kind, item.name):
            yield f"{item.id} is {item.name}, not what it is called here"
        behind = (
            words[at + 2 : at + 5] if words[at + 1 : at + 2] and words[at + 1] in ("of", "for", "from", "by") else ()
        )
        said = _owner(behind, owners) or _owner(own[::-1], owners)
        if (
            said is not None
            and said != item.of
            and any(other.of == said and other.name == item.name for other in ground.figures.values())
        ):
            yield f"{item.id} is that of {item.of}, not of {said}"
        previous = at


def _owner(words: Sequence[str], owners: set[str]) -> str | None:
    for word in words:
        for owner in owners:
            if word in _OWNER_WORDS.get(owner, (owner.casefold(),)):
                return owner
    return None


def _against_its_sign(at: int, item: Evidence, words: Sequence[str], places: Sequence[int]) -> str | None:
    """A word of direction that belongs to this figure and says the other way."""
    if not isinstance(item.value, int | float) or not _SIGNED.search(item.name):
        return None
    before = max((place for place in places if place < at), default=-1)
    after = min((place for place in places if place > at), default=len(words))
    # A word belongs to the figure behind it; to the one before it only at the end of a clause ("{{e1}} lower").
    own = [*range(before + 1, at), *(range(at + 1, after) if after == len(words) else ())]
    for place in own:
        word = words[place]
        if word not in _UP and word not in _DOWN:
            continue
        if item.name.endswith("drawdown") and word in ("lower", "higher", "below", "above"):
            continue  # a lower drawdown may be either
        if word in ("above", "below", "higher", "lower") and not re.search("above_average|from_high", item.name):
            continue  # of something else, which `_compared` looks at
        says_up = (word in _UP) != bool(_NO & set(words[max(0, place - 3) : place]))
        if (says_up and item.value < 0) or (not says_up and item.value > 0):
            return f"“{word}” is against the sign of {item.id} ({item.name} {render(item)})"
    return None


def _compared(places: Sequence[tuple[int, Evidence]], words: Sequence[str]) -> Iterator[str]:
    """Two figures of one kind with a word between them that says which is more."""
    for (first, one), (second, other) in itertools.pairwise(places):
        if one.name.removeprefix("period_") != other.name.removeprefix("period_"):
            continue
        if not isinstance(one.value, int | float) or not isinstance(other.value, int | float):
            continue
        between = words[first + 1 : second]
        than = "than" in between
        more = bool(_MORE & set(between)) or (than and bool(_THAN_MORE & set(between))) or "above" in between
        less = bool(_LESS & set(between)) or (than and bool(_THAN_LESS & set(between))) or "below" in between
        if more == less or _NO & set(between):
            continue
        if (more and one.value < other.value) or (less and one.value > other.value):
            yield f"{one.id} ({render(one)}) and {other.id} ({render(other)}) are compared the wrong way round"


def _is_numeric(character: str) -> bool:
    return unicodedata.numeric(character, None) is not None


@lru_cache(maxsize=4_096)  # a language model may write any word
def _folded(word: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if unicodedata.category(c) != "Mn")
    return plain.casefold()
