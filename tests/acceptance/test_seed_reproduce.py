"""Does an answer come out the same again? By its id here, by its file in another home; and if not, is it said what differs?"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from seed_system import System

from evolve.agents.reproduction import compare_figures
from evolve.cards import AnswerCard
from evolve.evidence import EvidenceBook

# Long deadlines, not long tests: jobs are nice, so on a machine that is busy with other things they come last.
pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]

# Two quick families: what is reproduced here is the path of an answer, which all families share. `make prove` takes the whole field.
QUESTION = "Compare ridge and xgboost for IBM"
ALL_FAMILIES = "What's the trading signal for AAPL?"


@pytest.fixture(scope="module")
def answered(running: System) -> dict:
    """One answer about real bars, whole, and the file that `ask --json` makes of it."""
    line = f'evolve ask "{QUESTION}" --json > answer.json'
    assert running.shell(line, cwd=running.home, timeout=600).returncode == 0
    return json.loads((running.home / "answer.json").read_text())


def values(answer: dict) -> list[tuple]:
    """Every figure of an answer, by its last bit."""
    return [
        (item["name"], item["of"], item["value"], item["low"], item["high"]) for item in answer["answer"]["figures"]
    ]


def test_asking_again_gives_the_same_id_and_the_same_figures(answered, running: System):
    again = running.json(f'evolve ask "{QUESTION}" --json')
    assert again["answer"]["answer_id"] == answered["answer"]["answer_id"]
    assert values(again) == values(answered)


def test_an_answer_is_reproduced_by_its_id_bit_for_bit(answered, running: System):
    done = running.shell(f"evolve reproduce {answered['answer']['answer_id']}", timeout=600)
    assert done.returncode == 0
    assert f"all {len(answered['answer']['figures'])} figures are the same, bit for bit" in done.stdout


def test_an_answers_file_gives_identical_figures_in_another_home(answered, running: System, fresh: System):
    """A fresh home has no models and no stored forecasts: everything is fitted again."""
    same_in_another_home(answered, running, fresh)


@pytest.mark.prove
def test_an_answer_by_all_families_is_identical_in_another_home(running: System, fresh: System):
    assert (
        running.shell(f'evolve ask "{ALL_FAMILIES}" --json > answer.json', cwd=running.home, timeout=600).returncode
        == 0
    )
    same_in_another_home(json.loads((running.home / "answer.json").read_text()), running, fresh)


def same_in_another_home(answered: dict, running: System, fresh: System) -> None:
    (fresh.home / "theirs.json").write_bytes((running.home / "answer.json").read_bytes())
    done = fresh.shell("evolve reproduce theirs.json --json", cwd=fresh.home, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    reproduction = result["results"]["reproduction"]
    assert (reproduction["identical"], reproduction["largest_relative_difference"]) == (True, 0.0)
    assert (reproduction["differing"], reproduction["circumstances"]) == ([], [])
    assert reproduction["figures"] == len(answered["answer"]["figures"]) > 0
    assert values(result) == values(answered)
    assert result["answer"]["verdict"] == answered["answer"]["verdict"]


def test_an_unknown_id_is_an_error_that_names_the_latest_ones(answered, running: System):
    done = running.shell("evolve reproduce no-such-id")
    assert (done.returncode, done.stdout) == (1, "")
    latest = done.stderr.strip().partition("the latest are ")[2].split(", ")
    assert running.shell(f"evolve reproduce {latest[0]}", timeout=600).returncode == 0


@pytest.mark.parametrize("text", ["this is no JSON", "[]", '{"an": "other document"}'])
def test_a_file_that_is_no_answer_is_an_error_that_says_so(text, running: System):
    (running.home / "answer.txt").write_text(text)
    done = running.shell("evolve reproduce answer.txt", cwd=running.home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "an answer" in done.stderr or "no answer" in done.stderr
    assert "Traceback" not in done.stderr


# --- comparing figures, without any service ---


def answer(*values: float | None, **recipe: object) -> AnswerCard:
    book = EvidenceBook()
    for number, value in enumerate(values):
        book.add(f"figure_{number}", "ridge", value, "ratio", as_of="2013-03-01", source="test", computed="by hand")
    return AnswerCard(
        answer_id="id", query="q", intent="model_recommendation", headline="h", verdict="no_edge", data_status="stale",
        slots={}, rows=(), trust=None, figures=tuple(book), commentary=(), curves=(), disclaimer="", reproduce="",
        recipe={"code_version": "1", "data": "bars", "seed": 0, **recipe},
    )  # fmt: skip


def test_equal_figures_are_identical():
    found = compare_figures(answer(1.5, None, 0.0), answer(1.5, None, 0.0))
    assert (found["identical"], found["figures"], found["largest_relative_difference"]) == (True, 3, 0.0)


def test_the_largest_relative_difference_is_given_and_every_figure_that_differs_is_named():
    found = compare_figures(answer(1.0, 2.0, 5.0), answer(1.0, 2.5, 4.0))

    assert found["identical"] is False
    assert found["largest_relative_difference"] == pytest.approx(0.2)  # 0.5 of 2.5, and 1 of 5
    assert found["differing"] == [
        {"figure": "figure_1 of ridge", "before": 2.0, "now": 2.5},
        {"figure": "figure_2 of ridge", "before": 5.0, "now": 4.0},
    ]


def test_a_last_bit_that_differs_is_seen():
    found = compare_figures(answer(0.1 + 0.2), answer(0.3))
    assert not found["identical"]
    assert 0 < found["largest_relative_difference"] < 1e-15


def test_a_figure_that_is_gone_or_unknown_now_counts_as_wholly_different():
    for now in (answer(1.0), answer(1.0, None)):
        found = compare_figures(answer(1.0, 2.0), now)
        assert (found["identical"], found["largest_relative_difference"]) == (False, 1.0)
        assert found["differing"] == [{"figure": "figure_1 of ridge", "before": 2.0, "now": None}]


def test_an_interval_that_differs_is_seen():
    before = answer(1.0)
    [figure] = before.figures
    found = compare_figures(before, replace(before, figures=(replace(figure, low=0.5, high=1.5),)))
    assert not found["identical"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"code_version": "2"}, "code_version: 1 then, 2 now"),
        ({"data": "other bars"}, "data: bars then, other bars now"),
        ({"seed": 7}, "seed: 0 then, 7 now"),
    ],
)
def test_other_code_data_or_seed_is_named(changed, said):
    assert compare_figures(answer(1.0), answer(1.0, **changed))["circumstances"] == [said]
