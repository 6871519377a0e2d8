"""What the user imported is named exactly, however odd; nothing is mended into another stock."""

import pytest

from evolve.language.parse import parse

OWN = ("XEDGE", "AAPL2", "MYSTOCK", "GO", "EDGE")


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("Give me the best model for XEDGE over 90 days", ("XEDGE",)),
        ("best model for AAPL2", ("AAPL2",)),
        ("should i buy mystock now", ("MYSTOCK",)),
        ("Give me the best model for EDGE over 90 days", ("EDGE",)),
    ],
)
def test_an_imported_symbol_is_read_as_named(query, symbols):
    assert parse(query, own=OWN).symbols == symbols


def test_an_imported_symbol_that_is_a_word_still_needs_its_place():
    assert parse("where does bitcoin go next", own=OWN).symbols == ("BTCUSDT",)


def test_a_ticker_with_digits_written_to_it_is_not_that_ticker():
    assert parse("best model for AAPL2").symbols == ("AAPL2",)


def test_an_earlier_turn_knows_the_own_symbols_too():
    assert parse("and over 30 days?", ["best model for XEDGE"], own=OWN).symbols == ("XEDGE",)
