"""Alerts reach real servers as their specifications say; every fault is either tried again or said, and no sentence holds a secret."""

from __future__ import annotations

import hashlib
import hmac
import shutil
from base64 import b64encode
from email.utils import formatdate

import pytest

from alert_receivers import Says, certificate, mail_server, receiving
from evolve.alerting import posting
from evolve.alerting.couriers import Delivered, Refused, TryAgain, pause_s, retry_after
from evolve.alerting.delivery import deliver
from evolve.alerts import Alert, AlertRule
from evolve.settings import Settings

NOW = 1_700_000_000.0
ALERT = Alert(
    "a1" * 16, "mine", "signal", "AAPL 1d", "long", "AAPL 1d: flat → long", "ridge-1 is long.", 0.8, NOW, "ridge-1"
)
TOKEN = "12345:secret-token"


def rule(channel, target, **changes):
    return AlertRule("mine", "signal", channel, target, **changes)


def hook(receiver, **changes):
    return rule("webhook", f"{receiver.url}/hook", private=True, **changes)


def send(given, **settings):
    return deliver(given, ALERT, Settings.load(**settings), now=NOW)


# --- webhook ---


def test_a_webhook_is_signed_as_the_standard_says(tmp_path):
    """Computed here by the formula of the Standard Webhooks specification, from the bytes that arrived."""
    key = tmp_path / "key"
    key.write_text("whsec_" + b64encode(b"0123456789abcdef").decode() + "\n")
    with receiving() as receiver:
        assert send(hook(receiver, secret=f"file:{key}")) == Delivered()

    (taken,) = receiver.taken
    signed = f"{ALERT.alert_id}.{int(NOW)}.".encode() + taken.body
    expected = b64encode(hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()).decode()
    assert taken.headers["webhook-signature"] == f"v1,{expected}"
    assert taken.headers["webhook-id"] == taken.headers["idempotency-key"] == ALERT.alert_id
    assert taken.json["type"] == "evolve.signal"
    assert taken.json["data"]["value"] == 0.8
    assert taken.json["text"] == "AAPL 1d: flat → long. ridge-1 is long."


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (Says(204), Delivered()),
        (Says(500), TryAgain("it answered status 500")),
        (Says(429, {"Retry-After": "7"}), TryAgain("it answered status 429", 7.0)),
        (Says(503, {"Retry-After": formatdate(NOW + 90, usegmt=True)}), TryAgain("it answered status 503", 90.0)),
        (Says(429, {"Retry-After": "soon"}), TryAgain("it answered status 429")),
        (Says(410), Refused("it answered status 410: it does not take such messages")),
        (Says(fault="reset"), TryAgain("it does not answer (ReadError)")),
    ],
)  # fmt: skip
def test_an_answer_of_a_webhook_means_sent_later_or_never(says, outcome):
    with receiving(says) as receiver:
        assert send(hook(receiver)) == outcome
    assert len(receiver.taken) == 1


def test_a_webhook_that_is_silent_is_waited_for_so_long(monkeypatch):
    monkeypatch.setattr(posting, "LIMIT_S", 0.2)
    with receiving(Says(fault="silent")) as receiver:
        assert send(hook(receiver)) == TryAgain("it did not answer within 0.2 s")


def test_a_redirect_is_not_followed():
    with receiving() as other, receiving(Says(302, {"Location": other.url})) as receiver:
        outcome = send(hook(receiver))

    assert isinstance(outcome, Refused)
    assert "redirect" in outcome.why
    assert other.taken == []


def test_an_address_of_this_machine_is_used_only_where_the_rule_says_so():
    with receiving() as receiver:
        outcome = send(rule("webhook", f"{receiver.url}/hook"))

    assert isinstance(outcome, Refused)
    assert "--private" in outcome.why
    assert receiver.taken == []


def test_nobody_there_is_tried_again(free_port):
    assert send(rule("webhook", f"http://127.0.0.1:{free_port}/", private=True)) == TryAgain(
        "it does not answer (ConnectError)"
    )


def test_a_secret_that_is_not_there_is_said_and_nothing_is_sent_unsigned():
    with receiving() as receiver:
        outcome = send(hook(receiver, secret="env:EVOLVE_NO_SUCH_KEY"))

    assert outcome == Refused("the variable EVOLVE_NO_SUCH_KEY of the services holds no secret")
    assert receiver.taken == []


# --- Telegram ---


