"""Why (not) believe a verdict? What the gate, chance and the second opinions found, as the figures of a trust card."""

from __future__ import annotations

import numpy as np

from evolve.agents.bench import Bench
from evolve.agents.figures import conventions
from evolve.agents.track_record import RESAMPLING_SEED, decided_alike
from evolve.backtest.gate import MIN_BARS, alphas, why_barred
from evolve.backtest.significance import backtest_overfitting, circular_shift_test
from evolve.cards import TrustCard
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.market.catalog import data_card
from evolve.statistics.metric import Metric
from evolve.statistics.selection import model_confidence_set, stepwise_superior

BASELINE_NAMES = ("buy_and_hold", "flat", "naive", "drift", "random_entry")
MIN_CSCV_BARS = 20  # two bars in each of the ten blocks
SET_CONFIDENCE = 0.90


def trust_card(bench: Bench, book: EvidenceBook, reproduce: str, *, now: float) -> TrustCard:
    """reproduce: the command that gives the same figures; now: Unix seconds. Adds what belongs to all candidates to `book`, which it then holds."""
    judgement, bars = bench.judgement, bench.bars
    data = data_card(bars, now)
    caveats = [*bench.notes, *data.notes]
    if data.status == "stale":
        caveats.append(f"the bars end on {data.last}: nothing here speaks of today")
    moved = [record for record in bench.models if np.ptp(record.returns) > 0]
    for group in decided_alike(moved):
        names = ", ".join(record.name for record in group)
        caveats.append(
            f"{names} held the same positions at every bar: what sets them apart was not believed on these bars"
        )
    if data.simulated:
        caveats.append(f"SIMULATED bars: no result on them is a view on the real {data.symbol}")

    def add(name: str, of: str, value: float | int | str | None, unit: Unit, computed: str, note: str = "") -> None:
        book.add(name, of, value, unit, as_of=data.last, source=data.source, computed=computed, note=note)

    add("spa_p_value", "all models", judgement.spa.value, "probability",
        "Hansen's SPA over the alphas of all candidates, stationary bootstrap", judgement.spa.note)  # fmt: skip
    add("trials", bars.symbol, judgement.trials, "count",
        f"distinct recipes tried on {bars.symbol}, ledger position {bench.ledger_position}")  # fmt: skip
    add("out_of_sample_bars", bars.symbol, judgement.bars, "bars", "bars after the first training stretch")
    add("hurdle_sharpe", "all models", float(judgement.hurdle_sharpe), "ratio",
        f"annual Sharpe ratio that the best of {judgement.trials} lucky trials is expected to show")  # fmt: skip
    shifted = _circular_shift(bench)
    add("circular_shift_p_value", "all models", shifted.value, "probability",
        "largest t of position × (return − mean) over the candidates, against all circular shifts of the positions", shifted.note)  # fmt: skip
    overfitted = _overfitting(bench)
    add("pbo", "all models", overfitted.value, "probability",
        "probability of backtest overfitting, CSCV with 10 blocks, by Sharpe ratio", overfitted.note)  # fmt: skip
    superior, why = _superior(bench)
    add("superior_models", "all models", superior, "text",
        "candidates whose alpha is positive, with a chance of 5 % of naming even one falsely (StepM, stationary bootstrap)", why)  # fmt: skip
    equal, why = _confidence_set(bench)
    add("model_confidence_set", "all models", equal, "text",
        "forecasts that cannot be told from the best by squared error, with 90 % confidence (MCS, T max); naive is no change", why)  # fmt: skip
    return TrustCard(
        verdict=judgement.verdict,
        reason=judgement.reason,
        data=data,
        costs=bench.costs,
        folds=bench.recipes[0].folds,
        out_of_sample_bars=judgement.bars,
        trials=judgement.trials,
        ledger_position=bench.ledger_position,
        baselines=BASELINE_NAMES,
        evidence=tuple(book),
        caveats=tuple(dict.fromkeys(caveats)),
        reproduce=reproduce,
    )


