"""What should a person know before trusting a model? Its card as a page: from what, how good, what it expects, what it cannot do."""

from __future__ import annotations

from evolve.cards import ModelCard
from evolve.evidence import Evidence, render, render_interval

SKILL_P_VALUE = 0.05


def document(card: ModelCard) -> str:
    """The card in Markdown."""
    recipe, data = card.recipe, card.data
    lines = [
        f"# {card.model_id}",
        "",
        f"A **{recipe.model_type}** of {recipe.symbol} at {recipe.timeframe}, forecasting {recipe.horizon_bars} bar{'s'[: recipe.horizon_bars > 1]} ahead; built {card.created_at}.",
        "",
        _skill(card),
        "",
        "## Data",
        f"- {data.bars:,} bars of {data.symbol} from {data.source}, {data.first} to {data.last}{' — **SIMULATED**' if data.simulated else ''}",
        f"- fingerprint `{data.fingerprint}`",
        *(f"- {note}" for note in data.notes),
        "",
        "## Recipe",
        f"- features: {', '.join(recipe.features) or 'none (closes only)'}",
        f"- hyperparameters: {', '.join(f'{name} = {value}' for name, value in recipe.hyperparameters.items()) or 'none'}{f' (from: {card.hyperparameters_from})' if card.hyperparameters_from else ''}",
        f"- seed {recipe.seed}; {recipe.folds} refits after {recipe.first_train_bars} bars, embargo {recipe.embargo_bars}",
        f"- code {card.code_version}; parent: {card.parent or 'none'}",
        f"- computed by {', '.join(card.libraries) or 'libraries that were not written down'}",
        f"- weights: sha256 `{card.weights_sha256}`",
        "",
        "## Out of sample, net of costs",
        *_table(card.metrics),
        "",
        f"## After {data.last}",
        *_table(card.outlook),
        "",
        "## Limits",
        *(f"- {note}" for note in card.notes),
        "- Past skill is no promise. Bands hold their share on average over many bars, not on each.",
        "- Not investment advice.",
        "",
    ]
    return "\n".join(lines)


def _skill(card: ModelCard) -> str:
    found = {item.name: item for item in card.metrics}
    skill, p_value = found.get("skill_r2"), found.get("dm_p_value")
    if skill is None or p_value is None or not isinstance(p_value.value, int | float):
        return "Whether it forecasts better than no change is not known."
    verdict = (
        "It forecasts better than no change"
        if p_value.value < SKILL_P_VALUE
        else "**Nothing says that it forecasts better than no change**"
    )
    return f"{verdict}: R² {render(skill)} out of sample, p = {render(p_value)}."


def _table(figures: tuple[Evidence, ...]) -> list[str]:
    rows = [f"| {item.name} | {render(item)} | {render_interval(item)} | {item.computed} |" for item in figures]
    return ["| figure | value | interval | computed |", "|---|---|---|---|", *rows] if rows else ["nothing on record"]
