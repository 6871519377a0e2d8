"""How much of a planted signal of true R² 2 % do the families find on 3,000 bars, and what do they lose on noise?

Every world is fitted on its first 2,000 bars and forecast on the last 1,000; `found` is the share of the knowable variance that
the forecasts explain. `make test` looks at two worlds, `make prove` at 24 of each kind; the table of docs/models.md is what

    make prove ARGS="tests/unit/forecasting/test_skill.py -rP"

prints at its end.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
import pytest
from worlds import KNOWABLE, planted

from evolve.forecasting.base import forecaster

WORLDS = 24
TRAINED, BARS = 2000, 3000
# Where torch is missing the networks are, and the ensemble stands on the other two.
TORCH = ("lstm", "tcn", "transformer") if importlib.util.find_spec("torch") is not None else ()
SHARES = {"ridge": 0.55, "xgboost": 0.50, **dict.fromkeys(TORCH, 0.55)}
LEARNING = (*SHARES, "ensemble")


UNKNOWABLE = ("sign_of_volatility", "latent_drift")


def score(family: str, signal: str, seed: int) -> float:
    """Share found in one world; for noise the R²."""
    world = planted(signal, bars=BARS, seed=seed)
    fitted = forecaster(family).fit(world.bars.slice(0, TRAINED), seed=1)
    mean = fitted.predict(world.bars, TRAINED, BARS - 1).mean
    return (world.r2 if signal == "noise" else world.found)(mean, TRAINED)


@cache  # what one proof computed, the next one need not
def scores(family: str, signal: str) -> tuple[float, ...]:
    return tuple(score(family, signal, seed) for seed in range(WORLDS))


def mean_found(family: str) -> float:
    return float(np.mean([scores(family, signal) for signal in KNOWABLE]))


@pytest.mark.parametrize("family", LEARNING)
def test_in_one_world_much_is_found_and_nothing_lost_on_noise(family):
    assert score(family, "momentum", 5) >= 0.4
    assert score(family, "noise", 5) >= -0.01


@pytest.mark.prove
@pytest.mark.parametrize("family", SHARES)
def test_families_find_their_share_of_a_planted_signal_over_24_worlds_of_each_kind(family):
    assert mean_found(family) >= SHARES[family]


@pytest.mark.prove
def test_the_ensemble_finds_as_much_as_the_best_family_less_five_points():
    assert mean_found("ensemble") >= max(mean_found(family) for family in SHARES) - 0.05


@pytest.mark.prove
@pytest.mark.parametrize("family", LEARNING)
def test_families_lose_nearly_nothing_on_24_worlds_of_noise(family):
    lost = scores(family, "noise")

    assert np.mean(lost) >= -0.002
    assert min(lost) >= -0.01


@pytest.mark.prove
@pytest.mark.parametrize("signal", UNKNOWABLE)
@pytest.mark.parametrize("family", LEARNING)
def test_what_nobody_finds_is_hardly_found(family, signal):
    """Nothing in the features says it: a family that found it would be looking ahead."""
    assert -0.02 <= np.mean(scores(family, signal)) <= 0.10


@pytest.mark.prove
def test_the_table_of_what_was_found_is_printed():
    kinds = (*KNOWABLE, *UNKNOWABLE)
    print(f"| family | {' | '.join(KNOWABLE)} | mean | {' | '.join(UNKNOWABLE)} | noise, mean | noise, worst |")
    print(f"|---{'|---' * (len(kinds) + 3)}|")
    for family in LEARNING:
        found = {signal: f"{np.mean(scores(family, signal)):.0%}" for signal in kinds}
        lost = scores(family, "noise")
        cells = [
            *(found[signal] for signal in KNOWABLE),
            f"**{mean_found(family):.0%}**",
            *(found[signal] for signal in UNKNOWABLE),
        ]
        print(f"| {family} | {' | '.join(cells)} | {np.mean(lost):+.3%} | {min(lost):+.2%} |")
        assert len(lost) == WORLDS
