"""The LSTM: learns, is reproducible, and says what is missing where torch is."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from worlds import planted, with_other_future

from evolve.errors import DataUnavailable, MissingExtra
from evolve.forecasting import training
from evolve.forecasting.base import forecaster, restore

FAST = {"epochs": 2, "window_bars": 5, "hidden": 4}
BARS = planted("ar1", bars=500, seed=0).bars

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def test_without_torch_the_error_names_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtra, match="lstm needs torch, which is not installed; run `evolve setup torch`"):
        forecaster("lstm").fit(BARS)


def test_too_few_bars_are_refused_before_torch_is_wanted(monkeypatch):
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(DataUnavailable, match="lstm needs at least"):
        forecaster("lstm").fit(BARS.slice(0, 50))


@needs_torch
def test_one_seed_gives_one_network_byte_for_byte_and_another_seed_another():
    first, second, other = (
        forecaster("lstm").fit(BARS, hyperparameters=FAST, seed=seed).to_bytes() for seed in (4, 4, 5)
    )

    assert first == second
    assert first != other


@needs_torch
def test_the_random_state_and_threads_of_the_caller_are_left_alone():
    import torch

    torch.manual_seed(1)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    forecaster("lstm").fit(BARS, hyperparameters=FAST)

    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@needs_torch
def test_a_saved_lstm_forecasts_the_same_numbers_after_it_is_read_back():
    fitted = believed(planted("ar1", bars=700, seed=1, r2=0.2).bars)

    back = restore(fitted.to_bytes())

    np.testing.assert_array_equal(fitted.predict(BARS, 300, 500).mean, back.predict(BARS, 300, 500).mean)
    assert back.to_bytes() == fitted.to_bytes()


@needs_torch
def test_what_comes_after_the_decision_bars_changes_no_forecast_of_the_lstm():
    fitted = believed(planted("ar1", bars=700, seed=1, r2=0.2).bars)
    reference = fitted.predict(BARS, 300, 400).mean

    np.testing.assert_array_equal(reference, fitted.predict(with_other_future(BARS, 400), 300, 400).mean)
    # A longer batch may add in another order: equal to single precision.
    np.testing.assert_allclose(
        reference, fitted.predict(BARS, 300, 500).mean[:100], atol=1e-6 * np.abs(reference).max()
    )


@needs_torch
def test_the_lstm_finds_a_strong_planted_signal():
    """R² 0.2 on 1,200 bars: enough to see that the loop learns. The 2 % that count are proved by `make prove`."""
    world = planted("ar1", bars=1200, seed=2, r2=0.2)

    forecasts = forecaster("lstm").fit(world.bars.slice(0, 800)).predict(world.bars, 800, 1199)

    assert world.found(forecasts.mean, 800) >= 0.7


@needs_torch
@pytest.mark.prove
def test_the_lstm_finds_45_percent_of_a_planted_signal_of_two_percent_and_nothing_in_noise():
    found, noise = [], []
    for signal in ("ar1", "momentum", "volume", "threshold", "noise"):
        for seed in range(24):
            world = planted(signal, bars=3000, seed=seed)
            fitted = forecaster("lstm").fit(world.bars.slice(0, 2000), seed=1)
            forecast = fitted.predict(world.bars, 2000, 2999).mean
            if signal == "noise":
                noise.append(world.r2(forecast, 2000))
            else:
                found.append(world.found(forecast, 2000))

    assert np.mean(found) >= 0.45
    assert np.mean(noise) >= -0.002
    assert min(noise) >= -0.01


@needs_torch
def test_an_lstm_is_built_without_volume_and_says_so():
    fitted = forecaster("lstm").fit(replace(BARS, volume=np.full(500, np.nan)), hyperparameters=FAST)

    assert "volume_z" not in fitted.features
    assert "no volume" in fitted.notes[0]


def believed(bars):
    """A fit that found something, so that its forecasts are not all zero."""
    fitted = forecaster("lstm").fit(bars, hyperparameters={**FAST, "epochs": 6}, seed=1)
    assert fitted.shrinkage.factor > 0
    return fitted
