"""The model builder: the same order gives the same model once, a wrong one says what is wrong, and every try is counted."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from desks import Desk, daily_bars, noise

from evolve.agents.model_builder import BuildOrder
from evolve.agents.model_card import document
from evolve.agents.track_record import forecasts_from
from evolve.errors import DataUnavailable, InvalidRequest, UnknownModel, UnknownSymbol
from evolve.forecasting.base import restore
from evolve.market.bars import Bars
from evolve.memory.bundle import Bundle

Import = Callable[[Bars], Bars]


def test_the_same_order_on_the_same_bars_finds_the_model_it_built(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))

    first, again = desk.build("ridge", "NOISE"), desk.build("ridge", "NOISE")

    assert (first.found, again.found) == (False, True)
    assert again.card == first.card


def test_a_rebuild_trains_anew_and_gives_the_same_model(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    first = desk.build("ridge", "NOISE")

    again = desk.build("ridge", "NOISE", rebuild=True)

    assert not again.found
    assert again.card == first.card


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"horizon_bars": 5}, {"hyperparameters": {"alpha": 10.0}}, {"features": ("rsi_14",)}]
)
def test_another_recipe_is_another_model(desk: Desk, import_bars: Import, change: dict[str, object]) -> None:
    import_bars(noise(400))

    assert desk.build("ridge", "NOISE", **change).card.model_id != desk.build("ridge", "NOISE").card.model_id


def test_other_bars_make_another_model(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    before = desk.build("naive", "NOISE")

    import_bars(noise(401))
    after = desk.build("naive", "NOISE")

    assert not after.found
    assert after.card.model_id != before.card.model_id


def test_a_deleted_model_is_gone_and_can_be_built_again(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    model_id = desk.build("naive", "NOISE").card.model_id

    desk.builder.delete(model_id, request_id="delete-1")

    with pytest.raises(UnknownModel, match="was deleted"):
        desk.builder.get(model_id)
    assert desk.builder.list(symbol=None, timeframe=None, limit=10) == ()
    again = desk.build("naive", "NOISE")
    assert (again.found, again.card.model_id) == (False, model_id)


def test_the_card_says_what_it_is_on_which_data(desk: Desk, import_bars: Import) -> None:
    bars = import_bars(noise(400))

    card = desk.build("ridge", "NOISE", seed=3, horizon_bars=2).card

    assert card.model_id.startswith("ridge-NOISE-1d-")
    assert (card.recipe.model_type, card.recipe.seed, card.recipe.horizon_bars, card.recipe.embargo_bars) == (
        "ridge",
        3,
        2,
        1,
    )
    assert (card.data.fingerprint, card.data.bars, card.data.status) == (bars.fingerprint, 400, "stale")
    assert card.created_at == "2026-01-01T00:00:00Z"
    assert card.recipe.features
    assert {item.name for item in card.metrics} >= {"sharpe", "total_return", "drawdown", "skill_r2"}
    assert f"numpy {np.__version__}" in card.libraries
    assert f"computed by {', '.join(card.libraries)}" in document(card)


def test_what_is_registered_can_forecast_and_its_test_can_be_looked_up(desk: Desk, import_bars: Import) -> None:
    bars = import_bars(noise(400))
    card = desk.build("ridge", "NOISE").card

    model = restore(desk.registry.weights(card.model_id))
    tested = forecasts_from(desk.registry.out_of_sample(card.model_id))

    assert np.isfinite(model.predict(bars, len(bars) - 1, len(bars)).mean).all()
    # A third of 400 is below the least of 250; from there on every bar is forecast.
    assert (tested.start, tested.stop) == (250, 400)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ({"model_type": "rigde"}, ["rigde", "ridge"]),
        ({"model_type": "ridge", "features": ("rsi_41",)}, ["rsi_41", "rsi_14"]),
        ({"model_type": "ridge", "hyperparameters": {"alfa": 1}}, ["alfa", "alpha"]),
        ({"model_type": "ridge", "hyperparameters": {"alpha": -1}}, ["alpha", "a number from 0 to 1e+06"]),
        ({"model_type": "naive", "features": ("no_such",)}, ["no_such"]),
        ({"model_type": "ridge", "horizon_bars": 64}, ["horizon_bars", "63"]),
        ({"model_type": "ridge", "timeframe": "3h"}, ["3h", "1h"]),
    ],
    ids=lambda value: "",
)
def test_a_wrong_order_is_refused_naming_the_word_and_what_it_may_be(
    desk: Desk, import_bars: Import, order: dict[str, object], names: list[str]
) -> None:
    import_bars(noise(400))
    model_type = str(order.pop("model_type"))

    with pytest.raises(InvalidRequest) as caught:
        desk.build(model_type, "NOISE", **order)

    assert all(name in caught.value.message for name in names)


def test_an_unknown_symbol_is_answered_with_the_nearest(desk: Desk) -> None:
    with pytest.raises(UnknownSymbol, match="AAPL"):
        desk.build("naive", "APPL")


def test_a_timeframe_without_real_bars_is_refused_naming_the_one_there_is(desk: Desk) -> None:
    with pytest.raises(DataUnavailable, match="ask for 1d"):
        desk.build("naive", "AAPL", timeframe="1h")


@pytest.mark.parametrize("horizon_bars", [1, 63])
@pytest.mark.parametrize("model_type", ["naive", "ridge"])
def test_too_few_bars_say_how_many_are_needed_and_so_many_are_enough(
    desk: Desk, import_bars: Import, model_type: str, horizon_bars: int
) -> None:
    import_bars(noise(299))

    with pytest.raises(DataUnavailable) as caught:
        desk.build(model_type, "NOISE", horizon_bars=horizon_bars)

    needed = caught.value.details["needed"]
    assert f"make {needed}" in caught.value.message
    import_bars(noise(needed))
    assert desk.build(model_type, "NOISE", horizon_bars=horizon_bars).card.data.bars == needed


def test_a_refused_order_leaves_nothing_behind(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(100))

    with pytest.raises(DataUnavailable):
        desk.build("ridge", "NOISE")

    assert desk.builder.list(symbol=None, timeframe=None, limit=10) == ()
    assert desk.ledger.position() == 0


def test_each_learned_recipe_is_one_trial_however_often_it_is_built(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))

    desk.build("ridge", "NOISE")
    desk.build("ridge", "NOISE")
    desk.build("ridge", "NOISE", rebuild=True)
    assert desk.ledger.count("NOISE") == 1

    desk.build("ridge", "NOISE", seed=1)
    assert desk.ledger.count("NOISE") == 2


def test_baselines_are_no_trials(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))

    desk.build("naive", "NOISE")
    desk.build("drift", "NOISE")

    assert desk.ledger.count("NOISE") == 0


def test_of_more_than_ten_thousand_bars_the_latest_are_used_and_the_card_says_so(
    desk: Desk, import_bars: Import
) -> None:
    bars = import_bars(noise(10_050))

    card = desk.build("naive", "NOISE").card

    assert (card.data.bars, card.data.first, card.data.last) == (10_000, bars.date(50), bars.date(-1))
    assert "the latest 10,000 of 10,050 bars are used" in card.notes


def test_bars_without_volume_are_built_on_without_it_and_the_card_says_so(desk: Desk, import_bars: Import) -> None:
    import_bars(daily_bars(np.random.default_rng(0).normal(0, 0.01, 400), symbol="QUIET", volume=float("nan")))

    card = desk.build("ridge", "QUIET").card

    assert "volume_z" not in card.recipe.features
    assert any("volume" in note for note in card.notes)


def test_simulated_bars_are_marked_in_the_card(desk: Desk) -> None:
    card = desk.build("naive", "TSLA").card

    assert (card.data.simulated, card.data.status) == (True, "simulated")


def test_real_bars_are_simulated_only_when_asked_for(desk: Desk) -> None:
    assert not desk.build("naive", "AAPL").card.data.simulated
    assert desk.build("naive", "AAPL", simulate=True).card.data.simulated


def test_progress_counts_up_to_its_total(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    events: list[tuple[str, int, int]] = []

    desk.builder.build(
        BuildOrder("ridge", "NOISE", None),
        request_id="r",
        progress=lambda stage, done, total, _: events.append((stage, done, total)),
    )

    training = [(done, total) for stage, done, total in events if stage == "train ridge"]
    assert list(dict.fromkeys(training)) == [
        (0, 6),
        (1, 6),
        (2, 6),
        (3, 6),
        (4, 6),
        (5, 6),
        (6, 6),
    ]  # five refits and the fit on all bars


def test_the_list_is_newest_first_and_can_be_narrowed(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    import_bars(noise(400, symbol="OTHER"))
    ids = [
        desk.build("naive", "NOISE").card.model_id,
        desk.build("drift", "NOISE").card.model_id,
        desk.build("naive", "OTHER").card.model_id,
    ]

    def listed(symbol: str | None, limit: int = 10) -> list[str]:
        return [card.model_id for card in desk.builder.list(symbol=symbol, timeframe=None, limit=limit)]

    assert listed(None) == ids[::-1]
    assert listed("NOISE") == [ids[1], ids[0]]
    assert listed(None, limit=1) == [ids[2]]


def exported(desk: Desk, model_id: str) -> str:
    return b64encode(desk.builder.export(model_id)).decode()


def test_an_exported_model_is_registered_again_and_forecasts_the_same(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    card = desk.build("ridge", "NOISE").card

    again = desk.builder.import_bundle(exported(desk, card.model_id), request_id="i1")

    assert again == card


@pytest.mark.parametrize("bundle", ["not base64!", "aGVsbG8="])
def test_what_is_no_exported_model_is_refused(desk: Desk, bundle: str) -> None:
    with pytest.raises(InvalidRequest, match=r"base64|not a model exported"):
        desk.builder.import_bundle(bundle, request_id="i1")


def test_weights_that_are_no_model_are_refused_though_the_file_is_whole(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    card = desk.build("ridge", "NOISE").card
    foreign = Bundle(replace(card, weights_sha256=hashlib.sha256(b"x").hexdigest()), b"x", b"").to_bytes()

    with pytest.raises(InvalidRequest, match="not a model written by Evolve"):
        desk.builder.import_bundle(b64encode(foreign).decode(), request_id="i1")


def test_the_card_as_a_page_says_that_nothing_was_found_where_nothing_was(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    card = desk.build("ridge", "NOISE").card

    page = document(card)

    assert page.startswith(f"# {card.model_id}\n")
    for said in (card.data.fingerprint, card.weights_sha256, "| band_90 |", "features: return_1", "alpha = 0.0"):
        assert said in page


def test_every_family_can_be_built_with_named_features(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(420))

    card = desk.build("xgboost", "NOISE", features=("close", "volume", "rsi", "macd")).card

    assert {"return_1", "volume_z", "rsi_14", "macd"} <= set(card.recipe.features)
    assert desk.build("ets", "NOISE", features=("close",)).card.recipe.features == ()
