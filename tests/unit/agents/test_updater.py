"""Models are trained anew, tested, replaced and rolled back only as the evidence says, each step on record."""

from __future__ import annotations

import numpy as np
import pytest
from feeds import open_stable

from evolve.agents.live_record import live_record
from evolve.errors import DataUnavailable, InvalidRequest, Unavailable, UnknownModel, UnknownSymbol


@pytest.fixture
def stable(tmp_path):
    with open_stable(tmp_path) as opened:
        yield opened


def kinds(stable, model_id):
    return [step.kind for step in reversed(stable.agent.history(model_id, 100))]


# --- what a model forecast since it was trained ---


def test_live_forecasts_are_those_of_the_frozen_weights_and_the_rest_stays_as_tested(stable):
    model_id = stable.build()
    stable.feed.move_to(640)
    bars = stable.feed.load("FEEDUSDT")

    record = live_record(stable.registry.get(model_id), bars, stable.registry)

    tested = stable.registry.out_of_sample(model_id)
    count = len(tested["mean"])
    assert np.array_equal(record.forecasts.mean[:count], tested["mean"])
    assert (record.trained_to, record.forecasts.stop) == (599, 640)
    # Outcomes are known up to the bar before the last; the first live decision is at the close after training.
    assert list(record.live[[0, -1]]) == [600, 638]


def test_what_comes_later_changes_no_earlier_live_forecast(stable):
    model_id = stable.build()
    stable.feed.move_to(640)
    early = live_record(stable.registry.get(model_id), stable.feed.load("FEEDUSDT"), stable.registry)
    stable.feed.move_to(700)
    late = live_record(stable.registry.get(model_id), stable.feed.load("FEEDUSDT"), stable.registry)

    assert np.array_equal(early.forecasts.mean, late.forecasts.mean[: len(early.forecasts.mean)])
    assert np.array_equal(early.loss[:639], late.loss[:639], equal_nan=True)


def test_bars_that_do_not_hold_what_it_was_trained_on_are_refused(stable):
    model_id = stable.build()
    stable.feed.move_to(500)

    with pytest.raises(DataUnavailable, match=r"do not hold .*, the last one that"):
        stable.agent.drift(model_id, progress=stable.desk.progress)


# --- training anew ---


def test_an_incremental_retraining_keeps_the_past_and_makes_one_fit(stable):
    old = stable.build()
    stable.feed.move_to(660)
    built = stable.desk.built

    done = stable.retrain(old)

    assert (done.success, done.new_bars, done.challenger, stable.desk.built) == (True, 60, False, built)
    card = stable.registry.get(done.model_id)
    assert (card.parent, card.data.bars) == (old, 660)
    before, after = (stable.registry.out_of_sample(each) for each in (old, done.model_id))
    assert np.array_equal(after["mean"][: len(before["mean"])], before["mean"])
    assert set(done.new_performance) >= {"skill_r2", "sharpe", "total_return"}


def test_a_full_retraining_is_the_model_builders(stable):
    old = stable.build()
    stable.feed.move_to(660)

    done = stable.retrain(old, "full")

    assert stable.desk.built == 2
    assert stable.registry.get(done.model_id).recipe.folds == stable.registry.get(old).recipe.folds


def test_without_a_new_bar_there_is_nothing_to_learn(stable):
    old = stable.build()

    done = stable.retrain(old)

    assert (done.model_id, done.new_bars) == (old, 0)
    assert "nothing to learn" in done.reason


def test_a_champion_that_is_trained_anew_stays_and_the_new_one_runs_in_its_shadow(stable):
    old = stable.build()
    stable.watch(old)
    stable.feed.move_to(660)

    done = stable.retrain(old)

    assert (stable.champion(), stable.challenger(), done.challenger) == (old, done.model_id, True)
    assert kinds(stable, old) == ["promoted", "retrained", "challenged"]


def test_a_request_that_runs_twice_changes_things_once(stable):
    old = stable.build()
    stable.watch(old)
    stable.feed.move_to(660)

    first, again = (stable.retrain(old, request_id="the-same") for _ in range(2))

    assert first == again
    assert kinds(stable, old) == ["promoted", "retrained", "challenged"]
    assert len(stable.aliases.history(limit=-1)) == 2


# --- replacing by hand ---


def test_an_untested_model_replaces_nobody(stable):
    old = stable.build()
    stable.watch(old)
    stable.feed.move_to(660)
    new = stable.retrain(old).model_id

    refused = stable.replace(old, new)

    assert (refused.success, refused.champion, stable.champion()) == (False, old, old)
    assert "only bars since it was trained can tell: 0 of 75 bars until the next look" in refused.reason
    assert refused.test is not None
    assert not refused.test.passed
    assert kinds(stable, new)[-1] == "refused"


