"""A sweep is what single runs would say, ranked as the many trials they are, and does nothing twice."""

from __future__ import annotations

import pytest

from evolve.agents.sweep import Ranked, Sweep, rank
from evolve.errors import InvalidRequest, JobDied
from evolve.market.catalog import Catalog
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.memory.sweep_scores import SweepScore, SweepScores
from evolve.memory.trials import TrialLedger
from evolve.settings import Settings


def unheard(*_: object) -> None:
    pass


@pytest.fixture
def sweep(tmp_path):
    settings = Settings.load(home=tmp_path)
    with Database.open(settings) as database:
        yield Sweep(Catalog(BarStore(tmp_path)), SweepScores(database), TrialLedger(database))


def run(sweep: Sweep, symbols=("AAPL", "IBM", "NOWHERE"), models=("ridge",), **options):
    return sweep.run(symbols, models, timeframe=None, simulate=False, workers=1, **{"progress": unheard, **options})


def score(symbol: str, *, p: float | None = 0.01, alpha_sharpe: float | None = 0.05) -> SweepScore:
    return SweepScore(
        symbol=symbol, timeframe="1d", model_type="ridge", recipe_hash=symbol, data_fingerprint="d", code_version="c", counted_on=symbol,
        source="s", tested_bars=1000, sharpe=1.0, sharpe_per_bar=0.05, total_return=0.1, drawdown=-0.1, relative_mae=1.0, skill_p=0.5,
        alpha=0.1, p=p, alpha_sharpe=alpha_sharpe, skew=0.0, kurtosis=3.0, why="",
    )  # fmt: skip


def test_an_interrupted_sweep_goes_on_where_it_stood_and_counts_each_trial_once(sweep, monkeypatch):
    """The second pair ends the sweep the first time; what the first one scored is there, and is not scored again."""
    from evolve.agents import sweep as module

    real, scored = module.score_of, []

    def once(recipe, bars):
        scored.append(recipe.symbol)
        if scored == ["AAPL", "IBM"]:
            raise KeyboardInterrupt
        return real(recipe, bars)

    monkeypatch.setattr(module, "score_of", once)
    with pytest.raises(KeyboardInterrupt):
        run(sweep)
    assert sweep.ledger.count("AAPL") == 1

    steps: list[tuple[int, int, str]] = []
    done = run(sweep, progress=lambda *step: steps.append(step))

    assert scored == ["AAPL", "IBM", "IBM"]
    assert (done.found, done.trials, len(done.ranked)) == (1, 2, 2)
    assert steps[-1] == (2, 2, "pairs scored")
    assert [(each.symbol, "no symbol 'NOWHERE'" in each.reason) for each in done.skipped] == [("NOWHERE", True)]
    assert run(sweep).ranked == done.ranked
    assert scored == ["AAPL", "IBM", "IBM"]


def test_a_pair_that_ends_every_worker_is_left_out_and_named_and_the_others_are_scored(sweep, monkeypatch):
    begun = []

    def dies(function, items, **options):
        begun.append([item.symbol for item in items])
        for index, item in enumerate(items):
            if item.symbol == "IBM":
                raise JobDied("killed 4 times", item=index)
            options["each"](index, function(item))

    monkeypatch.setattr("evolve.agents.sweep.map_work", dies)

    done = run(sweep, ("AAPL", "IBM", "MSFT"))

    assert begun == [["AAPL", "IBM", "MSFT"], ["MSFT"]]
    assert {each.score.symbol for each in done.ranked} == {"AAPL", "MSFT"}
    assert [(each.symbol, each.model_type, each.reason) for each in done.skipped] == [
        ("IBM", "ridge", "killed 4 times")
    ]


def test_a_cluster_that_goes_away_ends_the_sweep_and_what_was_scored_is_kept(sweep, monkeypatch):
    def goes(function, items, **options):
        options["each"](0, function(items[0]))
        raise JobDied("the cluster is gone")

    monkeypatch.setattr("evolve.agents.sweep.map_work", goes)

    with pytest.raises(JobDied, match="gone"):
        run(sweep)

    assert sweep.ledger.count("AAPL") == 1


def test_more_trials_make_the_same_result_less_remarkable():
    few, many = rank([score("A")], trials=1)[0], rank([score("A")], trials=1000)[0]

    # sharpe 0.05 over 1,000 bars of a normal: z = 0.05 · √999 / √(1 + 0.05²/2) = 1.579, Φ = 0.943
    assert few.deflated == pytest.approx(0.943, abs=1e-3)
    assert many.deflated is not None
    assert many.deflated < 0.06


def test_p_values_are_adjusted_as_holm_does_and_what_cannot_be_judged_comes_last():
    ranked = rank(
        [score("B", p=None, alpha_sharpe=None), score("A", p=0.01), score("C", p=0.04), score("D", p=0.03)], trials=1
    )

    assert {each.score.symbol: each.holm_p and round(each.holm_p, 12) for each in ranked} == {
        "A": 0.03,
        "C": 0.06,
        "D": 0.06,
        "B": None,
    }
    assert ranked[-1].score.symbol == "B"
    assert not Ranked(score("A"), 0.99, 0.06).stands_out
    assert Ranked(score("A"), 0.99, 0.05).stands_out


def test_a_baseline_is_no_candidate(sweep):
    with pytest.raises(InvalidRequest, match="naive is a baseline"):
        run(sweep, models=("ridge", "naive"))
