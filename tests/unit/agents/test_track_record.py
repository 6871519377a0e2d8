"""Track records: what forecasts earned by the documented rule, and how good they were, by hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from desks import daily_bars, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.agents.figures import COMPUTED, JUDGED_METRICS, OUTLOOK_UNITS, check_metrics, figures, metric_names
from evolve.agents.track_record import (
    arrays_of,
    curve,
    decided_alike,
    first_train_bars,
    forecasts_from,
    record_of_constant,
    record_of_forecasts,
)
from evolve.cards import Costs
from evolve.errors import InvalidRequest
from evolve.evidence import EvidenceBook
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars
from evolve.statistics.splits import Fold

FREE = Costs(0.0, 0.0)


def foreseen(bars: Bars, start: int, *, sign: float = 1.0, std: float = 0.01) -> OutOfSample:
    """Forecasts that know (sign 1) or mistake (−1) tomorrow's return; nobody knows the bar after the last."""
    ahead = np.append(np.diff(np.log(bars.close)), 0.0)[start:]
    return OutOfSample(start, 1, sign * ahead, np.full(len(ahead), std), (Fold(start, start, len(bars)),))


def values(record: object, bars: Bars, *names: str, **options: object) -> dict[str, float | int | str | None]:
    return {name: item.value for name, item in figures(record, bars, EvidenceBook(), names=names, **options).items()}  # type: ignore[arg-type]


def test_a_third_of_the_bars_trains_first_within_limits_that_grow_with_the_horizon() -> None:
    assert [first_train_bars(bars, horizon_bars=1) for bars in (300, 1_500, 9_000)] == [250, 500, 1_000]
    assert first_train_bars(300, horizon_bars=21) == 270


def test_who_knows_tomorrow_is_always_right_and_who_mistakes_it_never() -> None:
    bars = noise(300)

    right = values(
        record_of_forecasts("x", foreseen(bars, 250), bars, FREE, model_id=None),
        bars,
        "direction",
        "relative_mae",
        "skill_r2",
    )
    wrong = values(
        record_of_forecasts("x", foreseen(bars, 250, sign=-1), bars, FREE, model_id=None),
        bars,
        "direction",
        "relative_mae",
        "skill_r2",
    )

    assert right == pytest.approx({"direction": 1.0, "relative_mae": 0.0, "skill_r2": 1.0})
    # Twice the error of forecasting nothing, and so four times its square: 1 − 4.
    assert wrong == pytest.approx({"direction": 0.0, "relative_mae": 2.0, "skill_r2": -3.0})


def test_a_forecast_below_the_cost_of_a_round_trip_is_not_traded() -> None:
    """0.5 % a day in turn; a round trip of 2 × (fee 20 + slippage 10) bp costs 0.6 %."""
    bars = daily_bars(np.tile([0.005, -0.005], 150) * np.linspace(1.0, 1.01, 300))

    dear = record_of_forecasts("x", foreseen(bars, 150), bars, Costs(20.0, 10.0), model_id=None)
    cheap = record_of_forecasts("x", foreseen(bars, 150), bars, Costs(10.0, 10.0), model_id=None)

    assert values(dear, bars, "exposure")["exposure"] == 0.0
    # Not before the outcomes of 60 forecasts have shown that it knows something, and on every bar after that.
    assert values(cheap, bars, "exposure")["exposure"] == pytest.approx(1 - 60 / 149)


def test_one_position_held_without_costs_earns_what_the_market_does() -> None:
    """Bars open at the close before, so from the close of the first decision to the last close."""
    bars = noise(300)

    found = values(record_of_constant("hold", 1.0, 250, bars, FREE), bars, "total_return", "exposure", "decision")

    assert found == pytest.approx(
        {"total_return": bars.close[-1] / bars.close[250] - 1, "exposure": 1.0, "decision": 1.0}
    )


def test_the_last_bars_of_a_record_are_its_last_returns() -> None:
    bars = noise(300)

    found = values(record_of_constant("hold", 1.0, 250, bars, FREE), bars, "total_return", last_bars=10)

    assert found["total_return"] == pytest.approx(bars.close[-1] / bars.close[-11] - 1)


def test_what_forecasts_nothing_has_no_forecast_figures_and_they_say_so() -> None:
    bars = noise(300)

    found = figures(record_of_constant("hold", 1.0, 250, bars, FREE), bars, EvidenceBook(), names=("skill_r2",))

    assert (found["skill_r2"].value, found["skill_r2"].note) == (None, "it makes no forecasts")


def test_a_record_of_one_decision_has_no_bars_to_show_for_it() -> None:
    bars = noise(300)

    found = figures(
        record_of_constant("hold", 1.0, 299, bars, FREE), bars, EvidenceBook(), names=("sharpe", "total_return")
    )

    assert [item.value for item in found.values()] == [None, None]
    assert all(item.note for item in found.values())


def test_the_band_covers_nine_of_ten_normal_outcomes() -> None:
    """Outcomes of standard deviation 1.5 % and a forecast that says so: 90 % within ±1.645 of them, give or take 2 %."""
    bars = noise(2_000)
    ahead = len(bars) - 250
    forecasts = OutOfSample(250, 1, np.zeros(ahead), np.full(ahead, 0.015), (Fold(250, 250, len(bars)),))

    found = values(record_of_forecasts("x", forecasts, bars, FREE, model_id=None), bars, "band_coverage")

    assert found["band_coverage"] == pytest.approx(0.90, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**31))
def test_forecasts_come_back_from_their_arrays_as_they_were(bars: int, horizon: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = OutOfSample(7, horizon, rng.normal(size=bars), rng.random(bars), (Fold(5, 7, 9), Fold(8, 9, 7 + bars)))

    after = forecasts_from(arrays_of(before))

    assert (after.start, after.horizon_bars, after.folds) == (before.start, before.horizon_bars, before.folds)
    assert after.mean.tobytes() == before.mean.tobytes()
    assert after.std.tobytes() == before.std.tobytes()


def test_a_curve_begins_at_one_keeps_its_end_and_is_thinned() -> None:
    bars = noise(1_500)

    drawn = curve(record_of_constant("hold", 1.0, 500, bars, FREE), bars)

    assert drawn.equity[0] == 1.0
    assert drawn.equity[-1] == pytest.approx(bars.close[-1] / bars.close[500])
    assert (drawn.dates[0], drawn.dates[-1], len(drawn.dates)) == (bars.date(500), bars.date(-1), 400)


def test_those_who_held_the_same_positions_throughout_are_found() -> None:
    bars = noise(600)
    first, second, other = (
        record_of_constant(name, size, 500, bars, FREE) for name, size in (("a", 1.0), ("b", 1.0), ("c", 0.5))
    )

    assert decided_alike([first, other, second]) == [[first, second]]


def test_metrics_are_known_by_their_usual_other_names() -> None:
    asked = ("max_drawdown", "return", "sharpe_ratio", "accuracy", " Sharpe ")

    assert check_metrics(asked) == ("drawdown", "total_return", "sharpe", "direction", "sharpe")


def test_an_unknown_metric_lists_the_nearest_and_all_there_are() -> None:
    with pytest.raises(InvalidRequest, match="nearest: sortino") as caught:
        check_metrics(("sortno",))

    assert caught.value.details["known"] == sorted(metric_names())


def test_every_metric_says_how_it_is_computed_here_or_by_the_gate() -> None:
    assert set(metric_names()) == {*COMPUTED, *JUDGED_METRICS} - set(OUTLOOK_UNITS)
