"""What did another service do for the question? Its reply in a headline and a few sentences: what was found, drawn or built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.cards import ModelCard, PlotCard
from evolve.evidence import render
from evolve.findings import Paper, Repository
from evolve.language import commentary
from evolve.tunings import TuningCard
from evolve.updates import Retrained

LISTED = 5  # what a person reads before asking again; `evolve research search` lists all
MAX_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Told:
    headline: str
    sentences: tuple[str, ...] = ()


def told(service: str, reply: Mapping[str, object]) -> Told:
    """reply: `type` and the fields of the service's reply."""
    model, drawn, found = reply.get("model_info"), reply.get("result"), reply.get("results")
    if isinstance(model, ModelCard):
        return _built(model)
    if isinstance(drawn, Retrained):
        return _retrained(drawn)
    if isinstance(drawn, PlotCard):
        return Told(f"Drew {drawn.title}: {drawn.save_path}.", (f"Data: {drawn.source}.", *drawn.notes))
    if isinstance(drawn, TuningCard):
        return _tuned(drawn)
    if isinstance(found, Sequence) and "source" in reply and "as_of" in reply:
        return _found(reply, found)
    return Told(f"Done by {service}: {reply.get('type', 'no reply')}.")


def _built(model: ModelCard) -> Told:
    figures = {item.name: item for item in model.metrics}
    return Told(
        f"Built {model.model_id}.",
        (
            f"Out of sample, net of costs: Sharpe ratio {figures['sharpe']}, return {figures['total_return']}, "
            f"maximum drawdown {figures['drawdown']}; R² {figures['skill_r2']} against no change.",
            *commentary.on_data(model.data),
            f"`evolve evaluate {model.model_id}` tests it against luck.",
        ),
    )


def _tuned(card: TuningCard) -> Told:
    """The verdict first: a score that luck explains is no find."""
    figures = {item.name: item for item in card.figures}
    where = f"{card.model_type} on {card.symbol} at {card.timeframe}"
    headline = (
        f"Tuned {where}: better hyperparameters found (study {card.study_id})."
        if card.verdict == "better"
        else f"Tuned {where}: the defaults are as good (study {card.study_id})."
    )
    use = ", ".join(f"{name} = {_shown(value)}" for name, value in sorted(card.recommended_params.items()))
    mattered = [name for name, _ in card.by_importance()[:2]]
    return Told(
        headline,
        (
            f"Best score R² {render(figures['best_score'])} against the defaults' {render(figures['default_score'])}, inside the training part "
            f"(bars up to {card.train_last}); p = {render(figures['p_value'])} for having tried {render(figures['trials'])} of them.",
            f"To use: {use}.",
            *((f"What mattered most: {' and '.join(mattered)}.",) if mattered else ()),
            *((f"The search ended {card.stopped_early}.",) if card.stopped_early else ()),
            *card.notes,
            *commentary.on_data(card.data),
            f"`evolve build {card.model_type} {card.symbol}` uses them; `evolve tune show {card.study_id}` lists the trials.",
        ),
    )


def _retrained(done: Retrained) -> Told:
    if done.model_id == done.old_model_id:
        return Told(f"{done.model_id} stays as it is.", (f"{done.reason[0].upper()}{done.reason[1:]}.",))
    shown = done.new_performance
    charge = (
        "It runs in the shadow of the champion, and replaces it when its own bars show that it may."
        if done.challenger
        else f"Nobody was replaced: `evolve promote {done.model_id}` asks the evidence."
    )
    simulated = ("The bars are SIMULATED: no view on the symbol.",) if done.simulated else ()
    return Told(
        f"Retrained {done.old_model_id} as {done.model_id}.",
        (
            f"{done.reason[0].upper()}{done.reason[1:]}; data to {done.data_to}.",
            f"Lately, out of sample and net of costs: return {shown['total_return']}, R² {shown['skill_r2']} against no change.",
            charge,
            *simulated,
        ),
    )


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _found(reply: Mapping[str, object], found: Sequence[object]) -> Told:
    """Titles and addresses as they stand there: a stranger's text is data, cut to a line, and never a claim of ours."""
    where = "in the local library" if reply["source"] == "library" else f"at {reply['source']}"
    many = f"{len(found)} result{'' if len(found) == 1 else 's'}"
    lines = []
    for item in found[:LISTED]:
        if isinstance(item, Paper):
            lines.append(f"{_cut(item.title)} ({item.published[:10] or 'no date'}): {item.url}")
        elif isinstance(item, Repository):
            lines.append(f"{item.full_name}, {item.stars:,} stars, licence {item.licence}: {item.url}")
    note = str(reply.get("note") or "")
    said = (*lines, *((note,) if note else ()), "Nothing of this was tested; `evolve research replicate` does that.")
    return Told(f"Found {many} for {_cut(str(reply.get('query', '')))!r} {where}, as of {reply['as_of']}.", said)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + "…"
