"""What does an answer say in words? Sentences whose figures are rendered from evidence; none is typed in.

What matters first comes first: the verdict, why, what it is compared with, what the stretch shown did, what it all rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from evolve.cards import ComparisonCard, DataCard, EvaluationCard, RankedRow, Verdict
from evolve.evidence import Evidence, render, render_interval, render_value
from evolve.market.types import period_days

DISCLAIMER = "Research, not investment advice: past results, real or simulated, do not foretell future ones."

_HEADLINES: dict[Verdict, str] = {
    "edge": "{winner} has earned trust on {symbol}: its edge is more than luck would explain.",
    "no_edge": "No edge found: on this evidence no model for {symbol} is worth trusting with money.",
    "insufficient_data": "Too little data on {symbol} to tell skill from luck.",
}


def headline(comparison: ComparisonCard) -> str:
    winner = comparison.winner.model_id if comparison.winner else ""
    said = _HEADLINES[comparison.verdict].format(winner=winner, symbol=comparison.symbol)
    data = comparison.trust.data
    if data.simulated:
        return f"SIMULATED, no view on the real {data.symbol}: {said}"
    return f"As of {data.last}: {said}" if data.status == "stale" else said


_WARNINGS = (
    "SIMULATED", "As of ", "No side is taken", "HOLD:", "Only ", "No symbol was named", "Data: ", "No price of ",
)  # fmt: skip


def must_be_said(sentence: str) -> bool:
    """Whether a sentence warns or limits: whoever words the rest, it stays."""
    return (
        sentence.startswith(_WARNINGS)
        or "itself was not tested" in sentence
        or "nothing here speaks of today" in sentence
    )


def on_comparison(comparison: ComparisonCard) -> list[str]:
    """Sentences about models and baselines side by side."""
    models = [row for row in comparison.rows if row.kind == "model"]
    hold = next((row for row in comparison.rows if row.name == "buy_and_hold"), None)
    traded = [row for row in models if row.figures["sharpe"].value is not None]
    # The headline has said "no edge" already.
    reason = comparison.reason.removeprefix("No edge: ")
    said = [reason[:1].upper() + reason[1:]] if traded or comparison.verdict != "no_edge" else []
    if models and not traded:
        said.append(
            "No model ever had both shown skill and a forecast that pays for a round trip, so none took a position"
            + (f"; against them {_with(hold)}." if hold is not None else ".")
        )
    elif models and hold is not None:
        said.append(
            f"Ranked first among the models: {_with(traded[0])}. Against it {_with(hold)}. "
            "All after costs, on bars the models had not seen."
        )
    said += _second_opinions(comparison)
    best = _best_forecaster(models)
    if best is not None:
        said.append(_on_forecasts(best))
    if traded:
        said.append(_on_period(_stretch(comparison.period, comparison.trust.data), traded[0], hold))
    elif _is_all(comparison.period, comparison.trust.data):
        said.append(f"The data hold less than {comparison.period}: the stretch shown is all that was tested.")
    costs = comparison.trust.costs
    trials = _figure(comparison.trust.evidence, "trials")
    said.append(
        f"Each trade paid a fee of {costs.fee_bps:g} bp and slippage of {costs.slippage_bps:g} bp per leg, filled at the next open; "
        f"trials counted on {comparison.symbol} so far: {render(trials) if trials else 'n/a'}."
    )
    return said


def on_others(symbol: str, asked: Sequence[str]) -> list[str]:
    """Which symbols of the question were left out."""
    others = [other for other in asked if other != symbol]
    if not others:
        return []
    return [f"Only {symbol} was examined: ask about {' and '.join(others)} in a question of its own."]


def on_default(symbol: str, origin: str) -> list[str]:
    """That a symbol was chosen for the user."""
    return (
        []
        if origin != "default"
        else [f"No symbol was named, so {symbol} was examined; ask about another by its name."]
    )


def on_future(symbol: str) -> list[str]:
    """What is said to who asks for tomorrow's price."""
    return [
        f"No price of {symbol} is foretold here: whether any model's forecast of it has skill is tested by asking for the best model of {symbol}."
    ]


def on_rule(rule: str | None) -> list[str]:
    """What was asked about and not examined, and how it can be."""
    if rule is None:
        return []
    return [
        f"The {rule} itself was not tested: it is a trading rule, and what Evolve builds from a question are models. "
        "Written as a function it is tested with the same costs and baselines: `evolve backtest --code FILE --symbol SYMBOL`."
    ]


def on_evaluation(evaluation: EvaluationCard) -> list[str]:
    """Sentences about one model."""
    metrics = evaluation.metrics
    said = [evaluation.trust.reason]
    said.append(
        f"Net of costs and out of sample: Sharpe ratio {_bracketed(metrics['sharpe'])}, total return {metrics['total_return']}, "
        f"maximum drawdown {metrics['drawdown']}, in the market {metrics['exposure']} of the time."
    )
    if metrics["skill_r2"].value is not None:
        said.append(
            f"As a forecast: R² {metrics['skill_r2']} against no change ({_p(metrics['dm_p_value'])}), "
            f"its 90 % band held {metrics['band_coverage']} of the outcomes."
        )
    return said


