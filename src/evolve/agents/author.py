"""Who writes what the research service suggests? The library of templates, or a language model where one is configured.

A writer gives a program and mends it when it fails; what becomes of it is for the gate, the sandbox, the audits and the critic to say,
and is the same whoever wrote it. The text is data for either: a template takes numbers from it, a model sees its sentences without those
that give orders and without code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, InvalidRequest
from evolve.findings import PaperSummary, Setting, Statement
from evolve.research import codegen, topics
from evolve.research.codegen import Draft
from evolve.research.summarize import FIGURE_NAMES, why_not_stated, with_figures
from evolve.research.text import addressed_to_machines, is_code, sentences
from evolve.settings import Settings

if TYPE_CHECKING:
    from evolve.language.model.programming import Written

MOST_SENTENCES = 60  # that a model is shown: some 3,000 tokens, a tenth of what a question may cost


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program to be tried. written_by and by, settings, reasons, others, notes: as in `CodeSuggestion`."""

    name: str
    title: str
    family: str
    code: str
    implementation_type: str
    reasons: tuple[str, ...]
    settings: tuple[Setting, ...] = ()
    caveats: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    by: str = ""
    notes: tuple[str, ...] = ()


class Writer(Protocol):
    """first: the program as written; mended: another try after `trouble` (a status, `no_decision`, `no_position`, `look_ahead`), or None."""

    def first(self) -> Candidate: ...
    def mended(self, trouble: str, detail: str, attempt: int) -> tuple[Candidate, str] | None: ...


class TemplateWriter:
    """A template of the library, filled with the text's numbers. notes: why no model wrote it, where one could have."""

    def __init__(self, draft: Draft, notes: tuple[str, ...] = ()) -> None:
        self._draft = draft
        self._notes = notes

    def first(self) -> Candidate:
        made = self._draft
        return Candidate(
            made.name, made.template.title, made.template.family, made.code, made.implementation_type, made.reasons,
            made.settings, made.template.caveats, made.others, notes=self._notes,
        )  # fmt: skip

    def mended(self, trouble: str, detail: str, attempt: int) -> tuple[Candidate, str] | None:
        del detail
        if trouble in ("look_ahead", "no_decision"):
            return None  # no other number would help
        better = codegen.repaired(self._draft, trouble, attempt)
        if better is None:
            return None
        self._draft, what = better
        return self.first(), what


class ModelWriter:
    """A program that a language model wrote freely; it is told what went wrong and writes it again."""

    def __init__(
        self, author: Author, spoken: Sequence[str], implementation_type: str, written: Written, *, pair: bool
    ) -> None:
        self._author = author
        self._spoken = spoken
        self._type = implementation_type
        self._written = written
        self._pair = pair

    def first(self) -> Candidate:
        written = self._written
        return Candidate(
            name=re.sub(r"\W+", "_", written.title.casefold()).strip("_")[:40] or "program",
            title=written.title or "A strategy",
            family=topics.tag_of(f"{written.title} {' '.join(self._spoken)}"),
            code=written.code,
            implementation_type=self._type,
            reasons=(f"{written.by} wrote it from the text: every number in it is the model's reading, and none is marked as stated",),
            caveats=("a language model wrote the program: read it before you believe that it is the strategy of the text",),
            by=written.by,
        )  # fmt: skip

    def mended(self, trouble: str, detail: str, attempt: int) -> tuple[Candidate, str] | None:
        """None, too, where the model can no longer be asked, or gives up: then the program is reported as it failed."""
        del attempt
        try:
            self._written = self._author.mend(self._spoken, self._written, f"{trouble}: {detail}", pair=self._pair)
        except EvolveError:
            return None
        if self._written.cannot:
            return None
        return self.first(), f"{trouble}: {self._written.by} wrote it again ({detail[:160]})"


class Author:
    """Asks the language model of the settings. Each question has the budget of one question."""

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def is_configured(self) -> bool:
        return bool(self._settings.openai_api_key or self._settings.openai_base_url)

    def reviewed(self, summary: PaperSummary, text: str) -> PaperSummary:
        """The summary with a model's overview, or with a note on why there is none; without a model it is left alone."""
        spoken = _shown(text)
        if not self.is_configured or not spoken:
            return summary
        from evolve.language.model.configured import consultant_for
        from evolve.language.model.paper_overview import overview_of

        try:
            found = overview_of(
                consultant_for(self._settings, clock=self._clock), summary.title, spoken, summary.claimed,
                names=FIGURE_NAMES, check_figure=why_not_stated,
            )  # fmt: skip
        except EvolveError as error:
            return replace(summary, notes=(*summary.notes, f"no language model's overview: {error.message}"))
        return replace(
            with_figures(summary, found.pointed_at, found.by),
            overview=tuple(Statement(text, sources) for text, sources in found.statements),
            by=found.by,
            extractor="sentences and language model",
        )

    def writer(self, text: str, implementation_type: str, wanted: str, *, pair: bool) -> Writer:
        """Who writes a program for a text. wanted: "auto", "template" or "model".

        Raises InvalidRequest for what neither can write, or for a model that is wanted and not configured; what asking one raises,
        where it is wanted by name.
        """
        if wanted == "model" and not self.is_configured:
            raise InvalidRequest(
                "no language model is configured: set OPENAI_API_KEY or OPENAI_BASE_URL, or leave the writer to auto"
            )
        if wanted == "template" or not self.is_configured:
            return TemplateWriter(codegen.draft(text, implementation_type, pair=pair))
        spoken = _shown(codegen.spoken_to_people(text), least=1)
        if not spoken:
            raise InvalidRequest("the text describes nothing that a program could be written for")
        try:
            written = self._asked(spoken, pair=pair)
        except EvolveError as error:
            if wanted == "model":
                raise
            return TemplateWriter(
                codegen.draft(text, implementation_type, pair=pair), (f"from the library, since no language model wrote it: {error.message}",)
            )  # fmt: skip
        if written.cannot:
            raise InvalidRequest(f"{written.by} cannot write a program for this: {written.cannot}")
        return ModelWriter(self, spoken, implementation_type, written, pair=pair)

    def mend(self, spoken: Sequence[str], broken: Written, trouble: str, *, pair: bool) -> Written:
        """Raises what asking a model raises."""
        from evolve.language.model.configured import consultant_for
        from evolve.language.model.programming import MOST_TOKENS, mend_program

        consultant = consultant_for(self._settings, clock=self._clock, max_tokens=MOST_TOKENS)
        return mend_program(consultant, spoken, broken, trouble, pair=pair)

    def _asked(self, spoken: Sequence[str], *, pair: bool) -> Written:
        from evolve.language.model.configured import consultant_for
        from evolve.language.model.programming import MOST_TOKENS, write_program

        return write_program(
            consultant_for(self._settings, clock=self._clock, max_tokens=MOST_TOKENS), spoken, pair=pair
        )


def _shown(text: str, *, least: int = 2) -> list[str]:
    """The sentences that a model may see: none that gives orders to whoever processes the text, none that is code."""
    found = sentences(text) or [" ".join(text.split())]
    kept = [each for each in found if each and not addressed_to_machines(each) and not is_code(each)]
    return kept[:MOST_SENTENCES] if len(kept) >= least else []
