"""Can this rule be kept? Its channel, its address, its limits and its hours, checked when it is made and not when it should speak."""

from __future__ import annotations

import re
from email.utils import parseaddr
from urllib.parse import urlsplit

from evolve.alerting.quiet_hours import quiet_until
from evolve.alerts import MODEL_KINDS, AlertKind, AlertRule
from evolve.errors import InvalidRequest
from evolve.market.types import TIMEFRAMES

# What raises a rule, and what ends it, unless told otherwise.
LIMITS: dict[AlertKind, tuple[float, float]] = {
    "signal": (0.05, 0.02),  # a twentieth of the equity: below, a position is a rounding of nothing
    "drift": (1.0, 0.0),
    "crash": (1.0, 0.0),  # crashes within ten minutes
    "queue_age": (
        900.0,
        60.0,
    ),  # seconds of the oldest request, one in work included: building and comparing takes minutes
    "dead_letters": (1.0, 0.0),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")
_CHAT = re.compile(r"-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{4,31}")
# Whoever knows such an address may post there: it is a secret, and does not belong into the database.
_SECRET_HOSTS = ("hooks.slack.com", "discord.com", "discordapp.com", "outlook.office.com", "chat.googleapis.com")


def is_reference(text: str) -> bool:
    """Whether it says where something stands (`env:NAME`, `file:/PATH`) rather than what it is."""
    return _REFERENCE.fullmatch(text) is not None


def check_rule(rule: AlertRule) -> None:
    """Raises InvalidRequest with what is wrong and how to write it."""
    if not _NAME.fullmatch(rule.name):
        raise InvalidRequest(f"{rule.name[:80]!r} is no name of a rule: letters, digits, '.', '_' and '-', at most 64")
    if rule.kind in MODEL_KINDS and rule.service:
        raise InvalidRequest(f"a rule about {rule.kind} is about a symbol: give --symbol, not --service")
    if rule.kind not in MODEL_KINDS and (rule.symbol or rule.timeframe):
        raise InvalidRequest(
            f"a rule about {rule.kind} is about a service: give --service, not --symbol or --timeframe"
        )
    if rule.timeframe and rule.timeframe not in TIMEFRAMES:
        raise InvalidRequest(f"{rule.timeframe!r} is not a timeframe: {' '.join(TIMEFRAMES)}")
    if not 0 <= rule.clear_at <= rule.raise_at or rule.raise_at <= 0:
        raise InvalidRequest(f"--above must be positive and --below lie between 0 and it, not {rule.raise_at:g} and {rule.clear_at:g}")  # fmt: skip
    if rule.secret and not is_reference(rule.secret):
        raise InvalidRequest("a secret is never stored: say where it stands, --secret env:NAME or --secret file:/PATH")
    quiet_until(rule.quiet, rule.timezone, 0.0)
    if rule.channel == "webhook":
        _check_webhook(rule)
    elif rule.channel == "email" and not is_reference(rule.target):
        name, address = parseaddr(rule.target)
        if name or address != rule.target or not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) or not address.isascii():
            raise InvalidRequest(f"{rule.target[:80]!r} is no e-mail address; write it bare: me@example.org")
    elif rule.channel == "telegram" and not (is_reference(rule.target) or _CHAT.fullmatch(rule.target)):
        raise InvalidRequest(f"{rule.target[:80]!r} is no Telegram chat: its number, or @channel")
    if rule.channel != "webhook" and (rule.private or rule.secret):
        raise InvalidRequest(
            "--private and --secret are of webhooks; how mail and Telegram are reached stands in the settings"
        )


def _check_webhook(rule: AlertRule) -> None:
    if is_reference(rule.target):
        return
    check_address(rule.target)
    parts = urlsplit(rule.target)
    if parts.query or any((parts.hostname or "").endswith(host) for host in _SECRET_HOSTS):
        raise InvalidRequest(
            "whoever knows this address may post there, so it is a secret and is not stored: put it into a file of mode 600 and give "
            "--webhook file:/PATH, or into the environment of the services and give --webhook env:NAME"
        )


def check_address(url: str) -> None:
    """Raises InvalidRequest for anything but a plain http or https address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or any(sign <= " " for sign in url):
        raise InvalidRequest("a webhook is an http:// or https:// address, such as https://example.org/evolve")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            "a webhook's address holds no name or password; the message is signed instead: --secret file:/PATH"
        )
