"""The critic: the same figures from stored and from new forecasts, baselines beside every model, a winner only with an edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from desks import Desk, autoregressive, noise, open_desk

from evolve.agents.evaluation import SCORE_WEIGHTS
from evolve.agents.track_record import forecasts_from
from evolve.cards import AuditCard, ComparisonCard, EvaluationCard, RankedRow
from evolve.errors import InvalidRequest, UnknownModel
from evolve.evidence import Evidence
from evolve.forecasting.walk_forward import position_from_forecast
from evolve.market.bars import Bars
from evolve.memory.canonical import canonical_json, from_json
from evolve.settings import Settings

Import = Callable[[Bars], Bars]
# One worker for all: what they share takes seconds to make.
pytestmark = pytest.mark.xdist_group("critic")

BASELINES = {"buy_and_hold", "flat", "naive", "drift"}


def row(card: ComparisonCard, name: str) -> RankedRow:
    return next(row for row in card.rows if row.name == name)


def values(figures: Mapping[str, Evidence]) -> dict[str, object]:
    return {name: (item.value, item.low, item.high) for name, item in figures.items()}


def built(desk: Desk, *families: str, symbol: str = "NOISE", **options: object) -> list[str]:
    return [desk.build(family, symbol, **options).card.model_id for family in families]


@pytest.fixture(scope="module")
def on_noise(shared: Desk) -> ComparisonCard:
    """ridge and drift where there is nothing to find."""
    return shared.compare(*built(shared, "ridge", "drift"))


@pytest.fixture(scope="module")
def on_memory(shared: Desk) -> ComparisonCard:
    """ridge and drift on EDGY, where each return holds 0.3 of the one before."""
    return shared.compare(*built(shared, "ridge", "drift", symbol="EDGY"))


@pytest.fixture(scope="module")
def on_apple(shared: Desk) -> ComparisonCard:
    """ridge and drift on a real stock."""
    return shared.compare(*built(shared, "ridge", "drift", symbol="AAPL"))


# --- the same figures, whichever way they are come by ---


def test_stored_and_refitted_forecasts_give_the_same_evaluation_bit_for_bit_on_a_real_stock(shared: Desk) -> None:
    (model,) = built(shared, "ridge", symbol="AAPL")

    stored, refitted = shared.evaluate(model), shared.evaluate(model, refit=True)

    assert canonical_json(refitted) == canonical_json(stored)


def test_stored_and_refitted_forecasts_give_the_same_comparison_bit_for_bit(
    shared: Desk, on_memory: ComparisonCard
) -> None:
    refitted = shared.compare(*built(shared, "ridge", "drift", symbol="EDGY"), refit=True)

    assert canonical_json(refitted.rows) == canonical_json(on_memory.rows)
    assert (refitted.verdict, refitted.reason, refitted.curves) == (
        on_memory.verdict,
        on_memory.reason,
        on_memory.curves,
    )


def test_asking_again_gives_the_same_figures(shared: Desk, on_noise: ComparisonCard) -> None:
    again = shared.compare(*built(shared, "ridge", "drift"), ledger_position=on_noise.trust.ledger_position)

    assert again == on_noise


# --- baselines ---


def test_every_comparison_holds_the_four_baselines(shared: Desk, on_noise: ComparisonCard) -> None:
    models = {each.model_id for each in on_noise.rows if each.kind == "model"}

    assert {each.name for each in on_noise.rows if each.kind == "baseline"} == BASELINES
    assert models == set(built(shared, "ridge", "drift"))
    assert set(on_noise.trust.baselines) == BASELINES | {"random_entry"}


def test_buy_and_hold_is_bought_at_the_open_after_the_first_decision_and_pays_its_costs(
    shared: Desk, on_noise: ComparisonCard
) -> None:
    """By hand, US stock: 4 bp slippage and 1 bp fee on the slipped price, no cash left, valued at the last close."""
    bars = shared.catalog.load("NOISE")
    first_decision = 250  # a third of 700 is 233, below the least first training stretch
    paid = bars.open[first_decision + 1] * 1.0004 * 1.0001

    total_return = row(on_noise, "buy_and_hold").figures["total_return"]

    assert total_return.value == pytest.approx(bars.close[-1] / paid - 1, rel=1e-12)


def test_flat_earns_and_pays_nothing_and_its_undefined_figures_say_why(on_noise: ComparisonCard) -> None:
    figures = row(on_noise, "flat").figures

    assert [figures[name].value for name in ("total_return", "costs_paid", "exposure", "drawdown")] == [
        0.0,
        0.0,
        0.0,
        0.0,
    ]
    assert (figures["sharpe"].value, figures["sharpe"].note) == (None, "the returns do not vary")


def test_a_naive_forecast_never_trades(on_noise: ComparisonCard) -> None:
    naive = row(on_noise, "naive").figures

    assert naive["exposure"].value == 0.0
    assert naive["relative_mae"].value == pytest.approx(1.0)


def test_an_alpha_over_other_benchmarks_is_not_shown_beside_the_models(on_noise: ComparisonCard) -> None:
    """A model's alpha is what two benchmarks leave; a baseline, which is not judged, has no such figure."""
    assert all("alpha" not in each.figures for each in on_noise.rows if each.kind == "baseline")
    assert all("alpha" in each.figures for each in on_noise.rows if each.kind == "model")


