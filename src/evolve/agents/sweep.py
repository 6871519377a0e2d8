"""Which of many models on which of many symbols deserves a closer look? Each pair walked forward, all ranked as what they are: many trials.

A pair is scored once: the same recipe on the same bars by the same code is found again, so that a sweep that was interrupted goes on
where it stood. The ranking counts every trial the ledger knows on any of the symbols, since the best of all of them is what is looked
at. A sweep gives no verdict; `evolve ask` does, for what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evolve.agents.figures import figures
from evolve.agents.track_record import (
    FOLDS,
    RESAMPLING_SEED,
    counted_on,
    first_train_bars,
    forecast_out_of_sample,
    record_of_constant,
    record_of_forecasts,
    trials_of,
    usable_history,
)
from evolve.backtest.gate import alphas, why_barred
from evolve.backtest.return_sums import return_sums
from evolve.backtest.significance import deflated_sharpe_ratio
from evolve.cards import Recipe
from evolve.compute.work import map_work
from evolve.errors import DataUnavailable, InvalidRequest, JobDied, MissingExtra, UnknownSymbol
from evolve.evidence import Evidence, EvidenceBook
from evolve.forecasting.base import BASELINES, forecaster
from evolve.forecasting.features import usable
from evolve.market.bars import Bars
from evolve.market.calendar import default_costs
from evolve.market.catalog import Catalog
from evolve.memory.canonical import recipe_hash
from evolve.memory.sweep_scores import SweepScore, SweepScores, score_id
from evolve.memory.trials import TrialLedger
from evolve.statistics.comparison import p_value
from evolve.version import code_version

Progress = Callable[[int, int, str], None]
METRICS = ("sharpe", "total_return", "drawdown", "relative_mae", "skill_p_value")
LEVEL = 0.05
NO_MEMORY = "it needs more memory than a worker has; raise EVOLVE_COMPUTE_MEMORY_MB, or use fewer workers"
SCORED = "pairs scored"
# How long a walk-forward takes beside ridge's (30 ms of CPU on 600 bars), roughly: what is wrong here costs time, and nothing else.
_EFFORT = {"ridge": 1, "ets": 2, "xgboost": 13, "lstm": 17, "tcn": 27, "ensemble": 28, "transformer": 32}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A pair, or a symbol with all its pairs (model_type ""), that could not be scored, and why."""

    symbol: str
    model_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """deflated: probability that the alpha is positive after all trials; holm_p: its p-value, adjusted for all pairs of the sweep."""

    score: SweepScore
    deflated: float | None
    holm_p: float | None

    @property
    def stands_out(self) -> bool:
        return (
            self.deflated is not None
            and self.holm_p is not None
            and self.deflated >= 1 - LEVEL
            and self.holm_p <= LEVEL
        )


@dataclass(frozen=True, slots=True)
class Swept:
    """ranked: best first. trials: what they were deflated by. found: scores that were there already."""

    ranked: tuple[Ranked, ...]
    skipped: tuple[Skipped, ...]
    trials: int
    found: int


@dataclass(frozen=True)
class Sweep:
    catalog: Catalog
    scores: SweepScores
    ledger: TrialLedger

    def run(
        self, symbols: Sequence[str], models: Sequence[str], *, timeframe: str | None, simulate: bool, workers: int, seed: int = 0,
        engine: str | None = None, progress: Progress,
    ) -> Swept:  # fmt: skip
        """Raises InvalidRequest for a model type that is none, JobDied when workers end for no pair's sake; what was scored by then is kept."""
        for model in models:
            if forecaster(model).family in BASELINES:
                raise InvalidRequest(
                    f"{model} is a baseline, which every score is measured against; name models to be tried"
                )
        bars, skipped = self._bars(symbols, timeframe, simulate=simulate, progress=progress)
        recipes = [recipe for symbol in bars for model in models if (recipe := _recipe(model, bars[symbol], seed))]
        ids = [_id(recipe, bars) for recipe in recipes]
        before = len(self.scores.found(ids))
        failed = self._score(recipes, bars, workers=workers, engine=engine, progress=progress)
        found = self.scores.found(ids)
        trials = sum(self.ledger.count(name) for name in {score.counted_on for score in found.values()})
        ranked = rank(list(found.values()), trials=max(1, trials))
        return Swept(ranked, (*skipped, *failed), trials, before)

    def _bars(
        self, symbols: Sequence[str], timeframe: str | None, *, simulate: bool, progress: Progress
    ) -> tuple[dict[str, Bars], list[Skipped]]:
        bars: dict[str, Bars] = {}
        skipped = []
        for number, symbol in enumerate(symbols, start=1):
            try:
                loaded, _ = usable_history(self.catalog.load(symbol, timeframe, simulate=simulate))
                bars[loaded.symbol] = loaded
            except (UnknownSymbol, DataUnavailable) as error:
                skipped.append(Skipped(symbol, "", error.message))
            progress(number, len(symbols), "bars loaded")
        return bars, skipped

    def _score(
        self,
        recipes: Sequence[Recipe],
        bars: Mapping[str, Bars],
        *,
        workers: int,
        engine: str | None,
        progress: Progress,
    ) -> list[Skipped]:
        """Score what is not scored yet, and keep each as it is there."""

        def score(recipe: Recipe) -> SweepScore | Skipped:
            try:
                return score_of(recipe, bars[recipe.symbol])
            except (DataUnavailable, MissingExtra) as error:
                return Skipped(recipe.symbol, recipe.model_type, error.message)
            except MemoryError:
                return Skipped(recipe.symbol, recipe.model_type, NO_MEMORY)

        there = self.scores.found(_id(recipe, bars) for recipe in recipes)
        waiting = longest_first([recipe for recipe in recipes if _id(recipe, bars) not in there])
        left = {(recipe.symbol, recipe.model_type): recipe for recipe in waiting}
        failed: list[Skipped] = []

        def keep(_: int, result: SweepScore | Skipped) -> None:
            failed.append(result) if isinstance(result, Skipped) else self.scores.keep(result)
            del left[result.symbol, result.model_type]

        while left:
            begun = list(left.values())
            try:
                map_work(
                    score, begun, workers=workers, each=keep, engine=engine,
                    progress=lambda *_: progress(len(recipes) - len(left), len(recipes), SCORED),
                )  # fmt: skip
            except JobDied as error:
                deadly = error.details.get("item")
                if not isinstance(deadly, int):
                    raise
                # A pair that ends every worker is left out; the others are not its fault.
                recipe = begun[deadly]
                keep(deadly, Skipped(recipe.symbol, recipe.model_type, error.message))
        return failed


