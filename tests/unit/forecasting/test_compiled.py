"""A compiled model forecasts what the model forecasts, one row or many, and is stored as the same bytes."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from worlds import planted

from evolve.errors import MissingExtra
from evolve.forecasting import graph
from evolve.forecasting.base import FAMILIES, forecaster, restore
from evolve.forecasting.learned import Learned
from evolve.forecasting.neural import Network

NEURAL = ("lstm", "tcn", "transformer")
CLOSE = 1e-5  # of the largest forecast: single precision, added in another order
BARS = planted("ar1", bars=700, seed=1, r2=0.2).bars

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "onnx", "onnxruntime")),
    reason="torch, onnx or onnxruntime is not installed",
)


def fitted(family):
    short = {"epochs": 2, "window_bars": 5} if family in NEURAL else {}
    return forecaster(family).fit(BARS.slice(0, 600), hyperparameters=short, seed=1)


def woken(model):
    """With heads as a long training leaves them: after a short one some members still forecast no change."""
    import torch

    assert isinstance(model, Learned)
    torch.manual_seed(0)
    for member in model.members:
        assert isinstance(member, Network)
        torch.nn.init.normal_(member.module.head.weight, 0, 0.3)
    return model


@needs_onnx
@pytest.mark.parametrize("family", NEURAL)
@pytest.mark.parametrize("rows", [1, 7, 1500])
def test_a_compiled_committee_of_networks_votes_as_torch_does(family, rows):
    model = woken(fitted(family))
    table = np.random.default_rng(rows).normal(0, 1.5, (rows, model.window_bars, len(model.features)))

    by_torch, compiled = model._vote(table), model.compiled()._vote(table)

    assert np.abs(by_torch[1]).max() > 0.01
    np.testing.assert_allclose(compiled, by_torch, rtol=0, atol=CLOSE * np.abs(by_torch).max())


@pytest.mark.parametrize("rows", [1, 1500])
def test_trees_of_all_members_asked_at_once_vote_as_one_by_one(rows):
    model = fitted("xgboost")
    table = np.random.default_rng(rows).normal(0, 1.5, (rows, len(model.features)))

    one_by_one, compiled = model._vote(table), model.compiled()._vote(table)

    assert np.abs(one_by_one).max() > 0.01
    np.testing.assert_allclose(compiled, one_by_one, rtol=0, atol=CLOSE * np.abs(one_by_one).max())


@needs_onnx
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_compiled_model_forecasts_the_same_and_is_the_same_bytes(family):
    model = restore(fitted(family).to_bytes())

    compiled = model.compiled()

    expected, found = model.predict(BARS, 600, 700), compiled.predict(BARS, 600, 700)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=0, atol=CLOSE * np.abs(expected.mean).max())
    np.testing.assert_array_equal(found.std, expected.std)
    assert compiled.to_bytes() == model.to_bytes()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_without_onnx_runtime_compiling_names_the_extra_and_the_model_still_forecasts(monkeypatch):
    monkeypatch.setattr(graph.importlib.util, "find_spec", lambda name: None if "onnx" in name else name)
    model = fitted("lstm")

    with pytest.raises(MissingExtra, match=r"needs onnx and onnxruntime: pip install 'evolve-trading\[onnx\]'"):
        model.compiled()

    assert np.isfinite(model.predict(BARS, 699, 700).mean).all()
