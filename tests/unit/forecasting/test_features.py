"""Features: named by users, causal, standardised on the training part only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import bars_of, planted, with_other_future

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.forecasting import features
from evolve.forecasting.features import CLIP, DEFAULT_FEATURES, FEATURES, GROUPS, Standardisation

BARS = planted("volume", bars=320, seed=2).bars


def test_the_names_of_the_specification_work_in_any_case():
    assert features.resolve(["Close", "VOLUME", "rsi", "Macd"]) == (*features.RETURNS, "volume_z", "rsi_14", "macd")


def test_no_names_mean_the_default_set():
    assert features.resolve([]) == DEFAULT_FEATURES


def test_a_feature_named_twice_or_by_two_groups_is_taken_once():
    assert features.resolve(["high", "low", "range", "RANGE"]) == ("range",)


def test_an_unknown_feature_is_refused_with_the_nearest():
    with pytest.raises(InvalidRequest, match=r"unknown feature 'volum'; nearest: volume"):
        features.resolve(["close", "volum"])


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_group_stands_for_features_that_exist(group):
    assert set(GROUPS[group]) <= set(FEATURES)


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_a_feature_is_unknown_during_its_warm_up_and_known_after(name):
    column = features.feature_matrix(BARS, [name])[:, 0]

    assert np.isnan(column[: FEATURES[name].warm_up_bars]).all()
    assert np.isfinite(column[FEATURES[name].warm_up_bars :]).all()


@settings(max_examples=32, deadline=None)
@given(cut=st.integers(1, 319), seed=st.integers(0, 2**16))
def test_changing_later_bars_leaves_features_bit_equal(cut, seed):
    """The law of causality: what is known at t does not depend on what comes after, nor on whether anything comes."""
    perturbed = with_other_future(BARS, cut, seed=seed)
    known = features.feature_matrix(BARS, list(FEATURES))[:cut]

    np.testing.assert_array_equal(features.feature_matrix(perturbed, list(FEATURES))[:cut], known)
    np.testing.assert_array_equal(features.feature_matrix(BARS.slice(0, cut), list(FEATURES)), known)
    np.testing.assert_array_equal(features.causal_volatility(perturbed)[:cut], features.causal_volatility(BARS)[:cut])


def test_volatility_is_the_decaying_mean_of_squares_worked_by_hand():
    bars = bars_of(np.array([0.0, 0.02, -0.01]))

    # v1 = 0.02²; v2 = 0.94 · 0.0004 + 0.06 · 0.0001 = 0.000382
    np.testing.assert_allclose(features.causal_volatility(bars)[1:], [0.02, np.sqrt(0.000382)], rtol=1e-12)


def test_a_calm_stretch_does_not_take_volatility_to_zero():
    bars = bars_of(np.r_[0.0, np.full(100, 0.02), np.zeros(400)])

    # Mean square so far 100 · 0.0004 / 500; a tenth of its root.
    assert features.causal_volatility(bars)[-1] == pytest.approx(0.1 * np.sqrt(100 * 0.0004 / 500))


def test_the_target_is_the_return_ahead_over_the_volatility_known_now():
    bars = bars_of(np.array([0.0, 0.02, 0.01, 0.03]))

    target = features.scaled_return_ahead(bars, 2)

    assert target[1] == pytest.approx(0.04 / (0.02 * np.sqrt(2)))
    assert np.isnan(target[[0, 2, 3]]).all()


def test_return_features_are_returns_over_volatility_and_root_of_time():
    bars = bars_of(np.r_[0.0, np.full(30, 0.01)])

    matrix = features.feature_matrix(bars, ["return_1", "return_5"])

    np.testing.assert_allclose(matrix[-1], [1.0, np.sqrt(5)], rtol=1e-9)


def test_the_volume_feature_is_the_z_score_of_log_volume_over_a_quarter():
    z = features.feature_matrix(BARS, ["volume_z"])[:, 0]
    window = np.log1p(BARS.volume[200 - 62 : 201])

    assert z[200] == pytest.approx((window[-1] - window.mean()) / window.std())


def test_a_missing_volume_is_left_out_of_its_neighbours_windows():
    volume = np.array(BARS.volume)
    volume[150] = np.nan
    z = features.feature_matrix(replace(BARS, volume=volume), ["volume_z"])[:, 0]
    window = np.log1p(np.delete(volume, 150)[151 - 62 - 1 : 151])  # the 62 known of bars 89 … 151

    assert np.isnan(z[150])
    assert z[151] == pytest.approx((window[-1] - window[-62:].mean()) / window[-62:].std())


def test_without_any_volume_the_default_set_does_without_and_says_so():
    names, notes = features.usable(replace(BARS, volume=np.full(len(BARS), np.nan)), [])

    assert names == tuple(name for name in DEFAULT_FEATURES if name != "volume_z")
    assert notes == ("no volume in a planted world: the model was built without volume features",)


def test_volume_features_that_the_user_named_are_not_dropped_silently():
    with pytest.raises(DataUnavailable, match="has no volume for VOLUME; name other features: rsi_14"):
        features.usable(replace(BARS, volume=np.full(len(BARS), np.nan)), ["volume", "rsi"])


def test_standardised_features_have_mean_zero_and_unit_deviation_on_the_part_they_were_fitted_on():
    matrix = np.random.default_rng(0).normal(3, 2, (500, 2))

    standard = Standardisation.fit(matrix).apply(matrix)

    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-12)


def test_standardising_clips_extremes_and_turns_unknown_and_constant_values_into_zero():
    train = np.column_stack([np.tile([-1.0, 1.0], 50), np.full(100, 7.0)])

    standard = Standardisation.fit(train).apply(np.array([[1e9, 7.0], [np.nan, 8.0], [-1.0, np.nan]]))

    np.testing.assert_array_equal(standard, [[CLIP, 0.0], [0.0, 0.0], [-1.0, 0.0]])


def test_the_page_documents_every_feature_one_by_one_as_the_code_does():
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()

    for feature in FEATURES.values():
        assert f"| `{feature.name}` | {feature.meaning} | {feature.warm_up_bars} |" in page
