"""Which of them did best? Models and baselines side by side, ranked, and what each did in the stretch that was asked about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evolve.agents.bench import Bench, Progress
from evolve.agents.figures import figures
from evolve.agents.track_record import RESAMPLING_SEED, TrackRecord, curve, decided_alike
from evolve.agents.trust import judged_figures, trust_card
from evolve.cards import ComparisonCard, RankedRow, Winner
from evolve.evidence import Evidence, EvidenceBook
from evolve.market.types import canonical_period, period_days

ROW_METRICS = (
    "sharpe", "total_return", "cagr", "volatility", "drawdown", "win_rate", "turnover_per_year", "exposure", "costs_paid",
    "decision", "skill_r2", "relative_mae", "dm_p_value", "skill_p_value", "direction", "band_coverage",
    "next_return", "up_probability", "horizon_bars",
)  # fmt: skip
PERIOD_METRICS = ("total_return", "sharpe", "drawdown")
UNDRAWN = ("flat", "naive")  # straight lines
MODELS_DRAWN = 4  # with the baselines as many curves as an eye can follow, and a terminal has marks for


def comparison_of(bench: Bench, period: str, *, reproduce: str, now: float, progress: Progress) -> ComparisonCard:
    """Everyone on the bench, ranked by net Sharpe ratio, with the verdict. reproduce: the command that gives the same figures; now: Unix seconds."""
    book = EvidenceBook()
    rows = []
    everyone = (*bench.models, *bench.baselines)
    for done, record in enumerate(everyone, start=1):
        found = figures(record, bench.bars, book, names=ROW_METRICS, seed=RESAMPLING_SEED)
        if record.kind == "model":
            found |= judged_figures(bench, bench.models.index(record), book)
        found |= {f"period_{name}": item for name, item in in_period(record, bench, period, book).items()}
        rows.append((record, found))
        progress("score", done, len(everyone), f"{record.name} scored")
    rows.sort(key=lambda row: -_rank_key(row[1]))
    judgement = bench.judgement
    winner = None
    if judgement.winner is not None:
        winner = Winner(bench.models[judgement.winner].model_id or "", judgement.reason)
    return ComparisonCard(
        symbol=bench.bars.symbol,
        timeframe=bench.bars.timeframe,
        period=canonical_period(period),
        winner=winner,
        verdict=judgement.verdict,
        reason=judgement.reason,
        rows=tuple(
            RankedRow(rank, record.name, record.kind, record.model_id, found)
            for rank, (record, found) in enumerate(rows, start=1)
        ),
        trust=trust_card(bench, book, reproduce, now=now),
        curves=tuple(curve(record, bench.bars) for record in _drawn([record for record, _ in rows])),
    )


def _drawn(ranked: Sequence[TrackRecord]) -> list[TrackRecord]:
    """Models first, the best first of all: a picture puts what comes first on top. What says nothing of its own is left out."""
    models = [record for record in ranked if record.kind == "model"]
    moved = [record for record in models if np.ptp(record.returns) > 0]
    repeated = [record for group in decided_alike(moved) for record in group[1:]]
    drawn = [record for record in moved if record not in repeated][:MODELS_DRAWN] or models[:1]
    return [*drawn, *(record for record in ranked if record.kind == "baseline" and record.name not in UNDRAWN)]


def in_period(record: TrackRecord, bench: Bench, period: str, book: EvidenceBook) -> dict[str, Evidence]:
    """What it did in the stretch shown: a picture, not evidence."""
    last = max(1, min(bench.bars.bars_within(period_days(period)), len(record.returns)))
    return figures(record, bench.bars, book, names=PERIOD_METRICS, last_bars=last, benchmark=None, seed=RESAMPLING_SEED)


def _rank_key(found: dict[str, Evidence]) -> float:
    """Net Sharpe ratio over all tested bars; what never trades counts as 0, between what earned and what lost."""
    value = found["sharpe"].value
    return float(value) if isinstance(value, int | float) else 0.0
