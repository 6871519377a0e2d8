"""What do our own texts say to this? The documentation, the models in the registry and earlier answers, quoted with where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from evolve.agents.answer import write_answer
from evolve.agents.desk import Desk
from evolve.agents.question import Question
from evolve.cards import AnswerCard, ModelCard, PastQuery
from evolve.clock import Clock
from evolve.errors import Unavailable
from evolve.evidence import EvidenceBook
from evolve.language.library import Library, Passage, documentation, quote, terms_of
from evolve.memory.answers import Answers

EXAMPLES = (
    "Give me the best model for AAPL over 90 days",
    "Should I buy AAPL now?",
    "What's happening with ETHUSDT?",
)
REMEMBERED = 50  # earlier answers that are looked through; what is older is found with `evolve history`
QUOTED = 2  # passages; the first answers, the second is where to read on
LISTED = 10
CLEARLY_BEHIND = 0.6  # of the first passage's score: below, the second would only distract


class Reference:
    """past: earlier questions of this home, newest first, at most so many."""

    def __init__(self, answers: Answers, past: Callable[[int], tuple[PastQuery, ...]], clock: Clock) -> None:
        self._answers = answers
        self._past = past
        self._clock = clock

    def look_up(self, question: Question, desk: Desk) -> AnswerCard:
        """A quotation, or that there is none; never a guess."""
        if not set(terms_of(question.query)) - _EVERYDAY:
            return self.capabilities(question)
        models, missing = _models(desk)
        library = Library((*documentation(), *map(_of_model, models), *self._remembered()))
        found = library.search(question.query, limit=QUOTED)
        if not found:
            return self._nothing(question, library, missing)
        first, *others = found
        said = [f"See also: {quote(other.passage)}" for other in others if other.score >= CLEARLY_BEHIND * first.score]
        return self._answer(question, f"{first.passage.heading}: {quote(first.passage)}", said, missing=missing)

    def capabilities(self, question: Question) -> AnswerCard:
        head = "Evolve tests models on bars they have not seen, net of costs, against naive baselines, and says when there is no edge."
        said = [
            "It recommends models, gives signals with their evidence, describes markets, and builds and evaluates models.",
            "Ask for example: " + "; ".join(f'"{example}"' for example in EXAMPLES) + ".",
        ]
        return self._answer(question, head, said)

    def list_models(self, question: Question, desk: Desk) -> AnswerCard:
        """How many models there are, and the newest of them by id. Raises Unavailable."""
        models = desk.models()
        book = EvidenceBook()
        count = book.add(
            "models", "registry", len(models), "count", as_of=models[0].created_at[:10] if models else "",
            source="registry", computed=f"models that are not deleted, at most {LISTED} counted",
        )  # fmt: skip
        more = "at least " if len(models) == LISTED else ""
        head = f"The registry holds {more}{count} model{'' if len(models) == 1 else 's'}."
        said = [f"{quote(_of_model(model))}" for model in models[:LISTED]] or ["`evolve build ridge AAPL` builds one."]
        return self._answer(question, head, said, figures=tuple(book))

    def list_history(self, question: Question) -> AnswerCard:
        past = self._past(LISTED)
        head = (
            f"The last {len(past)} questions of this home, newest first." if past else "Nothing was asked here before."
        )
        said = [f"{each.at}: “{each.query[:120]}”: {each.headline or each.status} ({each.answer_id or 'no answer stored'})" for each in past]  # fmt: skip
        return self._answer(question, head, [*said, "`evolve history` lists more of them."])

    def _nothing(self, question: Question, library: Library, missing: tuple[dict[str, str], ...]) -> AnswerCard:
        head = "Nothing in the documentation, the registry or the history of this home answers that, and nothing is guessed."
        near = library.nearest(question.query)
        said = [f"What shares a word with it: {'; '.join(near)}."] if near else []
        said.append("Ask for example: " + "; ".join(f'"{example}"' for example in EXAMPLES) + ".")
        return self._answer(question, head, said, missing=missing)

    def _remembered(self) -> list[Passage]:
        """Earlier answers about symbols and models; an answer that quoted these texts would only be quoted again."""
        found = []
        for stored in self._answers.latest(REMEMBERED):
            if stored.document.get("intent") == "general_query":
                continue
            source = f"history: answer {stored.answer_id} of {str(stored.document.get('created_at', ''))[:10]}"
            found.append(Passage(source, stored.question, str(stored.document.get("headline", ""))))
        return found

    def _answer(self, question: Question, head: str, said: Sequence[str], **parts: Any) -> AnswerCard:
        return write_answer(question, head, said, clock=self._clock, **parts)


# Greetings and words for the system itself: a question of nothing else wants to know what can be asked.
_EVERYDAY = frozenset(
    "hello hi hey hallo hola bonjour thanks thank danke gracias merci can do what for me this it you".split()
)


def _models(desk: Desk) -> tuple[Sequence[ModelCard], tuple[dict[str, str], ...]]:
    try:
        return desk.models(), ()
    except Unavailable as error:
        return (), ({"service": str(error.details.get("service") or "model_builder"), "why": error.message},)


def _of_model(model: ModelCard) -> Passage:
    recipe = model.recipe
    simulated = " of SIMULATED bars" if model.data.simulated else ""
    figures = ", ".join(f"{item.name} {item}" for item in model.metrics[:4])
    text = (
        f"{recipe.model_type} of {recipe.symbol} at {recipe.timeframe}{simulated}, built {model.created_at[:10]}, data to "
        f"{model.data.last}{'; ' + figures if figures else ''}."
    )
    return Passage(f"registry: {model.model_id}", model.model_id, text)
