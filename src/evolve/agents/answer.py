"""What does an answer hold, and what is its id? Table, verdict, words and figures of one question, put together in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.agents.question import Question
from evolve.cards import AnswerCard, ComparisonCard, Curve, DataCard, DataStatus, RankedRow, Recipe, TrustCard, Verdict
from evolve.clock import Clock, iso
from evolve.errors import EvolveError
from evolve.evidence import Evidence
from evolve.language import commentary
from evolve.memory.answers import answer_id_of
from evolve.memory.canonical import sha256_of
from evolve.version import code_version

SEED = 0


def write_answer(
    question: Question,
    head: str,
    said: Sequence[str],
    *,
    comparison: ComparisonCard | None = None,
    rows: tuple[RankedRow, ...] = (),
    trust: TrustCard | None = None,
    figures: tuple[Evidence, ...] = (),
    data: tuple[DataCard, ...] = (),
    curves: tuple[Curve, ...] = (),
    recipes: tuple[Recipe, ...] = (),
    missing: tuple[dict[str, str], ...] = (),
    extra: dict[str, Any] | None = None,
    status: DataStatus | None = None,
    clock: Clock,
) -> AnswerCard:
    """The answer, with the id that question, data, recipes, trials so far and code give it.

    status: of the data that it rests on, where these themselves are not handed over.
    """
    verdict: Verdict | None = None
    if comparison is not None:
        rows, trust, curves = comparison.rows, comparison.trust, comparison.curves
        figures, data, verdict = comparison.trust.evidence, (comparison.trust.data,), comparison.verdict
    elif trust is not None:
        verdict = trust.verdict
    fingerprints = [card.fingerprint for card in data]
    # Trials counted so far are part of the evidence: another count is another answer.
    counted = [f"trials:{trust.trials}"] if trust is not None else []
    # Nor is "and over a year?" the same question after another one.
    understood = sha256_of([question.routing.intent, question.routing.arguments])
    answer_id = answer_id_of(
        question.query,
        data_fingerprints=[*fingerprints, *counted, understood],
        recipes=recipes,
        seed=SEED,
        code_version=code_version(),
    )
    return AnswerCard(
        answer_id=answer_id,
        query=question.query,
        intent=question.routing.intent,
        headline=head,
        verdict=verdict,
        data_status=status or worst_status([card.status for card in data]),
        slots=question.shown,
        rows=rows,
        trust=trust,
        figures=figures,
        commentary=tuple(said),
        curves=curves,
        disclaimer=commentary.DISCLAIMER,
        # What was read from the registry, or from no data at all, has nothing to compute again.
        reproduce=f"evolve reproduce {answer_id}" if data else "",
        recipe={
            "question": question.query,
            "simulate": question.simulate,
            "recipes": [plain(recipe) for recipe in recipes],
            "data": [
                {"symbol": card.symbol, "timeframe": card.timeframe, "fingerprint": card.fingerprint} for card in data
            ],
            "seed": SEED,
            "code_version": code_version(),
            **({"history": list(question.history)} if question.history else {}),
            **(extra or {}),
        },
        missing=missing,
        created_at=iso(clock.now()),
    )


def with_picture(answer: AnswerCard, plots: Path) -> AnswerCard:
    """The answer with its picture; where that cannot be written, the answer says so and stands without."""
    curves = answer.curves
    if not curves:
        return answer
    from evolve.charts.equity import equity_png

    data = answer.trust.data if answer.trust else None
    source = (
        f"{data.source}, {data.first} to {data.last}"
        if data
        else f"as of {answer.figures[-1].as_of}, {answer.figures[-1].source}"
    )
    path = plots / f"answer_{answer.answer_id}.png"
    try:
        equity_png(curves, title=answer.query, source=source, path=path)
    except EvolveError as error:
        return replace(answer, missing=(*answer.missing, {"service": "charts", "why": error.message}))
    return replace(answer, plot=str(path))


def plain(value: object) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def worst_status(statuses: Iterable[DataStatus]) -> DataStatus | None:
    """What an answer must say of data that differ: simulated before stale before current."""
    found = set(statuses)
    order: tuple[DataStatus, ...] = ("simulated", "stale", "current")
    return next((status for status in order if status in found), None)
