"""What is known about one model out of sample, in one card, and one number that orders a list of such cards?"""

from __future__ import annotations

from collections.abc import Sequence

from evolve.agents.bench import Bench
from evolve.agents.comparison import ROW_METRICS, in_period
from evolve.agents.figures import JUDGED_METRICS, check_metrics, figures
from evolve.agents.track_record import RESAMPLING_SEED, curve
from evolve.agents.trust import judged_figures, trust_card
from evolve.backtest.gate import MIN_BARS
from evolve.cards import EvaluationCard
from evolve.clock import iso
from evolve.evidence import Evidence, EvidenceBook
from evolve.market.types import canonical_period, period_days
from evolve.memory.evaluations import Evaluation, evaluation_id
from evolve.version import code_version

# Errors, costs, risks and p-values; every other metric is better when it is higher.
SMALLER_IS_BETTER = frozenset(
    (
        "volatility", "drawdown_bars", "turnover_per_year", "costs_paid", "relative_mae", "dm_p_value", "skill_p_value", "alpha_p_value",
        "min_track_record_years", "random_entry_sharpe", "mae", "rmse", "mase", "qlike", "pinball_05", "pinball_95", "crps",
    )
)  # fmt: skip
# overall_score = these weights of: probability that alpha is positive after all trials; probability that the forecast
# beats no change; 1 − |maximum drawdown|. Evidence weighs most, for the other two can be had by luck or by doing nothing.
SCORE_WEIGHTS = (0.6, 0.2, 0.2)


def evaluation_of(
    bench: Bench,
    model_id: str,
    *,
    metrics: Sequence[str],
    period: str,
    reproduce: str,
    more: Sequence[Evidence] = (),
    now: float,
) -> EvaluationCard:
    """The only model on the bench. more: further figures of it; now: Unix seconds. Raises InvalidRequest for unknown metrics."""
    names = [name for name in dict.fromkeys((*check_metrics(metrics), *ROW_METRICS)) if name not in JUDGED_METRICS]
    record, book = bench.models[0], EvidenceBook()
    found = figures(record, bench.bars, book, names=names, benchmark=bench.benchmark, seed=RESAMPLING_SEED)
    found |= judged_figures(bench, 0, book)
    found |= {item.name: book.adopt(item) for item in more}
    stretch = in_period(record, bench, period, book)
    return EvaluationCard(
        evaluation_id=evaluation_id(
            model_id, bench.bars.fingerprint, period_days(period), bench.ledger_position, code_version()
        ),
        model_id=model_id,
        symbol=bench.bars.symbol,
        timeframe=bench.bars.timeframe,
        period=canonical_period(period),
        overall_score=overall_score(found) if bench.judgement.bars >= MIN_BARS else None,
        metrics=found,
        in_period=stretch,
        trust=trust_card(bench, book, reproduce, now=now),
        created_at=iso(now),
        curves=tuple(curve(each, bench.bars) for each in (record, *bench.baselines[:2])),
    )


def overall_score(found: dict[str, Evidence]) -> float:
    """0 … 1. See SCORE_WEIGHTS; a figure that is undefined counts as 0.

    A model that never trades has no alpha, scores 0 there, and so can never lead one that has evidence.
    """
    real = number(found["deflated_sharpe"]) or 0.0
    p = number(found.get("dm_p_value"))
    skill = 0.0 if p is None else 1.0 - p
    drawdown = number(found.get("drawdown"))
    calm = 0.0 if drawdown is None else 1.0 - min(1.0, abs(drawdown))
    return round(SCORE_WEIGHTS[0] * real + SCORE_WEIGHTS[1] * skill + SCORE_WEIGHTS[2] * calm, 6)


def to_remember(card: EvaluationCard, *, request_id: str) -> Evaluation:
    """What is kept of a card; `remembered` reads it back, without its curves and the stretch shown."""
    return Evaluation(
        model_id=card.model_id,
        request_id=request_id,
        symbol=card.symbol,
        timeframe=card.timeframe,
        evaluated_at=card.created_at,
        code_version=code_version(),
        overall_score=card.overall_score,
        figures=tuple(card.metrics.values()),
        trust=card.trust,
        period_days=period_days(card.period),
    )


def remembered(past: Evaluation) -> EvaluationCard:
    return EvaluationCard(
        evaluation_id=past.evaluation_id,
        model_id=past.model_id,
        symbol=past.symbol,
        timeframe=past.timeframe,
        period=canonical_period(f"{past.period_days}d") if past.period_days else "all",
        overall_score=past.overall_score,
        metrics={item.name: item for item in past.figures},
        in_period={},
        trust=past.trust,
        created_at=past.evaluated_at,
    )


def number(item: Evidence | None) -> float | None:
    return float(item.value) if item is not None and isinstance(item.value, int | float) else None
