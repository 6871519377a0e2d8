"""The verdict. Worlds are simulated with fat tails, clustered volatility and market drift, where a naive test goes wrong."""

from __future__ import annotations

import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from evolve.backtest.gate import MIN_BARS, Judgement, judge, vol_targeted
from evolve.errors import InvalidRequest

YEAR = 252
BARS = 2016  # eight years
WORLDS, PROOF_DRAWS = 200, 1000
PAGE = Path(__file__).resolve().parents[3] / "docs" / "evaluation.md"


def market(rng: np.random.Generator, *, drift_sharpe: float, bars: int = BARS) -> np.ndarray:
    """Daily returns: 16 % a year on average, log-AR(1) volatility, Student-t shocks, the given Sharpe ratio."""
    shocks = rng.normal(size=bars) * 0.35 * np.sqrt(1 - 0.98**2)
    log_volatility = np.empty(bars)
    state = rng.normal() * 0.35
    for bar, shock in enumerate(shocks):
        state = 0.98 * state + shock
        log_volatility[bar] = state
    volatility = 0.01 * np.exp(log_volatility)
    return volatility * rng.standard_t(5, bars) / np.sqrt(5 / 3) + drift_sharpe * 0.01 / np.sqrt(YEAR)


def random_positions(rng: np.random.Generator, candidates: int, bars: int = BARS) -> np.ndarray:
    """Positions that know nothing: long-only, long-short and with pauses, held from one bar to half a year."""
    positions = np.empty((bars, candidates))
    for candidate in range(candidates):
        hold = int(rng.choice([1, 3, 10, 40, 120]))
        levels = [(-1, 1), (0, 1), (-1, 0, 1)][candidate % 3]
        positions[:, candidate] = np.repeat(rng.choice(levels, bars // hold + 1), hold)[:bars]
    return positions


def world(
    seed: int, *, drift_sharpe: float, candidates: int, planted_sharpe: float | None = None, draws: int = 300
) -> Judgement:
    rng = np.random.default_rng([seed, candidates, int(10 * drift_sharpe)])
    benchmark = market(rng, drift_sharpe=drift_sharpe)
    positions = random_positions(rng, candidates)
    if planted_sharpe is not None:
        # Right on the sign often enough that the mean return is that Sharpe ratio.
        share = 0.5 + 0.5 * planted_sharpe * benchmark.std() / np.abs(benchmark).mean() / np.sqrt(YEAR)
        right = rng.random(BARS) < share
        positions[:, 0] = np.where(right, np.sign(benchmark), -np.sign(benchmark))
    return judge(
        positions * benchmark[:, None],
        benchmark,
        [f"candidate {index}" for index in range(candidates)],
        horizon_bars=5,
        trials=candidates,
        bars_per_year=YEAR,
        rng=rng,
        draws=draws,
    )


def judged(
    returns: np.ndarray, benchmark: np.ndarray, *, trials: int | None = None, bars_per_year: float = YEAR
) -> Judgement:
    names = [f"candidate {index}" for index in range(returns.shape[1])]
    return judge(
        returns,
        benchmark,
        names,
        horizon_bars=1,
        trials=trials or len(names),
        bars_per_year=bars_per_year,
        rng=np.random.default_rng(1),
        draws=500,
    )


def timed(benchmark: np.ndarray, *, share_right: float, seed: int = 2) -> np.ndarray:
    right = np.random.default_rng(seed).random(len(benchmark)) < share_right
    return np.where(right, np.abs(benchmark), -np.abs(benchmark))


def test_noise_in_a_rising_market_is_no_edge() -> None:
    verdicts = Counter(world(seed, drift_sharpe=0.6, candidates=8).verdict for seed in range(40))

    assert verdicts["edge"] <= 2
    assert verdicts["edge"] + verdicts["no_edge"] == 40


def test_a_planted_timing_edge_is_found_and_named() -> None:
    judgements = [world(seed, drift_sharpe=0.6, candidates=8, planted_sharpe=2.0) for seed in range(20)]

    assert sum(judgement.verdict == "edge" and judgement.winner == 0 for judgement in judgements) >= 17


@pytest.mark.prove
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("candidates", [8, 100])
@pytest.mark.parametrize("drift_sharpe", [0.0, 0.6, 1.2])
def test_proof_noise_is_called_an_edge_at_most_one_time_in_twenty(drift_sharpe: float, candidates: int) -> None:
    verdicts = Counter(
        world(seed, drift_sharpe=drift_sharpe, candidates=candidates, draws=PROOF_DRAWS).verdict
        for seed in range(1000, 1000 + WORLDS)
    )

    write_row("noise", drift_sharpe, candidates, verdicts["edge"], "at most 5 %")
    assert verdicts["edge"] <= 0.05 * WORLDS


@pytest.mark.prove
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("candidates", "share"), [(8, 0.9), (100, 0.8)])
@pytest.mark.parametrize("drift_sharpe", [0.0, 0.6, 1.2])
def test_proof_a_planted_edge_is_found(drift_sharpe: float, candidates: int, share: float) -> None:
    found = sum(
        world(
            seed, drift_sharpe=drift_sharpe, candidates=candidates, planted_sharpe=2.0, draws=PROOF_DRAWS
        ).winner == 0
        for seed in range(2000, 2000 + WORLDS)
    )  # fmt: skip

    write_row("timing edge, Sharpe 2", drift_sharpe, candidates, found, f"at least {100 * share:.0f} %")
    assert found >= share * WORLDS


def write_row(planted: str, drift_sharpe: float, candidates: int, found: int, asked: str) -> None:
    """Put a proof's row into the table of docs/evaluation.md, in place of the one of an earlier run."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=PAGE.parent, capture_output=True, text=True)
    key = f"| {planted} | {drift_sharpe:g} | {candidates} |"
    row = f"{key} {found} of {WORLDS} ({100 * found / WORLDS:.1f} %) | {asked} | {datetime.now(UTC):%Y-%m-%d}, {commit.stdout.strip() or 'no commit'} |"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- gate -->\n")
    table, _, after = rest.partition("<!-- /gate -->")
    rows = sorted([line for line in table.splitlines()[2:] if not line.startswith(key)] + [row], key=_order)
    head = "| planted | market drift, Sharpe | candidates | called an edge | asked | on |\n|---|---|---|---|---|---|"
    text = "\n".join([head, *rows])
    PAGE.write_text(f"{before}<!-- gate -->\n{text}\n<!-- /gate -->{after}", encoding="utf-8")


def _order(row: str) -> tuple[str, int, float]:
    planted, drift, candidates = (cell.strip() for cell in row.split("|")[1:4])
    return planted, int(candidates), float(drift)


def test_being_long_a_rising_market_is_no_edge() -> None:
    """A raw Sharpe ratio of 2 that is all market: neither holding it, nor half of it, nor scaling it by volatility is skill."""
    benchmark = market(np.random.default_rng(3), drift_sharpe=2.0)
    returns = np.column_stack([benchmark, 0.5 * benchmark, vol_targeted(benchmark)])

    judgement = judged(returns, benchmark)

    assert judgement.verdict == "no_edge"
    assert {candidate.alpha.note for candidate in judgement.candidates} == {"the benchmark explains every bar of it"}


def test_buy_and_hold_less_its_entry_cost_is_no_edge() -> None:
    benchmark = market(np.random.default_rng(4), drift_sharpe=1.0)
    held = benchmark.copy()
    held[0] -= 0.001

    assert judged(held[:, None], benchmark).verdict == "no_edge"


def test_candidates_that_never_trade_neither_crash_nor_win() -> None:
    benchmark = market(np.random.default_rng(5), drift_sharpe=0.6)
    flat = np.zeros((BARS, 2))

    alone = judged(flat, benchmark)
    beside = judged(np.column_stack([flat, timed(benchmark, share_right=0.62)]), benchmark)

    assert (alone.verdict, alone.winner) == ("no_edge", None)
    assert alone.candidates[0].alpha.note == "it never held a position"
    assert (beside.verdict, beside.winner) == ("edge", 2)


def test_a_few_lucky_days_are_an_anecdote() -> None:
    benchmark = market(np.random.default_rng(6), drift_sharpe=0.6)
    lucky = np.zeros((BARS, 1))
    lucky[100:2000:100] = 0.02

    judgement = judged(lucky, benchmark)

    assert judgement.verdict == "no_edge"
    assert "19 bars only" in judgement.candidates[0].alpha.note


def test_too_few_bars_are_no_verdict_however_good_they_look() -> None:
    benchmark = market(np.random.default_rng(7), drift_sharpe=0.6, bars=MIN_BARS - 1)

    judgement = judged(np.abs(benchmark)[:, None], benchmark)

    assert (judgement.verdict, judgement.winner) == ("insufficient_data", None)
    assert "249 bars" in judgement.reason
    assert judgement.candidates[0].alpha.value is None


def test_silence_on_a_short_record_proves_nothing() -> None:
    """1.2 years: an alpha with a Sharpe ratio of 2 would be missed more often than not, so `no_edge` would be a claim too many."""
    rng = np.random.default_rng(8)
    benchmark = market(rng, drift_sharpe=0.6, bars=300)

    judgement = judged(random_positions(rng, 3, 300) * benchmark[:, None], benchmark)

    assert judgement.verdict == "insufficient_data"
    assert judgement.reason.startswith("Not enough data")
    assert "proves little" in judgement.reason


def test_an_edge_large_enough_is_seen_on_a_short_record() -> None:
    benchmark = market(np.random.default_rng(9), drift_sharpe=0.6, bars=300)

    assert judged(timed(benchmark, share_right=0.75)[:, None], benchmark).verdict == "edge"


def test_trials_made_elsewhere_count_against_the_winner() -> None:
    benchmark = market(np.random.default_rng(10), drift_sharpe=0.6)
    returns = timed(benchmark, share_right=0.57)[:, None]

    first, after_many = judged(returns, benchmark), judged(returns, benchmark, trials=100_000)

    assert first.verdict == "edge"
    assert after_many.verdict != "edge"
    assert "after 100000 trials" in after_many.reason
    assert after_many.hurdle_sharpe > first.hurdle_sharpe


def test_the_same_seed_gives_the_same_judgement() -> None:
    assert world(11, drift_sharpe=0.6, candidates=4) == world(11, drift_sharpe=0.6, candidates=4)


def test_the_alpha_of_a_planted_edge_is_what_was_planted() -> None:
    judgement = world(12, drift_sharpe=0.6, candidates=8, planted_sharpe=2.0)
    alpha = judgement.candidates[0].alpha

    # A Sharpe ratio of 2 at about 17 % volatility; the interval is honest about eight years.
    assert alpha.low is not None
    assert alpha.high is not None
    assert alpha.low < 2 * 0.17 < alpha.high
    assert judgement.years == 8


def test_vol_targeting_looks_only_back() -> None:
    returns = market(np.random.default_rng(13), drift_sharpe=0.0, bars=300)
    changed = returns.copy()
    changed[200:] *= 5

    before, after = vol_targeted(returns), vol_targeted(changed)

    assert before[:200].tobytes() == after[:200].tobytes()
    # On bar 200 itself the scale is still the old one.
    assert after[200] == pytest.approx(5 * before[200])


def test_vol_targeting_evens_out_what_it_can_foresee() -> None:
    rng = np.random.default_rng(14)
    calm_then_wild = rng.normal(size=2000) * np.where(np.arange(2000) % 400 < 200, 0.005, 0.02)

    scaled = vol_targeted(calm_then_wild)

    def spread(values: np.ndarray) -> float:
        halves = values[400:].reshape(-1, 200).std(axis=1)
        return float(halves.max() / halves.min())

    assert spread(scaled) < 0.6 * spread(calm_then_wild)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 1}, "at least the 2 candidates"),
        ({"horizon_bars": 0}, "horizon_bars"),
        ({"bars_per_year": 0}, "bars_per_year"),
        ({"draws": 10}, "draws"),
        ({"names": ["one"]}, "as many names"),
        ({"candidate_returns": np.full((300, 2), np.nan)}, "nan"),
        ({"benchmark_returns": np.zeros(299)}, "equally long"),
    ],
)
def test_what_cannot_be_judged_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {
        "candidate_returns": np.zeros((300, 2)),
        "benchmark_returns": np.zeros(300),
        "names": ["one", "two"],
        "horizon_bars": 1,
        "trials": 2,
        "bars_per_year": YEAR,
        "rng": np.random.default_rng(1),
        **change,
    }
    with pytest.raises(InvalidRequest, match=message):
        judge(**arguments)  # type: ignore[arg-type]


def test_a_market_that_stood_still_is_judged_without_a_crash() -> None:
    rng = np.random.default_rng(15)

    assert judged(rng.normal(0, 0.01, (BARS, 2)), np.zeros(BARS)).verdict == "no_edge"
