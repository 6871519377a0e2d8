import pytest

from evolve.market.types import canonical_period, parse_symbol, period_days


@pytest.mark.parametrize(("text", "symbol"), [("aapl", "AAPL"), (" BTC/USDT ", "BTCUSDT"), ("brk.b", "BRK.B")])
def test_a_symbol_is_upper_case_without_a_slash(text, symbol):
    assert parse_symbol(text) == symbol


@pytest.mark.parametrize("text", ["", "A B", "../etc", "AAPL;", "A" * 21, "Ä"])
def test_what_cannot_be_a_symbol_is_refused(text):
    with pytest.raises(ValueError, match="is not a symbol"):
        parse_symbol(text)


@pytest.mark.parametrize(("period", "days"), [("90d", 90), ("2w", 14), ("3m", 90), ("1y", 365)])
def test_a_period_is_so_many_days(period, days):
    assert period_days(period) == days


@pytest.mark.parametrize("period", ["0d", "90", "d", "-1d", "1.5y", "1h"])
def test_what_is_no_period_is_refused(period):
    with pytest.raises(ValueError, match="is not a period"):
        period_days(period)


def test_a_period_is_written_in_days_except_a_year():
    assert [canonical_period(period) for period in ("365d", "1y", "2w", "2y")] == ["1y", "1y", "14d", "730d"]


@pytest.mark.parametrize("text", ["a/../b", "BTC/", "/USDT", "A/B/C"])
def test_a_slash_is_only_for_pairs(text):
    with pytest.raises(ValueError, match="is not a symbol"):
        parse_symbol(text)
