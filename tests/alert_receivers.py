"""Real servers for alerts to be sent to: they answer as webhooks, Telegram and mail servers do, faults included."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Says:
    """An answer. fault: `reset` hangs up after the message was taken; `silent` never answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    fault: str = ""


@dataclass(frozen=True)
class Taken:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """taken: every message that arrived whole, in order. Answers with each of `answers`, the last one for ever."""

    def __init__(self, *answers: Says) -> None:
        self.answers = list(answers) or [Says()]
        self.taken: list[Taken] = []
        self.url = ""
        self.released = threading.Event()

    def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.taken]


@contextmanager
def receiving(*answers: Says) -> Iterator[Receiver]:
    receiver = Receiver(*answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.taken.append(Taken(self.path, headers, body))
            says = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            self.close_connection = True
            if says.fault == "silent":
                receiver.released.wait(10)
            if says.fault:
                with suppress(OSError):
                    # RST rather than FIN, as a process that dies leaves it.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.connection.close()
                return
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            self.wfile.write(says.body)

        def finish(self) -> None:
            with suppress(OSError, ValueError):
                super().finish()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class MailServer:
    """Speaks enough of RFC 5321, 3207 and 4954 for a client that behaves. faults: `reset_after_data`, or a verb and its answer."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, password: str = "", faults: dict[str, str] | None = None
    ) -> None:
        self.tls, self.password, self.faults = tls, password, faults or {}
        self.mails: list[EmailMessage] = []
        self.encrypted: list[bool] = []
        self.port = 0

    def serve(self, connection: socket.socket) -> None:
        stream, secure = connection.makefile("rwb"), False

        def say(text: str) -> None:
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        say("220 localhost ESMTP")
        while line := stream.readline():
            verb = line.decode().split()[0].upper().strip()
            if verb in self.faults:
                say(self.faults[verb])
            elif verb == "EHLO":
                offers = ["250-localhost", *(["250-STARTTLS"] if self.tls and not secure else [])]
                say("\r\n".join([*offers, "250-AUTH PLAIN", "250 8BITMIME"]))
            elif verb == "STARTTLS" and self.tls:
                say("220 go ahead")
                connection = self.tls.wrap_socket(connection, server_side=True)
                stream, secure = connection.makefile("rwb"), True
            elif verb == "AUTH":
                given = b64decode(line.split()[2]).decode().split("\0")[2]
                say("235 in" if given == self.password else "535 5.7.8 wrong")
            elif verb in ("MAIL", "RCPT", "RSET"):
                say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                raw = b""
                while (part := stream.readline()) != b".\r\n":
                    raw += part
                self.mails.append(message_from_bytes(raw, policy=policy.default))  # type: ignore[arg-type]
                self.encrypted.append(secure)
                if self.faults.pop("reset_after_data", ""):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    break
                say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                break
        stream.close()
        connection.close()


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    server = MailServer(**options)
    listening = socket.create_server(("127.0.0.1", 0))
    server.port = listening.getsockname()[1]

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with suppress(OSError):  # a client that hangs up is what some tests are about
                server.serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost that signs itself: the file to trust, and what a server shows."""
    key, crt = folder / "key.pem", folder / "crt.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*words.split(), "-keyout", str(key), "-out", str(crt)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return crt, context