def test_a_worse_model_replaces_nobody_and_the_evidence_is_shown(stable):
    good, bad = stable.build(), stable.build("naive")
    stable.watch(good)

    refused = stable.replace(good, bad)

    assert (refused.success, stable.champion()) == (False, good)
    figures = {item.name: item.value for item in refused.test.figures}
    assert figures["improvement"] < -0.05
    assert figures["dm_p_value"] > 0.9


def test_a_better_recipe_replaces_a_worse_one(stable):
    """Yesterday carries on: what sees it is better than what forecasts no change."""
    good, bad = stable.build(), stable.build("naive")
    stable.watch(bad)

    done = stable.replace(bad, good)

    assert (done.success, done.forced, stable.champion()) == (True, False, good)


def test_force_puts_it_in_charge_and_on_record(stable):
    good, bad = stable.build(), stable.build("naive")
    stable.watch(good)

    done = stable.replace(good, bad, force=True)

    assert (done.success, done.forced, stable.champion()) == (True, True, bad)
    step = stable.agent.history(bad, 1)[0]
    assert (step.kind, step.forced, step.other) == ("promoted", True, good)
    assert step.reason.startswith("forced: ")


@pytest.mark.parametrize("missing", ["old", "new"])
def test_a_deleted_model_is_unknown(stable, missing):
    kept, gone = stable.build(), stable.build("naive")
    stable.registry.delete(gone, request_id="away")

    with pytest.raises(UnknownModel, match="was deleted"):
        stable.replace(*((gone, kept) if missing == "old" else (kept, gone)))


def test_a_third_model_in_charge_must_be_named(stable):
    one, two, three = stable.build(), stable.build("naive"), stable.build("drift")
    stable.watch(one)

    with pytest.raises(InvalidRequest, match=f"is {one}, not {two}"):
        stable.replace(two, three)


def test_a_model_of_another_symbol_cannot_stand_in(stable):
    one, other = stable.build(), stable.build(symbol="OTHERUSDT")

    with pytest.raises(InvalidRequest, match="cannot stand for"):
        stable.replace(one, other)


# --- tuning ---


def test_tuning_needs_the_meta_tuner(stable):
    with pytest.raises(Unavailable, match="meta_tuner"):
        stable.agent.tune(stable.build(), params={}, method="bayesian", desk=stable.desk, request_id="t")


def test_a_tuned_model_is_built_tested_and_set_in_the_shadow(stable):
    old = stable.build()
    stable.watch(old)
    stable.desk.finds = {"alpha": 1000.0}

    done = stable.agent.tune(
        old, params={"n_trials": 5, "alpha": [1, 10]}, method="random", desk=stable.desk, request_id="t"
    )

    asked = stable.desk.asked[0]
    assert (asked.method, asked.n_trials, asked.param_space) == ("random", 5, {"alpha": [1, 10]})
    assert done.success
    assert done.best_params == {"alpha": 1000.0}
    assert stable.challenger() == done.model_id != old
    assert done.test.stage == "history"


@pytest.mark.parametrize("params", [{"n_trials": 0}, {"cv_folds": "five"}, {"param_space": 3}])
def test_tuning_params_that_make_no_sense_are_refused(stable, params):
    stable.desk.finds = {}

    with pytest.raises(InvalidRequest, match="tuning_params"):
        stable.agent.tune(stable.build(), params=params, method="grid", desk=stable.desk, request_id="t")


# --- rounds ---


def test_without_a_model_a_round_says_how_to_build_one(stable):
    done = stable.update()

    assert (done.success, done.champion, done.models_updated) == (True, None, ())
    assert "evolve build ridge FEEDUSDT" in done.reason


def test_a_round_over_a_model_nobody_put_in_charge_adopts_it_and_claims_nothing(stable):
    model_id = stable.build()

    done = stable.update()

    assert done.champion == model_id
    assert "says nothing about how good it is" in done.steps[0].reason


def test_a_check_changes_nothing(stable):
    stable.build()

    done = stable.update(update_type="check")

    assert (done.champion, stable.champion()) == (None, None)


def test_a_steady_champion_is_left_alone_until_it_is_old(stable):
    model_id = stable.build()
    stable.watch(model_id, max_age_bars=100)
    stable.feed.move_to(690)
    assert "nothing to do" in stable.update().reason
    stable.feed.move_to(700)

    done = stable.update()

    assert "100 bars old, and 100 is the most" in done.reason
    assert done.models_updated == (stable.challenger(),)
    assert stable.champion() == model_id