def test_a_figure_stands_in_the_evidence_once(shared: Desk, on_noise: ComparisonCard) -> None:
    """`alpha of ridge` with two values would be no evidence of anything."""
    evaluation = shared.evaluate(*built(shared, "ridge"), metrics=("alpha",))
    found: list[tuple[Evidence, ...]] = [on_noise.trust.evidence, evaluation.trust.evidence]

    for evidence in found:
        named = [(item.name, item.of, item.computed.rpartition("; over")[2]) for item in evidence]
        assert sorted(named) == sorted(set(named))
        assert len({item.id for item in evidence}) == len(evidence)


def test_each_model_is_placed_among_random_entries_at_equal_turnover(
    shared: Desk, on_memory: ComparisonCard, on_noise: ComparisonCard
) -> None:
    """Who knows something beats chance at the same trades; who never traded has nothing to place otherwise, and says so."""
    known = row(on_memory, "ridge").figures
    idle = next(each for each in on_noise.rows if each.name.startswith("drift-")).figures

    assert known["random_entry_percentile"].value == 1.0
    assert known["random_entry_sharpe"].value < known["sharpe"].value  # type: ignore[operator]
    assert known["random_entry_sharpe"].low < known["random_entry_sharpe"].high  # type: ignore[operator]
    assert idle["random_entry_percentile"].value is None
    assert "never held a position" in idle["random_entry_percentile"].note
    assert "random_entry_percentile" in {item.name for item in on_memory.trust.evidence}


def test_the_trust_card_names_who_is_superior_and_who_cannot_be_told_from_the_best(
    on_memory: ComparisonCard, on_noise: ComparisonCard
) -> None:
    known = {item.name: item.value for item in on_memory.trust.evidence}
    nothing = {item.name: item.value for item in on_noise.trust.evidence}

    assert known["superior_models"] == "ridge"
    assert known["model_confidence_set"] == "ridge"  # naive's error is told from it
    assert nothing["superior_models"] in (None, "none")
    assert "naive" in str(nothing["model_confidence_set"])


def test_a_record_of_an_edge_says_how_long_it_had_to_be(on_memory: ComparisonCard) -> None:
    figures = row(on_memory, "ridge").figures

    assert figures["probabilistic_sharpe"].value >= figures["deflated_sharpe"].value  # type: ignore[operator]
    assert 0 < figures["min_track_record_years"].value < 4  # type: ignore[operator]


def test_figures_say_by_which_conventions_they_were_made(on_memory: ComparisonCard) -> None:
    found = row(on_memory, "ridge").figures

    assert found["sharpe"].computed.endswith("n = 999, ddof 1, 252 bars a year, risk-free rate 0")
    assert found["cagr"].computed.endswith("n = 999, 252 bars a year, risk-free rate 0")
    assert found["alpha"].computed.endswith("n = 999, ddof 3, 252 bars a year, risk-free rate 0")


