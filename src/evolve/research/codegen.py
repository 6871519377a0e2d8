"""Which program does a text describe? A template of the library chosen by its words and filled with the numbers it states.

No word of the text enters the program: it decides which template, and a number inside a range. Code that stands in a text is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evolve.errors import InvalidRequest
from evolve.findings import Setting
from evolve.research import topics
from evolve.research.parameters import Parameter
from evolve.research.templates import TEMPLATES, Template
from evolve.research.text import addressed_to_machines, sentences

MOST_REPAIRS = 2
LEAST_WEIGHT = 3  # less points nowhere: one passing word
# What a program that sees the bars of one symbol, or of two, cannot be.
BEYOND = {
    "portfolio": "choosing among many symbols needs the bars of all of them at once, and a program gets those of one, or of a pair"
}
PAIR_NEEDED = (
    "pairs trading needs the bars of two symbols, and only one is given: name the other as second_symbol "
    "(evolve research replicate … --symbol MSFT --second IBM)"
)
# An asker who wants a model rather than a rule gets the learning template when the text leaves it open.
MODEL_BONUS = 1
# Windows that, halved, make a program lighter.
WINDOWS = ("TRAIN_BARS", "LOOKBACK_BARS", "SLOW_BARS", "WINDOW_BARS", "ENTRY_BARS")


@dataclass(frozen=True, slots=True)
class Draft:
    """A program before it was tried. reasons: why this one; others: templates that the text points to as well."""

    template: Template
    settings: tuple[Setting, ...]
    reasons: tuple[str, ...]
    others: tuple[str, ...]
    implementation_type: str

    @property
    def code(self) -> str:
        return filled(self.template, self.settings)

    @property
    def name(self) -> str:
        return self.template.name

    def value(self, name: str) -> float:
        return next(float(each.value) for each in self.settings if each.name == name)


def draft(text: str, implementation_type: str, *, pair: bool = False) -> Draft:
    """The program that a text describes. pair: the bars of two symbols are given.

    Raises InvalidRequest for a text that describes none of the library's strategies, or one that needs two symbols where one is given.
    """
    spoken = spoken_to_people(text)
    weighed = []
    for template in TEMPLATES:
        weight, words = template.weight(spoken)
        if implementation_type == "model" and template.family == "machine_learning" and weight:
            weight += MODEL_BONUS
        weighed.append((weight, template, words))
    best = max(
        weighed, key=lambda each: each[0]
    )  # the first of equals: the library goes from the particular to the general
    subject = topics.weights(spoken)
    beyond = next((name for name in BEYOND if subject.get(name, 0) >= LEAST_WEIGHT and subject[name] >= best[0]), None)
    if beyond is not None:
        raise InvalidRequest(f"{BEYOND[beyond]}; describe a strategy on one symbol or a pair", family=beyond)
    if best[0] < LEAST_WEIGHT:
        known = ", ".join(template.title.lower() for template in TEMPLATES)
        raise InvalidRequest(
            f"no strategy of the library is described here; it has: {known}. Describe yours in such words, or set up a language model "
            "(OPENAI_API_KEY or OPENAI_BASE_URL), which writes others",
            known=[t.name for t in TEMPLATES],
        )
    weight, template, words = best
    if template.symbols == 2 and not pair:
        raise InvalidRequest(PAIR_NEEDED, family=template.family, needed=["symbol", "second_symbol"])
    quoted = ", ".join(f"“{each[:60]}”" for each in words)
    others = sorted(
        (each for each in weighed if each[1] is not template and each[0] >= LEAST_WEIGHT), key=lambda each: -each[0]
    )
    return Draft(
        template=template,
        settings=_ordered(tuple(_setting(parameter, spoken) for parameter in template.parameters)),
        reasons=(f"{template.title}: the text says {quoted}",),
        others=tuple(each[1].name for each in others),
        implementation_type=implementation_type,
    )


def repaired(draft: Draft, status: str, attempt: int) -> tuple[Draft, str] | None:
    """Another try after a run that ended with `status`, and what was changed; None where nothing more helps.

    A program that takes too long gets half its longest window; one that fails, or never takes a
    position (`no_position`), with the text's numbers gets the usual ones.
    """
    if attempt >= MOST_REPAIRS or status in ("validation_error", "system_error"):
        return None
    if status in ("timeout", "memory_limit"):
        for each in draft.settings:
            lowest = next(p.low for p in draft.template.parameters if p.name == each.name)
            if each.name in WINDOWS and float(each.value) // 2 >= max(lowest, 2):
                half = int(float(each.value) // 2)
                changed = _with(draft, {each.name: Setting(each.name, half, "repaired", f"was {each.value}")})
                return changed, f"{status}: {each.name} halved to {half}"
        return None
    stated = [each for each in draft.settings if each.origin == "stated"]
    if not stated:
        return None
    usual = {each.name: _usual(draft.template, each) for each in stated}
    return _with(draft, usual), f"{status}: the text's {', '.join(usual)} replaced by the usual values"


def filled(template: Template, settings: Sequence[Setting]) -> str:
    """The program with these settings in place of its constants."""
    code = template.program
    for each in settings:
        code, changed = re.subn(
            rf"^{each.name} = .*$", f"{each.name} = {each.value!r}", code, count=1, flags=re.MULTILINE
        )
        if not changed:
            raise AssertionError(f"{template.name} has no constant {each.name}")
    return code


def spoken_to_people(text: str) -> str:
    """The text without the sentences that address whoever processes it."""
    own = [sentence for sentence in sentences(text) if not addressed_to_machines(sentence)]
    # A few words are no sentence, and may be all there is: "RSI", "golden cross on daily bars".
    return " ".join(own) if own else "" if addressed_to_machines(text) else " ".join(text.split())


def _setting(parameter: Parameter, text: str) -> Setting:
    found = parameter.stated_in(text)
    if found is None:
        return Setting(parameter.name, _plain(parameter, parameter.usual), "usual")
    return Setting(parameter.name, _plain(parameter, found.value), "stated", found.said)


def _plain(parameter: Parameter, value: float) -> float | int:
    return int(value) if parameter.whole else float(value)


def _ordered(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """A stated fast span that is not shorter than the slow one is a misreading: both are then the usual ones' order, swapped."""
    by_name = {each.name: each for each in settings}
    fast, slow = by_name.get("FAST_BARS"), by_name.get("SLOW_BARS")
    if fast is None or slow is None or float(fast.value) <= float(slow.value):
        return settings
    swapped = {"FAST_BARS": replace(slow, name="FAST_BARS"), "SLOW_BARS": replace(fast, name="SLOW_BARS")}
    return tuple(swapped.get(each.name, each) for each in settings)


def _usual(template: Template, setting: Setting) -> Setting:
    parameter = next(each for each in template.parameters if each.name == setting.name)
    return Setting(setting.name, _plain(parameter, parameter.usual), "repaired", f"was {setting.value}")


def _with(draft: Draft, changed: Mapping[str, Setting]) -> Draft:
    return replace(draft, settings=tuple(changed.get(each.name, each) for each in draft.settings))
