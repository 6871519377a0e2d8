"""The table that workers of one study share: every trial is tried by one of them, finished once, and tried again when one dies."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest, LeaseLost
from evolve.memory.fence import Fence, behind
from evolve.memory.studies import MOST_RUNS, Drawn, Nothing, Outcome, Studies
from evolve.memory.trials import Trial, TrialLedger
from evolve.tunings import Dimension, StudyPlan


def plan(**changed: object) -> StudyPlan:
    fields: dict[str, object] = {
        "model_type": "ridge", "symbol": "AAPL", "timeframe": "1d", "simulated": False, "fingerprint": "f", "features": (), "horizon_bars": 1,
        "seed": 0, "method": "random", "sampler": "random", "dimensions": (Dimension("alpha", "float", 1, 10),), "settled": {},
        "defaults": {"alpha": 0.0}, "folds": 5, "first_fold_bars": 300, "train_bars": 800, "train_last": "2004-01-01", "history_bars": 3000,
        "lag": 1, "stop_early": False, "prune": False, "grid_points": 0, "code_version": "1",
    }  # fmt: skip
    return StudyPlan(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.fixture
def studies(database):
    return Studies(database, clock=FrozenClock(1_000.0))


def opened(studies: Studies, *, wanted: int = 5, **changed: object) -> str:
    return studies.open(plan(**changed), wanted=wanted, warm=(), request_id="r").study_id


def done(score: float = 0.1) -> Outcome:
    return Outcome("complete", {"alpha": 2.0}, score, score, (0.05, score), np.array([1.0, 0.1 + 0.2]))


def test_trials_are_drawn_by_number_and_end_with_the_study(studies):
    study = opened(studies, wanted=2)

    first = studies.draw(study, "w")
    second = studies.draw(study, "w", told=(first, done()))

    assert (first, second) == (Drawn(0, 1), Drawn(1, 1))
    assert studies.draw(study, "w", told=(second, done())) == Nothing(over=True)
    assert [trial.state for trial in studies.trials(study)] == ["complete", "complete"]


def test_what_was_told_is_kept_to_the_last_bit(studies):
    study = opened(studies)
    studies.draw(study, "w", told=(studies.draw(study, "w"), done(0.1 + 0.2)))

    (trial, _) = studies.trials(study)

    assert (trial.score, trial.folds, trial.params) == (0.1 + 0.2, (0.05, 0.1 + 0.2), {"alpha": 2.0})
    assert trial.losses.tolist() == [1.0, 0.1 + 0.2]


def test_a_new_trial_waits_for_those_a_lag_before_it(studies):
    study = opened(studies, lag=3)
    held = [studies.draw(study, f"w{number}") for number in range(3)]

    assert studies.draw(study, "w3") == Nothing(over=False)
    studies.draw(study, "w1", told=(held[1], done()))
    assert studies.draw(study, "w3") == Nothing(over=False)  # trial 0 is still under way
    assert studies.draw(study, "w0", told=(held[0], done())) == Drawn(3, 1)


def test_a_worker_that_comes_back_has_its_trial_again_and_its_former_life_tells_in_vain(studies):
    study = opened(studies)
    before = studies.draw(study, "w")

    again = studies.draw(study, "w")
    studies.draw(study, "w", told=(before, done(9.0)))

    assert again == Drawn(0, 2)
    assert studies.trials(study)[0].state == "running"


def test_trials_of_workers_that_are_gone_are_tried_by_others_and_finished_once(studies):
    study = opened(studies, lag=2)
    lost, kept = studies.draw(study, "gone/0"), studies.draw(study, "here/0")

    assert studies.release(study, but="here/") == 1
    taken = studies.draw(study, "here/1")
    studies.draw(study, "gone/0", told=(lost, done(9.0)))
    studies.draw(study, "here/1", told=(taken, done(0.5)))

    assert (taken, kept) == (Drawn(0, 2), Drawn(1, 1))
    assert studies.trials(study)[0].score == 0.5


def test_a_trial_that_ends_every_worker_is_given_up_with_the_reason(studies):
    study = opened(studies, wanted=1)
    for _ in range(MOST_RUNS):
        studies.draw(study, "w")

    assert studies.draw(study, "w") == Nothing(over=True)
    (trial,) = studies.trials(study)
    assert (trial.state, trial.error) == (
        "failed",
        "given up: 6 workers died of it; less memory may be needed (a smaller space)",
    )


def test_a_told_trial_is_counted_in_the_ledger_once_and_one_told_in_vain_is_not(studies, database):
    study = opened(studies)
    first = studies.draw(study, "w")
    again = studies.draw(study, "w")
    studies.draw(study, "w", told=(first, done()), tried=Trial("AAPL", "in vain", "f"))
    assert TrialLedger(database).count("AAPL") == 0

    studies.draw(study, "w", told=(Drawn(again.number, 3), done()), tried=Trial("AAPL", "a", "f"))

    assert TrialLedger(database).count("AAPL") == 1


def test_a_run_that_was_taken_over_tells_nothing(studies):
    """The replica lost its lease and does not know it: the transaction that would have told is refused."""
    study = opened(studies)
    with behind(Fence("meta_tuner/r", "1")):
        drawn = studies.draw(study, "w")
    with behind(Fence("meta_tuner/r", "2", again=True)):
        studies.draw(study, "w")

    with behind(Fence("meta_tuner/r", "1")), pytest.raises(LeaseLost):
        studies.draw(study, "w", told=(drawn, done()))

    assert studies.trials(study)[0].state == "running"


def test_the_same_plan_is_one_study_that_grows_and_another_seed_is_another(studies):
    study = opened(studies, wanted=5)

    assert studies.open(plan(), wanted=3, warm=({"alpha": 5.0},), request_id="r2").wanted == 5
    grown = studies.open(plan(), wanted=9, warm=({"alpha": 5.0},), request_id="r3")
    assert (grown.study_id, grown.wanted, grown.warm) == (study, 9, ())
    assert opened(studies, seed=1) != study


def test_a_stalled_search_ends_at_the_earliest_trial_that_found_it_so(studies):
    study = opened(studies, wanted=9, lag=3)
    first, second = studies.draw(study, "a"), studies.draw(study, "b")
    studies.end(study, second)
    studies.end(study, first)

    assert studies.get(study).ends_at == 0
    assert studies.trials(study) == ()
    assert studies.draw(study, "a") == Nothing(over=True)


def test_a_study_that_is_not_there_is_refused_with_those_that_are(studies):
    study = opened(studies)

    with pytest.raises(InvalidRequest, match=f"there is no study 'nope'; nearest: {study}"):
        studies.get("nope")


def test_four_workers_at_once_try_each_trial_once(studies):
    study = opened(studies, wanted=24, lag=6)
    ran: list[int] = []

    def work(name: str) -> None:
        drawn = studies.draw(study, name)
        while not (isinstance(drawn, Nothing) and drawn.over):
            if isinstance(drawn, Drawn):
                ran.append(drawn.number)
                drawn = studies.draw(study, name, told=(drawn, done()), tried=Trial("AAPL", str(drawn.number), "f"))
            else:
                drawn = studies.draw(study, name)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(ran) == Counter(range(24))
    assert [trial.state for trial in studies.trials(study)] == ["complete"] * 24