def test_telegram_gets_chat_and_text_by_the_bots_method(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with receiving(Says(body=b'{"ok":true}')) as receiver:
        assert send(rule("telegram", "-100"), telegram_url=receiver.url, telegram_token_file=file) == Delivered()

    assert receiver.taken[0].path == f"/bot{TOKEN}/sendMessage"
    assert receiver.taken[0].json == {"chat_id": "-100", "text": "AAPL 1d: flat → long\nridge-1 is long.\n(a1a1a1a1)"}


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (Says(429, body=b'{"ok":false,"error_code":429,"parameters":{"retry_after":5}}'), TryAgain("it answered status 429", 5.0)),
        (Says(400, body=b'{"ok":false,"description":"Bad Request: chat not found"}'), Refused("Telegram: Bad Request: chat not found")),
        (Says(401, body=b'{"ok":false}'), Refused("Telegram: the bot's token is not valid")),
        (Says(502, body=b"<html>"), TryAgain("it answered status 502")),
    ],
)  # fmt: skip
def test_an_answer_of_telegram_means_sent_later_or_never(says, outcome):
    with receiving(says) as receiver:
        found = send(rule("telegram", "-100"), telegram_url=receiver.url, telegram_token=TOKEN)

    assert found == outcome
    assert TOKEN not in repr(found)


@pytest.mark.parametrize("token", [None, "1:a/../b", "1:a\r\nX: y"])
def test_a_token_that_is_none_is_not_used(token):
    assert isinstance(send(rule("telegram", "-100"), telegram_token=token), Refused)


# --- mail ---


def mail(server, **settings):
    usual = {"smtp_host": "localhost", "smtp_port": server.port, "smtp_tls": "none", "smtp_from": "evolve@example.org"}
    return send(rule("email", "me@example.org"), **{**usual, **settings})


def test_a_mail_is_sent_by_tls_with_a_login(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("package openssl is not installed")
    trusted, context = certificate(tmp_path)
    with mail_server(tls=context, password="sesame") as server:
        login = {"smtp_tls": "starttls", "smtp_username": "me", "smtp_ca_certs": str(trusted)}
        assert mail(server, **login, smtp_password="sesame") == Delivered()
        refused = mail(server, **login, smtp_password="guess")
        unknown = mail(server, **{**login, "smtp_ca_certs": None}, smtp_password="sesame")

    (received,) = server.mails
    assert server.encrypted == [True]
    assert (received["Subject"], received["To"]) == ("[Evolve] AAPL 1d: flat → long", "me@example.org")
    assert received["Message-ID"] == f"<{ALERT.alert_id}@evolve.invalid>"
    assert received.get_content().startswith("ridge-1 is long.\r\n")
    assert refused == Refused("the mail server does not take the message (status 535)")
    assert isinstance(unknown, TryAgain)  # a certificate that nobody vouches for gets neither password nor mail
    assert "certificate" in unknown.why


@pytest.mark.parametrize(
    ("faults", "kind", "arrived"),
    [
        ({}, Delivered, 1),
        ({"RCPT": "550 5.1.1 no such user"}, Refused, 0),
        ({"RCPT": "450 4.2.0 greylisted"}, TryAgain, 0),
        ({"MAIL": "421 too busy"}, TryAgain, 0),
        ({"QUIT": "500 what"}, Delivered, 1),
        ({"reset_after_data": "yes"}, TryAgain, 1),
    ],
)
def test_an_answer_of_a_mail_server_means_sent_later_or_never(faults, kind, arrived):
    with mail_server(faults=faults) as server:
        assert isinstance(mail(server), kind)
    assert len(server.mails) == arrived


def test_a_server_without_tls_gets_nothing_unless_told():
    with mail_server() as server:
        outcome = mail(server, smtp_tls="starttls")

    assert isinstance(outcome, Refused)
    assert "EVOLVE_SMTP_TLS" in outcome.why
    assert server.mails == []


def test_mail_that_is_not_configured_says_what_to_set():
    outcome = send(rule("email", "me@example.org"))

    assert isinstance(outcome, Refused)
    assert "EVOLVE_SMTP_HOST" in outcome.why


# --- pauses ---


def test_pauses_double_up_to_an_hour_and_are_not_all_alike():
    assert [pause_s(attempt, draw=1.0) for attempt in (1, 2, 3, 12)] == [15.0, 30.0, 60.0, 3600.0]
    assert pause_s(1, draw=0.0) == 7.5


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("0", 0.0), ("999999", 3600.0), ("x", None), ("-5", None)]
)
def test_what_a_receiver_asks_for_is_bounded(header, seconds):
    assert retry_after(header, now=NOW) == seconds
