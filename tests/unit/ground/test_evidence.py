"""Evidence: a figure renders one way everywhere, and its id is its own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.evidence import Evidence, EvidenceBook, Unit, render, render_interval, render_value


def figure(value: float | int | str | None, unit: Unit = "ratio", **changes: object) -> Evidence:
    fields = {"as_of": "2013-03-01", "source": "test", "computed": "by hand"} | changes
    return Evidence("e1", "sharpe", "ridge", value, unit, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.1234, "fraction", "12.3 %"),
        (-0.5, "fraction", "-50.0 %"),
        (1.005, "ratio", "1.00"),
        (2270, "bars", "2,270"),
        (3, "count", "3"),
        (90, "days", "90"),
        (1234.5, "price", "1,234.50"),
        (0.0444, "probability", "0.044"),
        (0.00012, "probability", "< 0.001"),
        (1.5, "bps", "1.5 bp"),
        (2.345, "years", "2.3 years"),
        (0.25, "seconds", "0.2 s"),
        ("BUY", "text", "BUY"),
        (None, "ratio", "n/a"),
        (math.nan, "fraction", "n/a"),
        (math.inf, "ratio", "n/a"),
    ],
)
def test_a_value_is_rendered_in_its_unit(value: float | int | str | None, unit: Unit, shown: str) -> None:
    assert render_value(value, unit) == shown
    assert str(figure(value, unit)) == render(figure(value, unit)) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"), [(-0.0001, "fraction", "0.0 %"), (-0.001, "ratio", "0.00"), (-0.0, "price", "0.00")]
)
def test_what_rounds_to_zero_has_no_sign(value: float, unit: Unit, shown: str) -> None:
    assert render_value(value, unit) == shown


def test_an_interval_is_rendered_in_the_unit_of_its_figure() -> None:
    assert render_interval(figure(0.2, "fraction", low=0.1, high=0.3, level=0.95)) == "10.0 % … 30.0 %"


@pytest.mark.parametrize(("low", "high"), [(None, 0.3), (0.1, None), (None, None)])
def test_half_an_interval_is_not_shown(low: float | None, high: float | None) -> None:
    assert render_interval(figure(0.2, low=low, high=high)) == ""


def add(book: EvidenceBook, value: float | None = 1.0, **changes: object) -> Evidence:
    fields = {"as_of": "2013-03-01", "source": "test", "computed": "by hand"} | changes
    return book.add("sharpe", "ridge", value, "ratio", **fields)  # type: ignore[arg-type]


def test_figures_are_numbered_in_the_order_they_were_added() -> None:
    book = EvidenceBook()

    assert [add(book).id, add(book).id, add(book).id] == ["e1", "e2", "e3"]
    assert [item.id for item in book] == ["e1", "e2", "e3"]
    assert book["e2"].id == "e2"


@given(st.lists(st.one_of(st.none(), st.integers(1, 9))))
def test_no_figure_ever_takes_the_id_of_another(steps: list[int | None]) -> None:
    """None: a figure of its own; a number: one adopted from another answer, where it had that number."""
    book = EvidenceBook()

    for step in steps:
        add(book) if step is None else book.adopt(Evidence(f"e{step}", "sharpe", "x", 1.0, "ratio", "d", "s", "c"))

    assert [item.id for item in book] == [f"e{number + 1}" for number in range(len(steps))]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_unknown_and_the_note_says_why(value: float) -> None:
    item = add(EvidenceBook(), value)

    assert (item.value, bool(item.note)) == (None, True)


def test_a_given_note_is_kept_for_an_unknown_value() -> None:
    assert add(EvidenceBook(), math.nan, note="no bars").note == "no bars"


@pytest.mark.parametrize("bounds", [{"low": math.nan, "high": 1.0}, {"low": 0.0, "high": math.inf}])
def test_a_bound_that_is_no_number_makes_the_interval_unknown(bounds: dict[str, float]) -> None:
    """JSON has no NaN: such a bound could be neither stored nor sent."""
    item = add(EvidenceBook(), 0.5, level=0.95, **bounds)

    assert (item.value, item.low, item.high, item.level) == (0.5, None, None, None)


def test_an_adopted_figure_gets_a_new_id_and_keeps_the_rest() -> None:
    book = EvidenceBook()
    add(book)

    adopted = book.adopt(figure(0.5, note="theirs"))

    assert (adopted.id, adopted.value, adopted.note) == ("e2", 0.5, "theirs")