def on_signal(signal: str | None, comparison: ComparisonCard, data: DataCard) -> list[str]:
    """Why this side, or none."""
    if data.status == "stale":
        return [
            f"No side is taken: the bars of {data.symbol} end on {data.last}, so nothing here speaks of today. "
            f"Import newer bars (`evolve data import FILE --symbol {data.symbol}`) and ask again."
        ]
    said = []
    if data.simulated:
        said.append(f"SIMULATED bars: this signal is no view on the real {data.symbol}.")
    if signal == "HOLD":
        why = (
            "no model showed skill"
            if comparison.verdict != "edge"
            else "the model with an edge stays out at the last close"
        )
        said.append(
            f"HOLD: {why}. A side would be taken if a model passed the gate and its forecast exceeded the cost of a round trip."
        )
    elif signal is not None:
        said.append(f"{signal}: the model with an edge holds this side at the close of {data.last}.")
    return said


def on_outlook(comparison: ComparisonCard) -> list[str]:
    """What the first-ranked model would do and expects, what speaks for and against it, and what would change the view."""
    models = [row for row in comparison.rows if row.kind == "model" and row.figures.get("next_return")]
    known = [row for row in models if row.figures["next_return"].value is not None]
    if not known:
        return []
    first = known[0]
    found = first.figures
    trusted = comparison.winner is not None and comparison.winner.model_id == first.model_id
    said = [
        f"{first.name} {'holds' if trusted else 'would hold'} {_sized(found['decision'])} and expects {_signed(found['next_return'])} "
        f"over the next {found['horizon_bars']} {'bar' if found['horizon_bars'].value == 1 else 'bars'} "
        f"(90 % band {render_interval(found['next_return'])}), a rise with probability {found['up_probability']}"
        f"{'' if trusted else '; it has not earned trust, so it is not followed'}."
    ]
    speaks_for, speaks_against = _both_sides(first, comparison)
    said.append(f"For it: {'; '.join(speaks_for) or 'nothing that was measured'}.")
    said.append(f"Against it: {'; '.join(speaks_against) or 'nothing that was measured'}.")
    said.append(
        "What would change the view: "
        + (
            "the gate no longer passed on newer bars, or a forecast too small to pay for a round trip."
            if trusted
            else "a model whose alpha stays above zero after costs when luck is allowed for, on bars that it has not seen."
        )
    )
    return said


def _sized(decision: Evidence) -> str:
    value = decision.value
    if not isinstance(value, int | float) or value == 0:
        return "no position"
    return f"{'long' if value > 0 else 'short'} {render_value(abs(value), decision.unit)} of equity"


def _both_sides(row: RankedRow, comparison: ComparisonCard) -> tuple[list[str], list[str]]:
    """What speaks for a model and what against it, each with its figure."""
    found = row.figures
    hold = next((other for other in comparison.rows if other.name == "buy_and_hold"), None)
    sides: tuple[list[str], list[str]] = ([], [])

    def weigh(name: str, good: bool | None, words: str) -> None:
        item = found.get(name)
        if item is not None and isinstance(item.value, int | float) and good is not None:
            sides[0 if good else 1].append(f"{words} {item}")

    def above(name: str, limit: float) -> bool | None:
        item = found.get(name)
        return item.value > limit if item is not None and isinstance(item.value, int | float) else None

    weigh("alpha", above("alpha", 0.0), "alpha a year")
    significant = above("alpha_p_value", 0.05)
    weigh("alpha_p_value", None if significant is None else not significant, "p-value of the alpha")
    weigh("skill_r2", above("skill_r2", 0.0), "R² of the forecast")
    weigh("direction", above("direction", 0.5), "right about the direction")
    if hold is not None and isinstance(hold.figures["sharpe"].value, int | float):
        better = above("sharpe", float(hold.figures["sharpe"].value))
        weigh("sharpe", better, f"against a Sharpe ratio of {hold.figures['sharpe']} for holding, its own is")
        better = above("drawdown", float(hold.figures["drawdown"].value or 0.0))
        weigh("drawdown", better, f"against a maximum drawdown of {hold.figures['drawdown']} for holding, its own is")
    return sides


