"""What trembles about its limit is told once; what is over is told as such; what concerns others is not told."""

from __future__ import annotations

import pytest

from evolve.alerting.judging import concerns, judge
from evolve.alerts import AlertRule, Observation


def rule(kind="signal", **changes):
    usual = {"raise_at": 0.5, "clear_at": 0.2} if kind in ("signal", "queue_age") else {}
    return AlertRule("mine", kind, "webhook", "http://x", **{**usual, **changes})


def seen(value, kind="signal", subject="AAPL 1d", at=1.0):
    return Observation(kind, subject, value, "so it is", at)


def levels(rule, values):
    """The levels that are told, one after the other."""
    state, told = None, []
    for value in values:
        state, alert = judge(rule, state, seen(value, rule.kind))
        told += [alert.level] if alert else []
    return told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.0, 0.1, 0.4], []),
        ([0.6], ["long"]),  # a first signal is a new one
        ([0.6, 0.4, 0.55, 0.3], ["long"]),  # trembles above the lower limit
        ([0.6, 0.1, 0.6], ["long", "flat", "long"]),
        ([0.6, -0.6], ["long", "short"]),
        ([-0.6, -0.3, 0.1], ["short", "flat"]),
    ],
)
def test_a_signal_is_told_when_its_side_changes(values, told):
    assert levels(rule(), values) == told


@pytest.mark.parametrize(
    ("values", "told"), [([0.6, 0.3, 0.6], ["raised"]), ([0.6, 0.2], ["raised", "clear"]), ([0.4], [])]
)
def test_a_level_is_over_only_at_its_lower_limit(values, told):
    assert levels(rule("queue_age"), values) == told


def test_several_looks_must_agree_where_the_rule_says_so():
    assert levels(rule(confirm=3), [0.6, 0.6, 0.0, 0.6, 0.6, 0.6]) == ["long"]
    assert levels(rule(confirm=2), [0.6, -0.6, 0.6, -0.6]) == []  # never twice the same


def test_the_end_is_not_told_where_the_rule_says_so():
    assert levels(rule("queue_age", resolved=False), [0.6, 0.1, 0.6]) == ["raised", "raised"]


def test_every_change_has_an_id_of_its_own_and_the_same_change_the_same():
    first, one = judge(rule(), None, seen(0.6))
    _, again = judge(rule(), None, seen(0.6, at=2.0))
    _, other = judge(rule(), None, seen(0.6, subject="MSFT 1d"))
    _, later = judge(rule(), first, seen(-0.6))
    _, anew = judge(rule(since=9.0), None, seen(0.6))

    ids = [alert.alert_id for alert in (one, other, later, anew)]
    assert (one.alert_id, len(set(ids))) == (again.alert_id, 4)
    assert (one.title, later.title) == ("AAPL 1d: flat → long", "AAPL 1d: long → short")


@pytest.mark.parametrize(
    ("wanted", "subject", "is_it"),
    [
        ({}, "AAPL 1d", True), ({"symbol": "AAPL"}, "AAPL 1h", True), ({"symbol": "AAPL", "timeframe": "1d"}, "AAPL 1h", False),
        ({"symbol": "MSFT"}, "AAPL 1d", False),
    ],
)  # fmt: skip
def test_a_rule_is_about_the_symbols_that_it_names(wanted, subject, is_it):
    assert concerns(rule(**wanted), seen(1.0, subject=subject)) is is_it
    assert not concerns(rule(**wanted), seen(1.0, kind="drift", subject=subject))


def test_a_rule_is_about_the_services_that_it_names():
    assert concerns(rule("crash", service="updater"), seen(1.0, "crash", "updater"))
    assert not concerns(rule("crash", service="updater"), seen(1.0, "crash", "research"))
