"""A rule that could not be kept is refused when it is made, and no secret gets into the database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.alerting.rules import check_rule
from evolve.alerts import AlertRule
from evolve.errors import InvalidRequest

GOOD = AlertRule("mine", "drift", "webhook", "https://example.org/hook", secret="file:/run/key")


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"target": "env:HOOK"}, {"target": "http://127.0.0.1:80/x", "private": True},
        {"channel": "email", "target": "me@example.org", "secret": ""}, {"channel": "telegram", "target": "-100123", "secret": ""},
        {"channel": "telegram", "target": "@news_of_mine", "secret": ""}, {"kind": "crash", "service": "updater"},
        {"symbol": "AAPL", "timeframe": "1d", "quiet": "22:00-07:00", "timezone": "America/New_York"},
    ],
)  # fmt: skip
def test_a_rule_that_can_be_kept_is_taken(changes):
    check_rule(replace(GOOD, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a b"}, "is no name"),
        ({"name": ""}, "is no name"),
        ({"secret": "hunter2"}, "a secret is never stored"),
        ({"target": "https://hooks.slack.com/services/T/B/x"}, "is a secret"),
        ({"target": "https://example.org/?token=1"}, "is a secret"),
        ({"target": "https://me:pw@example.org/"}, "no name or password"),
        ({"target": "ftp://example.org/"}, "http:// or https://"),
        ({"target": "file:/etc/passwd\n"}, "http:// or https://"),
        ({"target": "http://[x"}, "http:// or https://"),
        ({"channel": "email", "target": "me"}, "no e-mail address"),
        ({"channel": "email", "target": "a@b\r\nBcc: c@d"}, "no e-mail address"),
        ({"channel": "telegram", "target": "my chat"}, "no Telegram chat"),
        ({"channel": "telegram", "target": "-1"}, "are of webhooks"),
        ({"service": "updater"}, "give --symbol"),
        ({"kind": "crash", "symbol": "AAPL"}, "give --service"),
        ({"timeframe": "3h"}, "is not a timeframe"),
        ({"raise_at": 0.5, "clear_at": 0.6}, "--below"),
        ({"raise_at": 0.0}, "--above must be positive"),
        ({"quiet": "late"}, "no quiet hours"),
    ],
)
def test_one_that_cannot_says_how_to_write_it(changes, said):
    with pytest.raises(InvalidRequest, match=said) as caught:
        check_rule(replace(GOOD, **changes))
    assert "hunter2" not in caught.value.message
    assert "token=1" not in caught.value.message
