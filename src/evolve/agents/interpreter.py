"""What may a language model add, and what is said when it cannot? Its commentary and its second reading, or the reason for neither.

The verdict, the figures, the table and every warning stay what the code made them: a model rewords, it decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolve.cards import AnswerCard, LanguageModelCard
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError
from evolve.evidence import Evidence
from evolve.language import commentary
from evolve.language.frame import Frame
from evolve.settings import Settings

GRAMMAR = "grammar"
READING_S = (
    8.0  # the router is waited for; a question that takes longer to understand is answered as the grammar read it
)


@dataclass(frozen=True, slots=True)
class Reread:
    """frame: as it now stands; parser: what understood it, with how many samples agreed; why: why no model helped, if one could."""

    frame: Frame
    parser: str = GRAMMAR
    why: str = ""


class Interpreter:
    """Asks a language model where one is configured and helps; each failure is a sentence, never an exception."""

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def is_configured(self) -> bool:
        return bool(self._settings.openai_api_key or self._settings.openai_base_url)

    def reread(
        self, query: str, history: Sequence[str], frame: Frame, *, own: Sequence[str] = (), replay: bool = False
    ) -> Reread:
        """The frame, refined where the grammar is unsure and a model is not."""
        if not self.is_configured:
            return Reread(frame)
        # Imported where it is needed: without a model, nobody waits for what one needs.
        from evolve.language.model.configured import consultant_for
        from evolve.language.model.second_reading import is_unsure, read_again

        if not is_unsure(frame):
            return Reread(frame)
        try:
            consultant = consultant_for(self._settings, clock=self._clock, replay=replay, seconds=READING_S)
            found = read_again(consultant, query, history, frame, own=own, samples=self._settings.llm_samples)
        except EvolveError as error:
            return Reread(frame, why=f"no language model helped to read this: {error.message}")
        if found is None:
            return Reread(frame)
        return Reread(found.frame, f"{found.by} ({found.agreeing} of {found.samples} samples agree)")

    def comment(self, answer: AnswerCard, *, action: str | None, replay: bool = False) -> AnswerCard:
        """The answer with a commentary of the model's, or as it is with the reason; without a model it is left alone."""
        figures = _figures(answer)
        if not self.is_configured or not figures:
            return answer
        from evolve.language.model.configured import consultant_for
        from evolve.language.model.narration import ground_of
        from evolve.language.model.narrator import narrate

        names = [name for row in answer.rows for name in (row.name, row.model_id or "") if name]
        ground = ground_of(figures, names=names, symbols=_symbols(answer), edge=answer.verdict == "edge", action=action)
        try:
            consultant = consultant_for(self._settings, clock=self._clock, replay=replay)
            said = narrate(consultant, answer.query, answer.headline, ground, samples=self._settings.llm_samples)
        except EvolveError as error:
            gap = {"service": "language model", "why": f"{error.message}; the commentary is the offline one"}
            card = LanguageModelCard(False, why=error.message)
            return replace(answer, language_model=card, missing=(*answer.missing, gap))
        agreement = Evidence(
            "lm1", "samples_agreeing", said.by, said.agreeing / said.samples, "fraction", answer.created_at[:10], said.by,
            f"{said.samples} samples asked for their view of the same evidence",
        )  # fmt: skip
        opinion = (
            f"{said.by} itself reads this evidence as {said.view}; of {said.samples} samples {agreement} say so. "
            "That is an opinion of a language model; the verdict is that of the tests."
        )
        kept = [sentence for sentence in answer.commentary if commentary.must_be_said(sentence)]
        card = LanguageModelCard(True, said.by, "", said.view, agreement, said.replayed)
        return replace(answer, commentary=(*said.sentences, *kept, opinion), language_model=card)


def _figures(answer: AnswerCard) -> tuple[Evidence, ...]:
    """Every figure that the answer shows, each id once; an id that names two figures names none."""
    found: dict[str, Evidence] = {}
    doubtful: set[str] = set()
    for item in (*answer.figures, *(item for row in answer.rows for item in row.figures.values())):
        if found.setdefault(item.id, item) != item:
            doubtful.add(item.id)
    return tuple(item for id, item in found.items() if id not in doubtful)


def _symbols(answer: AnswerCard) -> tuple[str, ...]:
    named = [card["symbol"] for card in answer.recipe.get("data") or ()]
    asked = answer.slots.get("symbols") or answer.slots.get("symbol")
    return tuple(dict.fromkeys((*named, *(str(asked.value).split(", ") if asked else ()))))
