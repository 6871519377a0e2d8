"""What a day's requests need, against arithmetic by hand, and by a simulated day; what runs out first is named."""

from __future__ import annotations

import json
import math

import pytest

from evolve.cli import main
from evolve.errors import InvalidRequest
from evolve.manager.capacity import Costs, Demand, Kind, Stage, costs, plan
from evolve.statistics.queue_simulation import Kind as Traffic
from evolve.statistics.queue_simulation import simulate

# 1 s of a core per heavy request, 10 ms per light one; round figures for arithmetic by hand.
KNOWN = Costs(
    measured="2026-01-01", commit="none", machine="by hand", load="0", front_mb=100.0, job_mb=200.0, server_ms=0.1, write_ms=5.0, server_kb=2.0, database_kb=1.0,
    kinds=(
        Kind("ask", "a question", 1.0, (Stage("quant_gpt", "heavy", 1.0, 1.0, 1.0, 9), Stage("prompt_router", "light", 2.0, 0.01, 1.0, 9))),
        Kind("round", "a watched symbol", 0.5, (Stage("updater", "heavy", 1.0, 0.5, 0.0, 9),)),
    ),
)  # fmt: skip


def limits(**demand):
    return {each.resource: each for each in plan(KNOWN, Demand(**demand)).limits}


def test_cores_memory_server_and_writer_are_counted_at_the_peak():
    # 28,800 a day, three times the mean at the peak: one a second. Three messages each.
    found = plan(KNOWN, Demand({"ask": 28_800}, peak=3.0, wait_s=1.0, machines=4, cores=2))

    assert found.cores == pytest.approx(1.0)
    assert found.machines == 1
    assert found.server_gb == pytest.approx(3 * 28_800 * 2 / 2**20)
    assert found.database_gb_a_day == pytest.approx(3 * 28_800 / 2**20)
    share = {each.resource: each.share for each in found.limits}
    assert share["cores"] == pytest.approx(1.0 / (0.8 * 8))
    assert share["server"] == pytest.approx(3 * 0.0001 / 0.7)
    assert share["database writer"] == pytest.approx(3 * 0.005 / 0.7)


def test_replicas_are_as_many_as_keep_the_wait_and_no_more():
    found = plan(KNOWN, Demand({"ask": 28_800}, wait_s=1.0, cores=2))
    desk = next(share for share in found.shares if share.service == "quant_gpt")

    # One erlang: with 3 places P(W > t) = 0.0909·exp(-2t), so 95 % wait 0.3 s at most; with 2 it is 1/3·exp(-t): 1.9 s.
    assert (desk.places, desk.replicas) == (3, 2)
    assert found.replicas == {"quant_gpt": 2, "prompt_router": 1}
    assert plan(KNOWN, Demand({"ask": 28_800}, wait_s=2.0, cores=2)).shares[0].places == 2


def test_what_runs_out_first_stands_first_and_says_at_which_size():
    first, *others = plan(KNOWN, Demand({"ask": 28_800}, machines=1, cores=2)).limits

    assert first.resource == "cores"
    # 1.6 cores may be used, at 1 core per 28,800 a day.
    assert first.per_day == pytest.approx(1.6 * 28_800)
    assert all(first.share >= each.share for each in others)


def test_rounds_of_symbols_are_planned_by_when_they_shall_be_done():
    found = plan(KNOWN, Demand({}, symbols=7_200, within_s=600.0, cores=2))

    # 3,600 s of work in 600 s: six places.
    assert found.replicas == {"updater": 3}
    assert found.rounds_s == pytest.approx(600.0)
    assert found.cores == pytest.approx(6.0)
    assert limits(per_day={}, symbols=7_200)["queue"].share == pytest.approx(0.072)


def test_more_of_everything_needs_more_of_everything():
    small, large = (plan(KNOWN, Demand({"ask": count})) for count in (10_000, 1_000_000))

    assert large.replicas["quant_gpt"] > small.replicas["quant_gpt"]
    assert large.memory_gb > small.memory_gb
    assert all(
        a.per_day == pytest.approx(b.per_day)
        for a in small.limits
        for b in large.limits
        if a.resource == b.resource != "memory"
    )


@pytest.mark.parametrize(
    "demand",
    [Demand({}), Demand({"none": 3}), Demand({"ask": -1}), Demand({"ask": 1}, peak=0.5), Demand({"ask": 1}, wait_s=0)],
)
def test_what_is_no_demand_is_refused(demand):
    with pytest.raises(InvalidRequest):
        plan(KNOWN, demand)


def test_a_planned_day_keeps_its_promise_when_it_is_simulated():
    demand = Demand({"ask": 60_000}, wait_s=1.0, cores=2)
    found = plan(KNOWN, demand)
    places = {share.service: share.replicas * (2 if share.lane == "heavy" else 1) for share in found.shares}
    route = tuple((stage.service, stage.time) for stage in KNOWN.kind("ask").stages)

    seen = simulate([Traffic("ask", route, per_day=60_000)], places, days=1, peak_factor=demand.peak, seed=2)

    assert seen["quant_gpt"].peak_quantile(0.95) <= demand.wait_s


def test_what_was_measured_is_whole_and_says_where_and_when():
    known = costs()

    assert {kind.name for kind in known.kinds} == {"route", "question", "program", "ridge", "round"}
    assert all(stage.mean_s > 0 and stage.n >= 10 for kind in known.kinds for stage in kind.stages)
    assert min(known.server_ms, known.write_ms, known.server_kb, known.database_kb, known.front_mb, known.job_mb) > 0
    assert known.measured >= "2026-11"
    assert known.commit


def test_the_command_answers_in_words_and_in_json(capsys):
    assert main(["capacity", "question=100_000", "--symbols", "500", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["replicas"]["quant_gpt"] >= 1
    assert shown["limits"][0]["resource"] == "cores"

    assert main(["capacity", "question=100_000"]) == 0
    assert "what runs out first with 1 machine" in capsys.readouterr().out
    assert main(["capacity"]) == 0
    assert "a market question" in capsys.readouterr().out


@pytest.mark.parametrize(
    "word", ["question", "question=", "question=many", "question=nan", "=3", "question=1e99", "qestion=5"]
)
def test_what_is_no_number_of_requests_is_refused(word, capsys):
    assert main(["capacity", word]) == 1
    assert (
        "capacity takes" in (said := capsys.readouterr().err)
        or "nearest: question" in said
        or "nothing was measured" in said
    )


def test_no_size_is_infinite_that_is_asked_for():
    assert not any(math.isinf(each.per_day) for each in plan(KNOWN, Demand({"ask": 10.0})).limits)