def longest_first(recipes: Sequence[Recipe]) -> list[Recipe]:
    """A long one that began last would be worked on alone. Of equal ones the order stays."""
    longest = max(_EFFORT.values())
    return sorted(recipes, key=lambda recipe: -_EFFORT.get(recipe.model_type, longest))


def score_of(recipe: Recipe, bars: Bars) -> SweepScore:
    """Walk the recipe forward and say what the ranking needs of it."""
    forecasts = forecast_out_of_sample(bars, recipe)
    costs = default_costs(bars.symbol)
    record = record_of_forecasts(recipe.model_type, forecasts, bars, costs, model_id=None)
    shown = figures(record, bars, EvidenceBook(), names=METRICS, seed=RESAMPLING_SEED)
    hold = record_of_constant("buy_and_hold", 1.0, record.start, bars, costs)
    fit = alphas(record.returns[:, None], hold.returns, horizon_bars=recipe.horizon_bars)
    why = why_barred(record.returns[:, None], fit)[0]
    trial = next(iter(trials_of([record], [recipe], bars)), None)
    score = SweepScore(
        symbol=bars.symbol, timeframe=bars.timeframe, model_type=recipe.model_type,
        recipe_hash=recipe_hash(recipe), data_fingerprint=bars.fingerprint, code_version=code_version(),
        counted_on=counted_on(bars), source=bars.source, tested_bars=len(record.returns),
        sharpe=_number(shown["sharpe"]), sharpe_per_bar=None if trial is None else trial.sharpe_per_bar,
        total_return=_number(shown["total_return"]), drawdown=_number(shown["drawdown"]),
        relative_mae=_number(shown["relative_mae"]), skill_p=_number(shown["skill_p_value"]),
        alpha=None, p=None, alpha_sharpe=None, skew=None, kurtosis=None, why=why,
    )  # fmt: skip
    if why:
        return score
    alpha, own = float(fit.alpha[0]), return_sums(float(fit.alpha[0]) + fit.residual[:, 0])
    return replace(
        score,
        alpha=alpha * bars.bars_per_year,
        p=float(p_value(float(fit.t[0]), fit.degrees_of_freedom, "greater")),
        alpha_sharpe=own.mean / own.deviation(ddof=1),
        skew=own.skewness,
        kurtosis=own.kurtosis,
    )


def _number(figure: Evidence) -> float | None:
    return float(figure.value) if isinstance(figure.value, int | float) else None


def rank(scores: Sequence[SweepScore], *, trials: int) -> tuple[Ranked, ...]:
    """Best first: by the deflated probability, then by p; what cannot be judged comes last, by name."""
    holm = _holm([score.p for score in scores])
    ranked = [Ranked(score, _deflated(score, trials), adjusted) for score, adjusted in zip(scores, holm, strict=True)]
    return tuple(
        sorted(
            ranked,
            key=lambda each: (
                each.deflated is None,
                -(each.deflated or 0.0),
                1.0 if each.score.p is None else each.score.p,
                each.score.symbol,
                each.score.model_type,
            ),
        )
    )


def _deflated(score: SweepScore, trials: int) -> float | None:
    if score.alpha_sharpe is None or score.skew is None or score.kurtosis is None:
        return None
    # The null variance, as the gate's: that across trials would count skill as luck once several candidates are good.
    found = deflated_sharpe_ratio(
        score.alpha_sharpe, trials=trials, variance=1 / score.tested_bars, bars=score.tested_bars, skew=score.skew, kurtosis=score.kurtosis,
    )  # fmt: skip
    return found.value


def _holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values. Source: Holm (1979), A simple sequentially rejective multiple test procedure."""
    known = sorted((value, index) for index, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    highest = 0.0
    for place, (value, index) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - place) * value))
        adjusted[index] = highest
    return adjusted


def _recipe(model: str, bars: Bars, seed: int) -> Recipe:
    """What `evolve build` would make of this model and these bars, by its defaults."""
    family = forecaster(model)
    features = usable(bars, ())[0] if family.reads_features else ()
    return Recipe(
        model_type=family.family, symbol=bars.symbol, timeframe=bars.timeframe, features=features,
        hyperparameters=dict(family.settings(None)), horizon_bars=1, seed=seed, folds=FOLDS, embargo_bars=0,
        first_train_bars=first_train_bars(len(bars), horizon_bars=1),
    )  # fmt: skip


def _id(recipe: Recipe, bars: Mapping[str, Bars]) -> str:
    return score_id(recipe_hash(recipe), bars[recipe.symbol].fingerprint, code_version())
