"""How does an alert reach a mailbox? By the operator's own mail server, over TLS.

`Message-ID` is made of the alert's id and the same in every attempt: mailboxes drop, or thread, what comes twice.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from evolve.alerting.couriers import LIMIT_S, Delivered, Outcome, Refused, TryAgain
from evolve.alerting.rules import is_reference
from evolve.alerts import Alert, AlertRule
from evolve.errors import InvalidRequest
from evolve.settings import Settings, secret


def deliver(rule: AlertRule, alert: Alert, settings: Settings, *, now: float) -> Outcome:  # noqa: ARG001 - a courier's signature
    try:
        to = secret(rule.target) if is_reference(rule.target) else rule.target
        password = settings.mail_password()
        message = message_of(alert, to=to, sender=settings.mail_sender())
    except InvalidRequest as error:
        return Refused(error.message)
    try:
        _send(message, settings, password)
    except smtplib.SMTPNotSupportedError:
        return Refused("the mail server offers no STARTTLS, or no AUTH: see EVOLVE_SMTP_TLS and EVOLVE_SMTP_USERNAME")
    except smtplib.SMTPRecipientsRefused as error:
        return _judged(next(iter(error.recipients.values()))[0], "the mail server does not take the recipient")
    except smtplib.SMTPResponseException as error:
        return _judged(error.smtp_code, "the mail server does not take the message")
    except ssl.SSLCertVerificationError as error:
        return TryAgain(f"the mail server's certificate does not hold: {error.verify_message}")
    except (smtplib.SMTPException, OSError) as error:
        # Also when it hung up after it took the message: whether it did cannot be known, and the id tells a repetition.
        return TryAgain(f"the mail server does not answer ({type(error).__name__})")
    return Delivered()


def message_of(alert: Alert, *, to: str, sender: str) -> EmailMessage:
    """Raises InvalidRequest where the recipient is no address."""
    message = EmailMessage()
    try:
        message["To"], message["From"] = to, sender
    except ValueError:
        raise InvalidRequest("the recipient is no e-mail address") from None
    message["Subject"] = f"[Evolve] {' '.join(alert.title.split())}"
    message["Date"] = format_datetime(datetime.fromtimestamp(alert.at, UTC))
    message["Message-ID"] = f"<{alert.alert_id}@evolve.invalid>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    about = f"model    {alert.model_id}\n" if alert.model_id else ""
    message.set_content(f"{alert.text}\n\n{about}rule     {alert.rule}\nalert    {alert.alert_id}\n")
    return message


def _send(message: EmailMessage, settings: Settings, password: str | None) -> None:
    context = ssl.create_default_context(cafile=settings.smtp_ca_certs)
    host, port = settings.smtp_host or "", settings.smtp_port
    if settings.smtp_tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=LIMIT_S, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=LIMIT_S)
    try:
        if settings.smtp_tls == "starttls":
            server.starttls(context=context)
        if settings.smtp_username:
            server.login(settings.smtp_username, password or "")
        server.send_message(message)
    finally:
        # It was taken, or not, before the goodbye: what becomes of that changes nothing.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()


def _judged(status: int, what: str) -> Outcome:
    """RFC 5321, 4.2.1: 4yz may work later, 5yz will not."""
    said = f"{what} (status {status})"
    return TryAgain(said) if 400 <= status < 500 else Refused(said)
