"""What does a card, a reply or a stretch of bars look like in a notebook? Tables, the trust card, a small chart; SIMULATED where it is due.

Only inline styles, no script, and no colour that a dark page would hide. Every text is escaped: names of symbols, files and
strategies, and the words of a question, are other people's.
"""

from __future__ import annotations

from functools import singledispatch

from evolve.cards import AnswerCard, ComparisonCard, EvaluationCard, ModelCard, QueryResult, TrustCard
from evolve.display import answers, stretches
from evolve.market.bars import Bars


@singledispatch
def html_of(value: object) -> str | None:
    """The value as HTML; None for one that nobody here can draw."""
    del value
    return None


html_of.register(AnswerCard, answers.answer)
html_of.register(QueryResult, answers.query_result)
html_of.register(EvaluationCard, answers.evaluation)
html_of.register(ComparisonCard, answers.comparison)
html_of.register(ModelCard, answers.model)
html_of.register(TrustCard, answers.trust)
html_of.register(Bars, stretches.bars)