def on_market(
    symbol: str, found: dict[str, Evidence], trend: str, volatility: str, *, adjusted: bool = False
) -> list[str]:
    """Sentences about what a symbol is doing. adjusted: its prices are not those that were paid on the day."""
    direction = {
        "up": "rising",
        "down": "falling",
        "sideways": "without a clear trend",
        "unknown": "too young to have a trend",
    }[trend]
    known = {name for name, item in found.items() if item.value is not None}
    close = "last close, adjusted for splits and dividends," if adjusted else "last close"
    first = [f"{symbol} is {direction}: {close} {found['last_close']}"]
    if "period_return" in known:
        first.append(f"{_signed(found['period_return'])} over the period shown")
    means = [
        f"{_signed(found[f'above_average_{bars}'])} from its {bars}-bar mean"
        for bars in (50, 200)
        if f"above_average_{bars}" in known
    ]
    said = [", ".join([*first, *([" and ".join(means)] if means else [])]) + "."]
    if volatility != "unknown":
        said.append(
            f"Volatility is {volatility}: {found['volatility']} a year, at or above {found['volatility_rank']} of all past readings."
        )
    if "from_high" in known:
        said.append(
            f"It stands {_signed(found['from_high'])} from its highest close of a year; within the period it fell at most {found['period_drawdown']}."
        )
    if {"next_close", "year_high", "year_low"} <= known:
        said.append(
            f"Key levels: closes of the last year between {found['year_low']} and {found['year_high']}, of the period between "
            f"{found['period_low']} and {found['period_high']}. If it moves as it lately did, and to neither side rather than the "
            f"other, its next close lies in the 90 % band {render_interval(found['next_close'])}."
        )
    if "rsi_14" in known:
        said.append(f"RSI(14) is {found['rsi_14']}; an indicator describes, it does not foretell.")
    if "volume_ratio" in known:
        said.append(f"Volume of the last month is {found['volume_ratio']} times its yearly mean.")
    return said


def on_correlations(symbol: str, found: Sequence[Evidence]) -> list[str]:
    """Which of the other symbols at hand moved with it most and least. found: by correlation, highest first."""
    if not found:
        return []
    first, last = found[0], found[-1]
    least = f", least with {last.of} ({last})" if len(found) > 1 else ""
    return [f"Over the last year of common bars {symbol} moved most with {first.of} ({first}){least}."]


def on_data(data: DataCard) -> list[str]:
    """What the reader must know about the bars."""
    said = [
        f"Data: {data.bars:,} bars of {data.symbol} at {data.timeframe}, {data.first} to {data.last}, from {data.source}."
    ]
    if data.status == "stale":
        said.append(f"As of {data.last}: nothing here speaks of today.")
    return said


def _with(row: RankedRow) -> str:
    found = row.figures
    return f"{row.name.replace('_', '-')} with a Sharpe ratio of {_bracketed(found['sharpe'])}, return {found['total_return']}, maximum drawdown {found['drawdown']}"


def _bracketed(item: Evidence) -> str:
    interval = render_interval(item)
    return f"{item} ({round(100 * (item.level or 0))} % interval {interval})" if interval else str(item)


def _p(item: Evidence) -> str:
    shown = str(item)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def _signed(item: Evidence) -> str:
    shown = str(item)
    return f"+{shown}" if isinstance(item.value, float) and item.value > 0 and shown != "0.0 %" else shown


def _best_forecaster(models: Sequence[RankedRow]) -> RankedRow | None:
    # Without a p-value the forecast never differed from "no change", and there is nothing to say of it.
    skilled = [row for row in models if isinstance(row.figures["dm_p_value"].value, float)]
    return max(skilled, key=lambda row: float(row.figures["skill_r2"].value or 0.0), default=None)


def _on_forecasts(row: RankedRow) -> str:
    found = row.figures
    skill = found["skill_r2"].value
    if not isinstance(skill, int | float) or skill <= 0:
        return (
            f"As forecasts, none was better than expecting no change; the nearest was {row.name} with an R² of {found['skill_r2']}; "
            f"its 90 % band held {found['band_coverage']} of the outcomes."
        )
    return (
        f"Best forecaster: {row.name}, R² {found['skill_r2']} against forecasting no change "
        f"({_p(found['dm_p_value'])}), right about the direction {found['direction']} of the time; "
        f"its 90 % band held {found['band_coverage']} of the outcomes."
    )


def _second_opinions(comparison: ComparisonCard) -> list[str]:
    shifted, pbo = (_figure(comparison.trust.evidence, name) for name in ("circular_shift_p_value", "pbo"))
    known = []
    if shifted is not None and shifted.value is not None:
        known.append(f"the same positions moved in time do as well with probability {shifted}")
    if pbo is not None and pbo.value is not None:
        known.append(f"the best of one half of the bars is below the median in the other with probability {pbo}")
    return [f"Second opinions: {'; '.join(known)}."] if known else []


def _is_all(period: str, data: DataCard) -> bool:
    """Is the period longer than the data?"""
    held = (date.fromisoformat(data.last[:10]) - date.fromisoformat(data.first[:10])).days
    return period_days(period) > held


def _stretch(period: str, data: DataCard) -> str:
    return (
        f"The data hold less than {period}; in all of it"
        if _is_all(period, data)
        else f"In the last {period} of the data"
    )


def _on_period(stretch: str, first: RankedRow, hold: RankedRow | None) -> str:
    held = f", buying and holding {hold.figures['period_total_return']}" if hold else ""
    return (
        f"{stretch} {first.name} returned {first.figures['period_total_return']}{held}. "
        f"One stretch proves nothing: the Sharpe ratio in it is {_bracketed(first.figures['period_sharpe'])}."
    )


def _figure(evidence: Sequence[Evidence], name: str) -> Evidence | None:
    return next((item for item in evidence if item.name == name), None)
