"""The trial ledger: distinct trials per symbol, now and as of then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from evolve.memory.database import Database
from evolve.memory.trials import Trial, TrialLedger
from evolve.settings import Settings


@pytest.fixture
def ledger(database):
    return TrialLedger(database)


def test_the_same_recipe_on_the_same_data_counts_once(ledger):
    assert ledger.record([Trial("AAPL", "recipe", "data"), Trial("AAPL", "recipe", "data")], request_id="r1") == 1
    assert ledger.record([Trial("AAPL", "recipe", "data")], request_id="r2") == 0

    assert ledger.count("AAPL") == 1


def test_another_recipe_other_data_and_another_symbol_count_apart(ledger):
    ledger.record(
        [Trial("AAPL", "a", "d"), Trial("AAPL", "b", "d"), Trial("AAPL", "a", "e"), Trial("MSFT", "a", "d")],
        request_id="r1",
    )

    assert (ledger.count("AAPL"), ledger.count("MSFT"), ledger.count("TSLA")) == (3, 1, 0)


def test_a_position_shows_the_ledger_as_it_was_then(ledger):
    assert ledger.position() == 0
    ledger.record([Trial("AAPL", "a", "d", 0.05), Trial("MSFT", "a", "d")], request_id="r1")
    then = ledger.position()
    ledger.record([Trial("AAPL", "b", "d", -0.01)], request_id="r2")

    assert ledger.count("AAPL", as_of=then) == 1
    assert [trial.sharpe_per_bar for trial in ledger.tried("AAPL", as_of=then)] == [0.05]
    assert [trial.sharpe_per_bar for trial in ledger.tried("AAPL")] == [0.05, -0.01]
    assert ledger.count("AAPL", as_of=0) == 0


@hypothesis_settings(max_examples=15, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("XY"), st.sampled_from("abc"), st.sampled_from("12")), max_size=6),
        max_size=6,
    )
)
def test_the_count_as_of_any_position_is_that_of_a_set_kept_by_hand(tmp_path_factory, batches):
    home = tmp_path_factory.mktemp("ledger")
    with Database.open(Settings.load(home=home, database_url=f"sqlite:///{home}/trials.db")) as database:
        ledger, seen, expected = TrialLedger(database), set(), []
        for batch in batches:
            new = ledger.record([Trial(*trial) for trial in batch], request_id="r")
            assert new == len(set(batch) - seen)
            seen |= set(batch)
            expected.append((ledger.position(), sum(symbol == "X" for symbol, *_ in seen)))

        assert [(position, ledger.count("X", as_of=position)) for position, _ in expected] == expected
