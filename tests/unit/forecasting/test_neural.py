"""The neural families: they learn, are reproducible and causal, and say what is missing where torch is."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from worlds import planted, with_other_future

from evolve.errors import DataUnavailable, InvalidRequest, MissingExtra
from evolve.forecasting import training
from evolve.forecasting.base import forecaster, restore
from evolve.forecasting.neural import NeuralForecaster

NEURAL = ("lstm", "tcn", "transformer")
FAST = {"epochs": 2, "window_bars": 5}
BARS = planted("ar1", bars=500, seed=0).bars

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
each = pytest.mark.parametrize("family", NEURAL)


@each
def test_without_torch_the_error_names_the_command_that_brings_it(monkeypatch, family):
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtra, match=f"{family} needs torch, which is not installed; run `evolve setup torch`"):
        forecaster(family).fit(BARS)


def test_too_few_bars_are_refused_before_torch_is_wanted(monkeypatch):
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(DataUnavailable, match="lstm needs at least"):
        forecaster("lstm").fit(BARS.slice(0, 50))


@needs_torch
@each
def test_one_seed_gives_one_network_byte_for_byte_and_another_seed_another(family):
    first, second, other = (
        forecaster(family).fit(BARS, hyperparameters=FAST, seed=seed).to_bytes() for seed in (4, 4, 5)
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
@each
def test_a_saved_network_forecasts_the_same_numbers_after_it_is_read_back(family):
    fitted = skilled(family)

    back = restore(fitted.to_bytes())

    np.testing.assert_array_equal(fitted.predict(BARS, 300, 500).mean, back.predict(BARS, 300, 500).mean)
    assert back.to_bytes() == fitted.to_bytes()


@needs_torch
@each
def test_what_comes_after_the_decision_bars_changes_no_forecast(family):
    fitted = skilled(family)
    reference = fitted.predict(BARS, 300, 400).mean

    np.testing.assert_array_equal(reference, fitted.predict(with_other_future(BARS, 400), 300, 400).mean)
    # A longer batch may add in another order: equal to single precision.
    np.testing.assert_allclose(
        reference, fitted.predict(BARS, 300, 500).mean[:100], atol=1e-6 * np.abs(reference).max()
    )


@needs_torch
@each
def test_what_a_network_makes_of_a_bar_does_not_depend_on_bars_after_it(family):
    """Causal inside the window too: the state at its sixth bar is that of a window which ends there."""
    import torch

    made = forecaster(family)
    assert isinstance(made, NeuralForecaster)
    torch.manual_seed(0)
    network = made.build(3, made.settings({"window_bars": 10})).eval()
    seen, other = torch.randn(1, 10, 3), torch.randn(1, 10, 3)
    other[:, 9:] = seen[:, 9:]

    changed = torch.equal(made.states(network, seen), made.states(network, other))

    assert not changed  # the past matters
    if family == "lstm":
        every_bar = [network(torch.cat([seen[:, :6], end], dim=1))[0][:, 5] for end in (seen[:, 6:], other[:, 6:])]
        assert torch.equal(*every_bar)


@needs_torch
@each
def test_a_network_finds_what_no_line_can_say(family):
    """The sign of a product of two features, which every line misses: the departure must learn it and be believed."""
    made = forecaster(family)
    assert isinstance(made, NeuralForecaster)
    rng = np.random.default_rng(0)
    table = rng.normal(0, 1, (1500, 3, 2))
    target = np.sign(table[:, -1, 0] * table[:, -2, 1]) + rng.normal(0, 0.3, 1500)
    known = training.Samples(table=table, target=target, bar=np.arange(1500))
    settings = made.settings({"window_bars": 3, "epochs": 30, "learning_rate": 0.02, "patience": 15})

    member = made.fit_member(
        known[:1000], settings=settings, horizon_bars=1, seed=0, progress=lambda done, total, message: None
    )  # fmt: skip
    line, departure = member.parts(table[1000:])

    assert np.corrcoef(line, target[1000:])[0, 1] < 0.2
    assert np.corrcoef(departure, target[1000:])[0, 1] > 0.5


@needs_torch
def test_the_lstm_finds_a_strong_planted_signal():
    """R² 0.2 on 1,200 bars: enough to see that the loop learns. The 2 % that count are proved by `make prove`."""
    world = planted("ar1", bars=1200, seed=2, r2=0.2)

    forecasts = forecaster("lstm").fit(world.bars.slice(0, 800)).predict(world.bars, 800, 1199)

    assert world.found(forecasts.mean, 800) >= 0.7


@needs_torch
def test_a_model_whose_weights_are_missing_is_refused():
    from safetensors.numpy import load, save

    data = skilled("tcn").to_bytes()
    size = int.from_bytes(data[:8], "little")
    import json

    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    arrays = load(data)
    del arrays["member0.line.weights"]

    with pytest.raises(InvalidRequest, match="incomplete: 'weights' is missing"):
        restore(save(arrays, metadata))


def skilled(family):
    """A fit that found something, so that its forecasts are not all zero."""
    bars = planted("ar1", bars=700, seed=1, r2=0.2).bars
    fitted = forecaster(family).fit(bars, hyperparameters={**FAST, "epochs": 6}, seed=1)
    assert fitted.has_skill
    return fitted