def test_every_forecast_score_can_be_asked_for(shared: Desk) -> None:
    names = ("mae", "rmse", "mase", "qlike", "pinball_05", "pinball_95", "crps")

    found = shared.evaluate(*built(shared, "ridge", symbol="EDGY"), metrics=names).metrics

    assert all(float(found[name].value or 0) > 0 for name in names)
    assert float(found["mae"].value or 0) < float(found["rmse"].value or 0)
    assert 0.9 < float(found["mase"].value or 0) < 1.1  # errors about as large as a day's change


def test_an_evaluation_can_be_cross_validated_with_a_refit_for_every_choice_of_the_past(shared: Desk) -> None:
    (edgy,), (idle,) = built(shared, "ridge", symbol="EDGY"), built(shared, "naive")

    found = shared.evaluate(edgy, cross_validated=True)
    nothing = shared.evaluate(idle, cross_validated=True)

    sharpe = found.metrics["cpcv_sharpe"]
    assert sharpe.low <= sharpe.value <= sharpe.high  # type: ignore[operator]
    assert sharpe.low > 1.0  # type: ignore[operator]
    assert "15 refits" in sharpe.computed
    assert found.metrics["cpcv_share_positive"].value == 1.0
    assert found.trust.reproduce.endswith("--cross-validate")
    assert (nothing.metrics["cpcv_sharpe"].value, nothing.metrics["cpcv_share_positive"].value) == (0.0, 0.0)
    assert found.metrics["sharpe"] == shared.evaluate(edgy).metrics["sharpe"]  # the record itself is the same


# --- verdict ---


def test_a_market_that_remembers_has_an_edge_and_a_winner(shared: Desk, on_memory: ComparisonCard) -> None:
    """Planted: r[t+1] = 0.3 r[t] + noise of 1.5 % a day, so a forecast of about 45 bp against a round trip of 10 bp."""
    (ridge,) = built(shared, "ridge", symbol="EDGY")
    card = on_memory

    assert card.verdict == "edge"
    assert card.winner is not None
    assert card.winner.model_id == ridge
    assert card.rows[0].model_id == ridge
    assert float(row(card, "ridge").figures["skill_r2"].value or 0) > 0.04  # 0.3² less what must be learned


