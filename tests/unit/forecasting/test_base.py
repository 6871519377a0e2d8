"""The families, their declared hyperparameters, and models as bytes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from worlds import planted, with_other_future

from evolve.errors import InvalidRequest
from evolve.forecasting.base import FAMILIES, Hyperparameter, families, forecaster, pack, restore
from evolve.forecasting.base import Header as ModelHeader

FAST_FAMILIES = ("drift", "ets", "naive", "ridge", "xgboost")
WORLD = planted("ar1", bars=700, seed=5)


def test_the_families():
    assert families() == ("drift", "ensemble", "ets", "lstm", "naive", "ridge", "tcn", "transformer", "xgboost")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_familys_class_carries_the_name_it_is_registered_under(family):
    assert forecaster(family).family == family


def test_an_unknown_family_is_refused_with_the_nearest_names():
    with pytest.raises(InvalidRequest, match=r"unknown model type 'xgbost'; nearest: xgboost"):
        forecaster("xgbost")


def test_a_family_is_found_in_any_case():
    assert forecaster(" LSTM ").family == "lstm"


def test_importing_the_package_and_naming_every_family_loads_neither_torch_nor_xgboost():
    code = (
        "import sys, evolve.forecasting, evolve.forecasting.walk_forward\n"
        "from evolve.forecasting.base import families, forecaster\n"
        "[forecaster(name).settings({}) for name in families()]\n"
        "print([name for name in ('torch', 'xgboost', 'pandas', 'scipy') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_declared_default_is_allowed_and_every_hyperparameter_says_what_it_means(family):
    settings = forecaster(family).settings({})

    for declared in forecaster(family).hyperparameters:
        assert settings[declared.name] == declared.check(family, declared.default)
        assert len(declared.meaning) > 10


def test_an_unknown_hyperparameter_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidRequest, match=r"xgboost: hyperparameter 'maxdepth'; nearest: max_depth"):
        forecaster("xgboost").settings({"maxdepth": 3})


@pytest.mark.parametrize("value", [0, 9, 2.5, True, "2", float("nan")])
def test_a_hyperparameter_out_of_range_or_of_another_kind_is_refused_naming_what_is_allowed(value):
    with pytest.raises(InvalidRequest, match=r"max_depth must be a whole number from 1 to 8, not"):
        forecaster("xgboost").settings({"max_depth": value})


def test_a_whole_float_counts_as_an_integer_because_json_does_not_tell_them_apart():
    depth = forecaster("xgboost").settings({"max_depth": 3.0})["max_depth"]

    assert (depth, type(depth)) == (3, int)


def test_a_choice_is_taken_in_any_case_and_others_are_refused_with_the_list():
    cell = Hyperparameter("cell", "choice", "gru", "which recurrent cell", choices=("gru", "lstm"))

    assert cell.check("rnn", "LSTM") == "lstm"
    with pytest.raises(InvalidRequest, match="one of gru, lstm"):
        cell.check("rnn", "elman")


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_a_saved_model_forecasts_the_same_numbers_after_it_is_read_back(family):
    fitted = forecaster(family).fit(WORLD.bars.slice(0, 600), seed=3)

    back = restore(fitted.to_bytes())

    before, after = fitted.predict(WORLD.bars, 600, 700), back.predict(WORLD.bars, 600, 700)
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.std, after.std)
    assert back.to_bytes() == fitted.to_bytes()
    assert (back.features, back.hyperparameters, back.notes) == (fitted.features, fitted.hyperparameters, fitted.notes)


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_one_seed_gives_one_model_byte_for_byte(family):
    first, second = (forecaster(family).fit(WORLD.bars, seed=11).to_bytes() for _ in range(2))

    assert first == second


def test_another_seed_gives_another_forest():
    first, second = (forecaster("xgboost").fit(WORLD.bars, seed=seed).to_bytes() for seed in (1, 2))

    assert first != second


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_what_comes_after_the_decision_bars_changes_no_forecast(family):
    """Bars from 650 on are replaced by wild ones; forecasts before it stay bit-equal. So do those of a longer request."""
    bars = WORLD.bars
    fitted = forecaster(family).fit(bars.slice(0, 500), seed=3)
    other = with_other_future(bars, 650)

    reference = fitted.predict(bars, 500, 650)
    with_other = fitted.predict(other, 500, 650)
    longer = fitted.predict(bars, 500, 700)

    np.testing.assert_array_equal(reference.mean, with_other.mean)
    np.testing.assert_array_equal(reference.std, with_other.std)
    np.testing.assert_array_equal(reference.mean, longer.mean[:150])
    assert not np.array_equal(longer.std, fitted.predict(other, 500, 700).std)


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_every_forecast_has_a_finite_mean_and_a_positive_standard_deviation(family):
    forecasts = forecaster(family).fit(WORLD.bars.slice(0, 500), horizon_bars=5).predict(WORLD.bars, 500, 700)

    assert (forecasts.start, forecasts.stop, forecasts.horizon_bars) == (500, 700, 5)
    assert np.isfinite(forecasts.mean).all()
    assert (forecasts.std > 0).all()


def test_decision_bars_outside_the_bars_are_refused():
    fitted = forecaster("ridge").fit(WORLD.bars.slice(0, 500))

    with pytest.raises(InvalidRequest, match="can forecast at bars"):
        fitted.predict(WORLD.bars, 600, 701)
    with pytest.raises(InvalidRequest, match="can forecast at bars"):
        fitted.predict(WORLD.bars, fitted.first_bar - 1, 600)


def test_the_first_bar_a_model_names_can_be_forecast():
    fitted = forecaster("ridge").fit(WORLD.bars.slice(0, 500))

    assert len(fitted.predict(WORLD.bars, fitted.first_bar, fitted.first_bar + 1).mean) == 1


@pytest.mark.parametrize("horizon", [0, -1, 64])
def test_an_impossible_horizon_is_refused(horizon):
    with pytest.raises(InvalidRequest, match="horizon_bars must be from 1 to 63"):
        forecaster("naive").fit(WORLD.bars, horizon_bars=horizon)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x80\x04\x95pickle", b"\xff" * 64])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(InvalidRequest, match="not a model written by Evolve"):
        restore(data)


def test_a_truncated_model_is_refused():
    data = forecaster("ridge").fit(WORLD.bars).to_bytes()

    with pytest.raises(InvalidRequest, match="not a model"):
        restore(data[:-8])


def test_foreign_safetensors_are_refused():
    from safetensors.numpy import save

    with pytest.raises(InvalidRequest, match="not a model"):
        restore(save({"weight": np.zeros(3)}))


def test_a_model_without_its_weights_is_refused():
    header = ModelHeader(
        family="ridge", horizon_bars=1, timeframe="1d", features=("return_1",), hyperparameters={"alpha": 1.0}
    )

    with pytest.raises(InvalidRequest, match="incomplete: 'feature_mean' is missing"):
        restore(pack(header, {}))
