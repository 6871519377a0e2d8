"""The stack: its weights, what it does without torch, and that it survives being written down."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import planted

from evolve.errors import InvalidRequest
from evolve.forecasting import ensemble
from evolve.forecasting.base import forecaster, restore
from evolve.forecasting.ensemble import Stack, aligned, installed, stack

RNG = np.random.default_rng(0)
BARS = planted("ar1", bars=700, seed=1, r2=0.2).bars
FAST = {"members": "fast"}


def test_weights_are_never_negative_and_follow_what_helped():
    helpful, harmful = RNG.normal(0, 1, 4000), RNG.normal(0, 1, 4000)
    target = helpful - 0.5 * harmful + RNG.normal(0, 1, 4000)

    weights = stack(np.stack([helpful, harmful], axis=1), target)

    assert weights[0] == pytest.approx(1.0, abs=0.1)
    assert weights[1] == 0.0


def test_where_the_data_say_little_the_weights_are_equal():
    table = 1e-4 * RNG.normal(0, 1, (300, 4))

    np.testing.assert_allclose(stack(table, RNG.normal(0, 1, 300)), 0.25, atol=1e-3)


def test_a_family_that_forecast_nothing_weighs_nothing():
    spoke = RNG.normal(0, 1, 500)

    weights = stack(np.stack([np.zeros(500), spoke], axis=1), spoke)

    assert weights[0] == 0.0
    assert weights[1] == pytest.approx(1.0, abs=0.05)
    assert not stack(np.zeros((10, 2)), np.ones(10)).any()


def test_families_of_different_windows_are_compared_on_the_bars_that_both_forecast():
    lessons = [
        forecaster("ridge").learn(
            BARS, features=features, hyperparameters=None, horizon_bars=1, seed=0, progress=lambda *_: None
        )
        for features in (["return_1"], ["return_21"])
    ]  # fmt: skip

    table, target = aligned(lessons)

    assert len(target) == len(lessons[1].target) < len(lessons[0].target)
    np.testing.assert_array_equal(table[:, 0], lessons[0].out_of_fold[-len(target) :])


def test_without_torch_the_ensemble_is_built_without_networks_and_says_so(monkeypatch):
    monkeypatch.setattr(ensemble.importlib.util, "find_spec", lambda name: None)

    kept, notes = installed(("ridge", "xgboost", "lstm"))
    fitted = forecaster("ensemble").fit(BARS)

    assert kept == ("ridge", "xgboost")
    assert "built without lstm (`evolve setup torch` adds it)" in notes[0]
    assert isinstance(fitted, Stack)
    assert [part.family for part in fitted.parts] == ["ridge", "xgboost"]
    assert fitted.notes == notes


def test_a_saved_stack_forecasts_the_same_numbers_after_it_is_read_back():
    fitted = forecaster("ensemble").fit(BARS, hyperparameters=FAST)

    back = restore(fitted.to_bytes())

    np.testing.assert_array_equal(fitted.predict(BARS, 300, 500).mean, back.predict(BARS, 300, 500).mean)
    assert fitted.predict(BARS, 300, 500).mean.any()
    assert back.to_bytes() == fitted.to_bytes()


def test_members_are_one_of_the_declared_committees():
    with pytest.raises(InvalidRequest, match="ensemble: members must be one of fast, standard, all, not 'best'"):
        forecaster("ensemble").settings({"members": "best"})