def test_a_model_that_looks_ahead_wins_nothing_however_good_it_looks(
    shared: Desk, on_memory: ComparisonCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = AuditCard("m", "EDGY", "1d", False, "it looks ahead", 300, 32, 96, ("noise",), 0.0)
    monkeypatch.setattr("evolve.agents.performance_critic.audit_model", lambda *_: failed)
    ids = [row.model_id for row in on_memory.rows if row.model_id]

    card = shared.compare(*ids, symbol=on_memory.symbol, timeframe="1d", period="90d")

    assert (on_memory.verdict, card.verdict, card.winner) == ("edge", "no_edge", None)
    assert "it looks ahead" in card.reason


def test_a_market_of_noise_has_no_winner(on_noise: ComparisonCard) -> None:
    assert on_noise.winner is None
    assert on_noise.verdict != "edge"
    assert on_noise.reason


def test_a_real_stock_has_no_winner_when_the_gate_sees_no_edge(on_apple: ComparisonCard) -> None:
    assert (on_apple.verdict, on_apple.winner) == ("no_edge", None)


def test_with_few_tested_bars_there_is_no_verdict_no_winner_and_no_score(desk: Desk, import_bars: Import) -> None:
    import_bars(autoregressive(400, symbol="YOUNG"))
    ridge, naive = built(desk, "ridge", "naive", symbol="YOUNG")

    card, evaluation = desk.compare(ridge, naive), desk.evaluate(ridge)

    assert (card.verdict, card.winner, card.trust.out_of_sample_bars) == ("insufficient_data", None, 149)
    assert "at least 250 are needed" in card.reason
    assert (evaluation.trust.verdict, evaluation.overall_score) == ("insufficient_data", None)


def test_the_score_weighs_evidence_skill_and_calm_as_documented(shared: Desk) -> None:
    (ridge,) = built(shared, "ridge", symbol="EDGY")

    card = shared.evaluate(ridge)

    real, p, drawdown = (float(card.metrics[name].value) for name in ("deflated_sharpe", "dm_p_value", "drawdown"))  # type: ignore[arg-type]
    assert SCORE_WEIGHTS == (0.6, 0.2, 0.2)
    assert card.overall_score == pytest.approx(0.6 * real + 0.2 * (1 - p) + 0.2 * (1 + drawdown), abs=1e-6)


# --- rows ---


def test_rows_are_ranked_by_their_net_sharpe_ratio_what_never_trades_counting_as_zero(on_apple: ComparisonCard) -> None:
    ratios = [float(each.figures["sharpe"].value or 0.0) for each in on_apple.rows]

    assert ratios == sorted(ratios, reverse=True)
    assert [each.rank for each in on_apple.rows] == list(range(1, len(on_apple.rows) + 1))


def test_a_model_of_a_baselines_family_is_told_apart_from_the_baseline(shared: Desk) -> None:
    ridge, naive = built(shared, "ridge", "naive")

    names = [each.name for each in shared.compare(ridge, naive).rows]

    assert sorted(names) == sorted({"ridge", naive} | BASELINES)


def test_two_models_of_one_family_are_told_apart_by_their_ids(shared: Desk) -> None:
    (first,), (second,) = built(shared, "ridge"), built(shared, "ridge", seed=1)

    assert {each.name for each in shared.compare(first, second).rows} == {first, second} | BASELINES


def test_the_decision_is_the_target_at_the_last_close(shared: Desk) -> None:
    (ridge,) = built(shared, "ridge", symbol="EDGY")
    bars, forecasts = shared.catalog.load("EDGY"), forecasts_from(shared.registry.out_of_sample(ridge))
    target = position_from_forecast(
        forecasts.mean[-1:], forecasts.std[-1:], horizon_bars=1, bars_per_year=252.0, round_trip_cost=0.0010
    )

    assert forecasts.stop == len(bars)
    assert shared.evaluate(ridge).metrics["decision"].value == target[0]


def test_models_that_start_at_different_bars_are_judged_on_the_bars_they_share(
    shared: Desk, on_memory: ComparisonCard
) -> None:
    """A horizon of five bars has an embargo of four, so that model decides four bars later."""
    (near,), (far,) = built(shared, "ridge", symbol="EDGY"), built(shared, "ridge", symbol="EDGY", horizon_bars=5)

    card = shared.compare(near, far)

    assert card.trust.out_of_sample_bars == on_memory.trust.out_of_sample_bars - 4
    sample = {each.name: each.figures["relative_mae"].computed for each in card.rows if each.name in (near, far)}
    # 500 to train on (a third of 1,500) and the embargo: the first common decision is at bar 504; near knows 995 outcomes, far 991.
    assert "n = 995" in sample[near]
    assert "n = 991" in sample[far]


# --- the stretch shown ---


def by_hand(bars: Bars, first_bar: int) -> float:
    """Buy-and-hold from the close before `first_bar` to the last close: already bought, so no costs."""
    return float(bars.close[-1] / bars.close[first_bar - 1] - 1)


def test_the_stretch_shown_is_the_last_calendar_days_that_were_named(shared: Desk, on_apple: ComparisonCard) -> None:
    bars = shared.catalog.load("AAPL")
    # 2012-12-01 is 90 days before 2013-03-01: what lies after it is 2012-12-03 … 2013-03-01, 61 sessions.
    first = next(bar for bar in range(len(bars)) if bars.date(bar) > "2012-12-01")
    assert (bars.date(first), len(bars) - first) == ("2012-12-03", 61)

    held = row(on_apple, "buy_and_hold").figures

    assert held["period_total_return"].value == pytest.approx(by_hand(bars, first), rel=1e-9)
    assert "last 61 bars" in held["period_total_return"].computed


def test_verdict_and_evidence_do_not_depend_on_the_stretch_shown(shared: Desk, on_noise: ComparisonCard) -> None:
    short, long = on_noise, shared.compare(*built(shared, "ridge", "drift"), period="1y")

    assert (short.verdict, short.reason) == (long.verdict, long.reason)
    assert row(short, "buy_and_hold").figures["sharpe"] == row(long, "buy_and_hold").figures["sharpe"]
    assert (
        row(short, "buy_and_hold").figures["period_total_return"]
        != row(long, "buy_and_hold").figures["period_total_return"]
    )


def test_a_stretch_longer_than_the_test_is_the_whole_test(shared: Desk) -> None:
    figures = row(shared.compare(*built(shared, "ridge", "naive"), period="99y"), "buy_and_hold").figures

    assert figures["period_total_return"].value == figures["total_return"].value


def test_a_period_is_shown_in_its_canonical_form(shared: Desk) -> None:
    (naive,) = built(shared, "naive")

    assert [shared.evaluate(naive, period=period).period for period in ("2w", "365d", "1y")] == ["14d", "1y", "1y"]


# --- other bars than its own ---


def test_a_recipe_is_walked_forward_on_another_symbols_bars(shared: Desk) -> None:
    (ridge,) = built(shared, "ridge", symbol="EDGY")

    card = shared.evaluate(ridge, symbol="NOISE")

    assert (card.symbol, card.trust.data.symbol, card.trust.out_of_sample_bars) == ("NOISE", "NOISE", 449)
    assert float(card.metrics["skill_r2"].value or 0) < 0.04


def test_the_command_that_repeats_an_evaluation_on_simulated_bars_says_simulate(shared: Desk) -> None:
    """Without it the same command would use the real bars of AAPL."""
    (naive,) = built(shared, "naive", symbol="AAPL")

    assert shared.evaluate(naive, symbol="MSFT", simulate=True).trust.reproduce.endswith("--simulate")
    assert shared.compare(
        naive, *built(shared, "drift", symbol="AAPL"), symbol="MSFT", simulate=True
    ).trust.reproduce.endswith("--simulate")
    assert "--simulate" not in shared.evaluate(naive).trust.reproduce


def test_a_model_of_simulated_bars_is_judged_on_them_and_the_card_says_so(shared: Desk) -> None:
    (naive,) = built(shared, "naive", symbol="AAPL", simulate=True)

    card = shared.evaluate(naive)

    assert card.trust.data.status == "simulated"
    assert any(caveat.startswith("SIMULATED") for caveat in card.trust.caveats)
    assert all(curve.simulated for curve in card.curves)


# --- wrong requests ---


def test_an_unknown_metric_is_refused_with_the_nearest(shared: Desk) -> None:
    (naive,) = built(shared, "naive")

    with pytest.raises(InvalidRequest, match=r"no metric 'sharp'.*sharpe"):
        shared.evaluate(naive, metrics=("sharp",))
    with pytest.raises(InvalidRequest, match=r"no metric 'sharp'.*sharpe"):
        shared.critic.best("NOISE", "1d", 5, "sharp")


@pytest.mark.parametrize("metric", ["deflated_sharpe", "alpha_t", "alpha_p_value", "alpha", "max_drawdown", "Sortino"])
def test_every_documented_metric_can_be_asked_for(shared: Desk, metric: str) -> None:
    (naive,) = built(shared, "naive")
    canonical = {"max_drawdown": "drawdown", "Sortino": "sortino"}.get(metric, metric)

    assert canonical in shared.evaluate(naive, metrics=(metric,)).metrics


def test_an_unknown_model_is_refused_with_the_nearest(shared: Desk) -> None:
    (naive,) = built(shared, "naive")

    for refused in (
        lambda: shared.evaluate(naive + "0"),
        lambda: shared.compare(naive, naive + "0"),
        lambda: shared.critic.history(naive + "0", 5),
    ):
        with pytest.raises(UnknownModel, match=naive):
            refused()


def test_models_of_two_symbols_are_compared_only_on_a_symbol_that_was_named(desk: Desk, import_bars: Import) -> None:
    """Testing one of them silently on the other's bars would show figures that nobody asked for."""
    first, second = (desk.build("ridge", import_bars(noise(600, symbol=name)).symbol).card for name in ("NOA", "NOB"))

    with pytest.raises(InvalidRequest, match="different symbols"):
        desk.compare(first.model_id, second.model_id, symbol=None, timeframe=None, period="90d")


def test_a_model_is_not_compared_with_itself(shared: Desk) -> None:
    (naive,) = built(shared, "naive")

    with pytest.raises(InvalidRequest, match="different models"):
        shared.compare(naive, naive)


# --- what is remembered ---


def test_the_history_is_newest_first_and_limited(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(600))
    (naive,) = built(desk, "naive")
    for period in ("30d", "90d", "1y"):
        desk.evaluate(naive, period=period)

    assert [card.period for card in desk.critic.history(naive, 10)] == ["1y", "90d", "30d"]
    assert [card.period for card in desk.critic.history(naive, 1)] == ["1y"]


def test_a_remembered_evaluation_is_the_one_that_was_given(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(600))
    (ridge,) = built(desk, "ridge")

    given = desk.evaluate(ridge)
    (remembered,) = desk.critic.history(ridge, 1)

    for name in (
        "evaluation_id",
        "model_id",
        "symbol",
        "timeframe",
        "period",
        "overall_score",
        "metrics",
        "trust",
        "created_at",
    ):
        assert getattr(remembered, name) == getattr(given, name), name


def test_a_model_that_was_never_evaluated_has_an_empty_history(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(400))
    (naive,) = built(desk, "naive")

    assert desk.critic.history(naive, 10) == ()


def evaluated_on(desk: Desk) -> Mapping[str, EvaluationCard]:
    desk.store.save(noise(700))
    return {
        name: desk.evaluate(built(desk, name)[0], metrics=("volatility", "relative_mae"))
        for name in ("naive", "drift", "ridge")
    }


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Three models, evaluated, and nothing else."""
    home = tmp_path_factory.mktemp("ranked")
    desks = open_desk(Settings.load(home=home / "home", log_dir=home / "logs"))
    made = next(desks)
    evaluated_on(made)
    yield made
    next(desks, None)


@pytest.mark.parametrize(
    ("metric", "sign"),
    [
        ("total_return", 1),
        ("drawdown", 1),
        ("relative_mae", -1),
        ("turnover_per_year", -1),
        ("costs_paid", -1),
        ("dm_p_value", -1),
    ],
)
def test_the_best_models_come_best_first_whichever_way_the_metric_points(ranked: Desk, metric: str, sign: int) -> None:
    """An error, a cost and a p-value are better when they are smaller; what is undefined comes last."""
    found = [card.metrics[metric].value for card in ranked.critic.best("NOISE", "1d", 5, metric)]
    known = [float(value) for value in found if value is not None]

    assert len(found) == 3
    assert known == sorted(known, key=lambda value: -sign * value)
    assert found[: len(known)] == known


def test_the_best_models_by_default_have_the_highest_score(ranked: Desk) -> None:
    scores = [card.overall_score for card in ranked.critic.best("NOISE", "1d", 5, "overall_score")]

    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]


def test_the_best_are_only_as_many_as_asked_for_of_this_symbol_and_not_deleted(desk: Desk) -> None:
    evaluated = evaluated_on(desk)
    assert len(desk.critic.best("NOISE", "1d", 2, "sharpe")) == 2
    assert desk.critic.best("AAPL", "1d", 5, "sharpe") == ()

    desk.builder.delete(evaluated["ridge"].model_id, request_id="delete")

    assert evaluated["ridge"].model_id not in {card.model_id for card in desk.critic.best("NOISE", "1d", 5, "sharpe")}


def test_a_metric_that_no_evaluation_holds_cannot_rank_them(ranked: Desk) -> None:
    """An order by nothing would pass for a ranking."""
    with pytest.raises(InvalidRequest, match="sortino"):
        ranked.critic.best("NOISE", "1d", 5, "sortino")


def test_cards_survive_json(shared: Desk, on_noise: ComparisonCard) -> None:
    evaluation = shared.evaluate(*built(shared, "drift"))

    assert from_json(ComparisonCard, canonical_json(on_noise)) == on_noise
    assert from_json(EvaluationCard, canonical_json(evaluation)) == evaluation


# --- trials ---


def test_a_recipe_is_counted_once_though_it_is_judged_twice(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(600))
    models = built(desk, "ridge", "naive")

    first, second = desk.compare(*models), desk.compare(*models)

    assert (first.trust.trials, second.trust.trials) == (2, 2)  # at least the candidates themselves
    assert desk.ledger.count("NOISE") == 1


def test_every_recipe_ever_tried_on_the_symbol_counts_against_the_best(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(600))
    models = built(desk, "ridge", "naive")
    for seed in range(1, 5):
        built(desk, "ridge", seed=seed)

    card = desk.compare(*models)

    assert card.trust.trials == 5
    assert next(item.value for item in card.trust.evidence if item.name == "trials") == 5


def test_a_trial_on_another_symbol_does_not_count_on_this_one(desk: Desk, import_bars: Import) -> None:
    import_bars(noise(600))
    import_bars(noise(600, seed=5, symbol="OTHER"))
    (ridge,) = built(desk, "ridge")

    desk.evaluate(ridge, symbol="OTHER")

    assert (desk.ledger.count("NOISE"), desk.ledger.count("OTHER")) == (1, 1)


def test_the_count_of_trials_can_be_taken_as_it_stood_then(desk: Desk, import_bars: Import) -> None:
    import_bars(autoregressive(800, symbol="EDGY"))
    models = built(desk, "ridge", "naive", symbol="EDGY")
    then = desk.compare(*models)
    for seed in range(1, 4):
        built(desk, "ridge", symbol="EDGY", seed=seed)

    now = desk.compare(*models)
    again = desk.compare(*models, ledger_position=then.trust.ledger_position)

    assert (then.trust.trials, now.trust.trials) == (2, 4)
    assert values(row(now, "ridge").figures) != values(row(then, "ridge").figures)  # the deflated Sharpe ratio fell
    assert again == then


def test_a_given_count_of_trials_is_used(shared: Desk) -> None:
    models = built(shared, "ridge", "naive")

    assert shared.compare(*models, trials=40).trust.trials == 40


# --- what a reader must know ---


def test_stale_bars_are_a_caveat(shared: Desk) -> None:
    (naive,) = built(shared, "naive", symbol="AAPL")

    assert any("2013-03-01" in caveat and "today" in caveat for caveat in shared.evaluate(naive).trust.caveats)


def test_every_figure_says_as_of_when_from_where_and_how_it_was_computed(
    shared: Desk, on_noise: ComparisonCard
) -> None:
    bars = shared.catalog.load("NOISE")

    for item in on_noise.trust.evidence:
        assert (item.as_of, item.source) == (bars.date(-1), "made for a test")
        assert not item.computed.startswith(f"{item.name};"), f"{item.name} only repeats its name"
        assert item.value is not None or item.note, f"{item.name} of {item.of} does not say why it is unknown"


def test_curves_grow_from_one_and_end_at_the_total_return(on_memory: ComparisonCard) -> None:
    for curve in on_memory.curves:
        assert curve.equity[0] == 1.0
        assert curve.equity[-1] == pytest.approx(1 + float(row(on_memory, curve.name).figures["total_return"].value))  # type: ignore[arg-type]
        assert len(curve.dates) == len(curve.equity) <= 400


def test_the_interval_of_a_sharpe_ratio_holds_it(on_noise: ComparisonCard) -> None:
    item = row(on_noise, "buy_and_hold").figures["sharpe"]

    assert item.low is not None
    assert item.high is not None
    assert item.low < float(item.value or 0) < item.high  # type: ignore[arg-type]
    assert item.level == 0.95