def test_a_refresh_that_is_not_worse_is_promoted_after_its_shadow(stable):
    old = stable.build()
    stable.watch(old, max_age_bars=60)
    stable.feed.move_to(660)
    new = stable.update().models_updated[0]
    stable.feed.move_to(720)
    waiting = stable.update()
    assert (waiting.test.decided, stable.champion()) == (False, old)
    stable.feed.move_to(660 + 152)

    done = stable.update()

    assert done.models_replaced == (new,)
    assert (stable.champion(), stable.challenger()) == (new, None)
    assert done.overall_improvement is not None


def test_a_bad_champion_is_rolled_back_and_stays_so(stable):
    good, bad = stable.build(), stable.build("naive")
    stable.watch(good)
    stable.replace(good, bad, force=True)
    stable.feed.move_to(600 + 128)

    done = stable.update()

    assert stable.champion() == good
    assert done.reason.startswith("rolled back: ")
    assert kinds(stable, good)[-1] == "rolled_back"
    stable.feed.move_to(600 + 140)
    assert "rolled back" not in stable.update().reason


def test_a_round_in_which_another_is_put_in_charge_by_hand_harms_nothing(stable):
    """Two rounds under different ids over the same bars: the second finds the work done."""
    old = stable.build()
    stable.watch(old, max_age_bars=60)
    stable.feed.move_to(660)

    first, second = stable.update(), stable.update()

    assert first.models_updated
    assert second.models_updated == ()
    assert second.challenger == first.challenger


def test_two_symbols_with_the_same_recipes_are_promoted_together(stable):
    for symbol in ("FEEDUSDT", "OTHERUSDT"):
        stable.watch(stable.build(symbol=symbol), max_age_bars=60)
    stable.feed.move_to(660)
    new = {symbol: stable.update(symbol).models_updated[0] for symbol in ("FEEDUSDT", "OTHERUSDT")}
    stable.feed.move_to(660 + 152)

    done = stable.update()

    assert done.test.symbols == ("FEEDUSDT", "OTHERUSDT")
    assert {symbol: stable.champion(symbol) for symbol in new} == new


# --- by hand ---


def test_rolling_back_by_hand_puts_the_one_before_in_charge(stable):
    good, bad = stable.build(), stable.build("naive")
    stable.watch(good)
    stable.replace(good, bad, force=True)

    move = stable.agent.roll_back("FEEDUSDT", "1d", reason="I changed my mind", request_id="back")

    assert (move.model_id, move.previous, stable.champion()) == (good, bad, good)


def test_there_must_be_one_to_go_back_to(stable):
    stable.watch(stable.build())

    with pytest.raises(InvalidRequest, match="no earlier champion"):
        stable.agent.roll_back("FEEDUSDT", "1d", reason="", request_id="back")


def test_the_board_shows_who_is_in_charge_and_what_comes_next(stable):
    model_id = stable.build()
    stable.watch(model_id)
    stable.feed.move_to(660)

    row = stable.agent.board(None, None, progress=stable.desk.progress)[0]

    assert (row.champion, row.age_bars, row.simulated) == (model_id, 60, True)
    assert row.drift.state == "steady"
    assert row.watch.next_run == "2021-08-23T01:00:00Z"  # it was due, and nothing ran


def test_a_row_that_cannot_be_judged_says_why(stable):
    stable.watch(stable.build())
    stable.feed.move_to(500)

    row = stable.agent.board(None, None, progress=stable.desk.progress)[0]

    assert row.drift is None
    assert "do not hold" in row.note


def test_the_history_of_a_model_that_never_was_is_refused_and_that_of_a_deleted_one_stays(stable):
    gone = stable.build()
    stable.retrain(gone)
    stable.registry.delete(gone, request_id="away")

    assert kinds(stable, gone) == ["retrained"]
    with pytest.raises(UnknownModel):
        stable.agent.history("ridge-AAPL-1d-00000000", 10)


def test_a_symbol_whose_shadow_began_later_does_not_hold_up_the_others(stable):
    for symbol in ("FEEDUSDT", "OTHERUSDT"):
        stable.watch(stable.build(symbol=symbol), max_age_bars=60)
    stable.feed.move_to(660)
    first = stable.update("FEEDUSDT").models_updated[0]
    stable.feed.move_to(700)
    stable.update("OTHERUSDT")
    stable.feed.move_to(660 + 152)

    done = stable.update("FEEDUSDT")

    assert done.test.symbols == ("FEEDUSDT",)
    assert stable.champion("FEEDUSDT") == first


def test_a_round_over_an_unknown_symbol_is_refused(stable, monkeypatch):
    def unknown(symbol, timeframe=None, *, simulate=False):
        raise UnknownSymbol(f"no symbol {symbol!r} here")

    monkeypatch.setattr(stable.feed, "load", unknown)

    with pytest.raises(UnknownSymbol):
        stable.update("NOSUCH")
