"""How many replicas were asked for: what can be said, what is refused, what is remembered."""

from __future__ import annotations

import pytest

from evolve.errors import EvolveError, InvalidRequest, UnknownService
from evolve.manager.autoscaler import room_for
from evolve.manager.scale import (  # fmt: skip
    KEPT,
    Scale,
    Scaled,
    decisions,
    last_decisions,
    note_scaled,
    parse_scale,
    parse_scales,
    remember,
    remembered,
)


@pytest.mark.parametrize(
    ("text", "scale"),
    [("3", Scale(3, 3)), ("0", Scale(0, 0)), ("1..4", Scale(1, 4)), ("2..2", Scale(2, 2)), ("auto", Scale(1, 6))],
)
def test_a_number_a_range_and_auto_are_understood(text, scale):
    assert parse_scale(text, cores=6) == scale
    assert parse_scale(str(scale), cores=6) == scale


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.5", "1..", "..4", "4..1", "0..3", "65", "1..65", "1...3", "99999", "٣x"]
)
def test_what_is_no_number_of_replicas_is_refused(text):
    with pytest.raises(InvalidRequest):
        parse_scale(text, cores=6)


def test_several_services_are_scaled_at_once_each_of_them_once():
    assert parse_scales(["model_builder=3", "research=1..2"], cores=2) == {
        "model_builder": Scale(3, 3),
        "research": Scale(1, 2),
    }
    for words, error in (
        (["model_builder"], InvalidRequest),
        (["research=1", "research=2"], InvalidRequest),
        (["modelbuilder=1"], UnknownService),
    ):
        with pytest.raises(error):
            parse_scales(words, cores=2)


def test_what_was_asked_for_is_remembered_until_it_is_asked_for_anew(tmp_path):
    home = tmp_path / "home"
    assert remembered(home) == {}
    remember(home, {"research": Scale(1, 4), "updater": Scale(0, 0)})
    remember(home, {"research": Scale(2, 2)})

    assert remembered(home) == {"research": Scale(2, 2), "updater": Scale(0, 0)}


@pytest.mark.parametrize("text", ["", "[1]", "no json", '{"research": "4..1"}'])
def test_a_spoilt_memory_is_none(tmp_path, text):
    (tmp_path / "replicas.json").write_text(text)

    assert remembered(tmp_path) == {}


def test_a_memory_that_cannot_be_written_scales_nothing(tmp_path):
    (tmp_path / "home").write_text("a file stands where the home should")

    with pytest.raises(EvolveError):
        remember(tmp_path / "home", {"research": Scale(1, 1)})


def test_the_newest_decisions_are_kept(tmp_path):
    for number in range(KEPT + 5):
        note_scaled(tmp_path, Scaled("research", number, number + 1, "3 wait", float(number)))

    assert len(decisions(tmp_path)) == KEPT
    assert last_decisions(tmp_path)["research"] == Scaled("research", KEPT + 4, KEPT + 5, "3 wait", KEPT + 4.0)


def test_replicas_have_the_memory_that_is_free_less_a_tenth_of_all():
    # 4,000 MB free of 16,000: 1,600 stay free, 2,400 hold two of 1,000.
    assert room_for(4_000, 16_000, replica_mb=1_000) == 2
    assert room_for(1_000, 16_000, replica_mb=1_000) == 0