def judged_figures(bench: Bench, model: int, book: EvidenceBook) -> dict[str, Evidence]:
    """What was found about one model beside its own record: alpha and its evidence by the gate, and how chance did in its place."""
    verdict, chance = bench.judgement.candidates[model], bench.random_entries[model]
    explained = "net returns regressed on buy-and-hold and vol-targeted buy-and-hold, HAC errors, annualised"
    at_random = "strategies with the same turnover and exposure that enter at random"
    named: list[tuple[str, Metric, Unit, str]] = [
        ("alpha", verdict.alpha, "fraction", explained),
        ("alpha_t", verdict.t, "ratio", f"t statistic of alpha; {explained}"),
        ("alpha_p_value", verdict.p, "probability", f"one-sided, this candidate alone; {explained}"),
        ("probabilistic_sharpe", verdict.probabilistic_sharpe, "probability",
         "probability that the Sharpe ratio of alpha is positive, were this the only trial"),
        ("deflated_sharpe", verdict.deflated_sharpe, "probability",
         f"probability that the Sharpe ratio of alpha is positive after {bench.judgement.trials} trials (null variance 1/T)"),
        ("min_track_record_years", verdict.min_track_record_years, "years",
         "record after which such an alpha would be positive with 95 % probability, were this the only trial"),
        ("random_entry_sharpe", chance.sharpe, "ratio", f"median net Sharpe ratio of {at_random}"),
        ("random_entry_percentile", chance.percentile, "fraction", f"share, beaten by net Sharpe ratio, of {at_random}"),
    ]  # fmt: skip
    return {
        name: book.add(
            name, verdict.name, metric.value, unit, as_of=bench.bars.date(-1), source=bench.bars.source,
            computed=f"{how}; {conventions(metric)}", low=metric.low, high=metric.high, level=metric.level,
            note=metric.note if metric.value is None else "",
        )
        for name, metric, unit, how in named
    }  # fmt: skip


def _circular_shift(bench: Bench) -> Metric:
    """A second opinion on timing, beside the gate and never part of it."""
    first = max(record.start for record in bench.models) + 1
    # What is filled at the open of a bar is held to the next open.
    moves = bench.bars.open[first + 1 :] / bench.bars.open[first:-1] - 1
    positions = np.column_stack([record.backtest.position[first:-1] for record in bench.models])
    return circular_shift_test(positions, moves)


def _overfitting(bench: Bench) -> Metric:
    """The odds that the best was picked by luck."""
    traded = [record.returns for record in bench.models if np.ptp(record.returns) > 0]
    bars = len(bench.benchmark)
    if len(traded) < 2:
        return Metric.undefined(bars, "fewer than two models traded, so none was picked from others")
    if bars < MIN_CSCV_BARS:
        return Metric.undefined(bars, f"needs at least {MIN_CSCV_BARS} bars")
    found = backtest_overfitting(np.column_stack(traded))
    return Metric.of(found.probability, bars, f"{found.overfitted} of {found.splits} splits")


def _superior(bench: Bench) -> tuple[str | None, str]:
    """Names of the candidates with a positive alpha, all tested at once; or None and why not."""
    if len(bench.benchmark) < MIN_BARS:
        return None, f"needs at least {MIN_BARS} bars"
    returns = np.column_stack([record.returns for record in bench.models])
    horizon = max(recipe.horizon_bars for recipe in bench.recipes)
    fit = alphas(returns, bench.benchmark, horizon_bars=horizon)
    judged = [index for index, why in enumerate(why_barred(returns, fit)) if not why]
    if not judged:
        return None, "no candidate took a position of its own"
    found = stepwise_superior(
        fit.influence[:, judged],
        mean_block_bars=bench.judgement.mean_block_bars,
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
    return ", ".join(bench.models[judged[index]].name for index in found.superior) or "none", ""


def _confidence_set(bench: Bench) -> tuple[str | None, str]:
    """Names of the forecasts among which the best is; or None and why not."""
    start = max(record.start for record in bench.models)
    horizon = max(recipe.horizon_bars for recipe in bench.recipes)
    if any(recipe.horizon_bars != horizon for recipe in bench.recipes):
        return None, "forecasts over different horizons have no error in common"
    known = np.arange(start, len(bench.bars) - horizon)
    if len(known) < MIN_BARS:
        return None, f"needs at least {MIN_BARS} forecasts with an outcome"
    log_close = np.log(bench.bars.close)
    realised = log_close[known + horizon] - log_close[known]
    losses: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {"naive": realised**2}
    for record in bench.models:
        if record.forecasts is None:
            continue
        error = (record.forecasts.mean[known - record.forecasts.start] - realised) ** 2
        # Two that always forecast the same (shrunk to no change, say) are one.
        if not any(np.array_equal(error, other) for other in losses.values()):
            losses[record.name] = error
    if len(losses) < 2:
        return None, "no forecast differs from no change"
    names = list(losses)
    found = model_confidence_set(
        np.column_stack([losses[name] for name in names]),
        confidence=SET_CONFIDENCE,
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
    return ", ".join(names[index] for index in found.included), ""
