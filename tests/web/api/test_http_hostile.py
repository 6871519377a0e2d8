"""What others try: other users, other sites' pages, guessed tokens, bodies and heads without end. None of it has an effect."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from evolve.audit_trail import AuditTrail
from evolve.errors import InvalidRequest
from evolve.security_events import reported
from evolve.settings import Settings
from evolve.web import peer
from evolve.web.app import create_app
from evolve.web.tokens import Tokens
from web.api.web_servers import JSON, Web

pytestmark = pytest.mark.xdist_group("http-api")

ECHO = "/api/v1/echo/echo"
# A program on another machine, or of another user: whoever forwards says so.
STRANGER = {"x-forwarded-for": "192.0.2.7"}


def post(web: Web, path: str = ECHO, body: bytes = b'{"text": "x"}', **headers: str) -> httpx.Response:
    given = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return web.client.post(path, content=body, headers=given)


# --- browsers ---


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::ffff:1.2.3.4]"]
)
def test_a_name_that_is_not_ours_is_refused(web: Web, name: str) -> None:
    """DNS rebinding: the page's own name leads to 127.0.0.1, and its requests are same-origin to the browser."""
    answer = post(web, Host=name)

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
    ],
)
def test_a_page_of_another_site_cannot_ask(web: Web, headers: dict[str, str]) -> None:
    assert post(web, **headers).status_code == 403
    assert web.get("/api/v1/jobs", **{**headers, "Origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_form_cannot_ask_the_api(web: Web, kind: str) -> None:
    """Even one whose body is JSON: `enctype=text/plain`."""
    assert post(web, Content_Type=kind).status_code == 415
    deleted = web.client.request("DELETE", "/api/v1/jobs/x", headers={"content-type": kind})
    assert deleted.status_code == (415 if kind else 404)  # no form can send a DELETE


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/services", "/health/live", "/metrics"])
def test_a_method_that_nothing_takes_is_said_to_be_that_whatever_the_body(web: Web, path: str) -> None:
    answered = web.client.post(path, content=b"a=1", headers={"content-type": "application/x-www-form-urlencoded"})
    assert (answered.status_code, answered.headers["allow"]) == (405, "GET, HEAD")


def test_all_methods_of_an_address_are_named_where_another_is_tried(web: Web) -> None:
    answered = web.client.patch("/api/v1/jobs/x")
    assert (answered.status_code, answered.headers["allow"]) == (405, "DELETE, GET, HEAD")


def test_our_own_page_may_ask(web: Web) -> None:
    host = web.url.split("/")[2]

    assert post(web, Origin=f"http://{host}", Sec_Fetch_Site="same-origin").status_code == 200


def test_answers_cannot_be_read_framed_or_given_script(web: Web) -> None:
    headers = web.get("/api/v1/jobs", Origin="").headers

    assert "access-control-allow-origin" not in headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
    assert (
        headers["referrer-policy"] == "same-origin"
    )  # `no-referrer` makes a form of our own pages one of origin "null"
    assert "server" not in headers


# --- who asks ---


def test_another_user_of_this_machine_is_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        far, _ = listener.accept()
        with far:
            ends = near.getsockname(), near.getpeername()

            assert peer.is_same_user(*ends)
            me = peer.owner_of(*ends)
            monkeypatch.setattr("os.getuid", lambda: -1)
            assert not peer.is_same_user(*ends)
            monkeypatch.setattr("os.getuid", lambda: me)
    assert not peer.is_same_user(*ends)  # closed: its numbers may be another's by now
    assert not peer.is_same_user(("192.0.2.7", 5), ("127.0.0.1", 6))


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_who_forwards_for_others_lends_them_nothing(web: Web, header: str) -> None:
    answer = post(web, **{header: "for=192.0.2.7"})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_does_what_its_scope_says_until_it_is_revoked(web: Web) -> None:
    tokens = Tokens(web.home)
    reads, runs = tokens.create("reader", "read"), tokens.create("runner", "run", days=1)

    def status(token: str, path: str = ECHO, body: bytes = b'{"text": "x"}') -> int:
        return post(web, path, body, Authorization=f"Bearer {token}", **STRANGER).status_code

    slow = "/api/v1/echo/slow_echo"
    assert (status(reads), status(reads, slow)) == (200, 403)
    assert status(runs, slow) == 202
    assert status(runs, "/api/v1/services/echo/stop", b"{}") == 403
    tokens.revoke(runs.split("_")[1])
    assert status(runs) == 401
    assert status(reads) == 200


HOME_ROUTES = ("/api/v1/alerts", "/api/v1/alert-log", "/api/v1/doctor", "/api/v1/services/echo/log")


def test_the_care_of_the_home_is_for_admins_alone_and_a_refusal_is_on_record(web: Web) -> None:
    asked = {"Authorization": f"Bearer {Tokens(web.home).create('curious', 'run')}", **STRANGER}

    for path in HOME_ROUTES:
        assert web.client.get(path, headers=asked).status_code == 403, path
    for path, kind in (("/api/v1/data/X/import", "text/csv"), ("/api/v1/all-services/stop", "application/json")):
        refused = web.client.post(path, content=b"{}", headers={**asked, "content-type": kind})
        assert refused.status_code == 403, path

    written = (web.home / "logs" / "security.log").read_text()
    assert all(f'"path": "{path}"' in written for path in HOME_ROUTES)


def test_what_is_made_stands_in_the_audit_trail_under_the_name_of_the_token(web: Web) -> None:
    asked = {"Authorization": f"Bearer {Tokens(web.home).create('Ann', 'admin')}", **STRANGER}
    rule = {"name": "told", "kind": "crash", "channel": "email", "target": "me@example.org"}

    made = web.client.post("/api/v1/alerts", json=rule, headers=asked)
    named = web.client.post("/api/v1/alerts", json={**rule, "name": "b", "target": "env:HOME"}, headers=asked)

    assert (made.status_code, named.status_code) == (201, 422)
    assert web.client.delete("/api/v1/alerts/told", headers=asked).status_code == 204
    newest = list(AuditTrail(web.home).entries())[-2:]
    assert [(each.what, each.details["rule"]) for each in newest] == [
        ("alert_added", "told"),
        ("alert_removed", "told"),
    ]
    assert all(each.who.startswith("Ann (token ") for each in newest)


def test_only_hashes_of_tokens_are_kept(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.create("a", "read")

    assert token.split("_", 2)[2] not in (tmp_path / "tokens.json").read_text()
    assert (tmp_path / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert tokens.find(token) is not None
    assert tokens.find(token + "x") is None
    with pytest.raises(InvalidRequest):
        tokens.create("line\nbreak", "read")


# --- what is sent ---


def test_bodies_have_an_end(web: Web) -> None:
    size = 8 << 20
    told = post(web, body=b" " * (size + 1))
    chunked = web.client.post(ECHO, content=(b" " * (1 << 20) for _ in range(20)), headers=JSON)
    elements = post(web, body=b'{"text": [' + b"[]," * 600_000 + b"[]]}")
    deep = post(web, body=b'{"text": ' + b"[" * 200 + b"]" * 200 + b"}")

    assert [answer.status_code for answer in (told, chunked, elements, deep)] == [413, 413, 413, 400]
    assert post(web, body=b"{not json").json()["code"] == "malformed"


def test_heads_have_an_end(web: Web) -> None:
    host, _, port = web.url.split("/")[2].partition(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        answer = b""
        with pytest.MonkeyPatch.context():
            try:
                for _ in range(64):
                    line.sendall(b"X-More: " + b"a" * 4_000 + b"\r\n")
                answer = line.recv(4_096)
            except ConnectionError:
                answer = answer or b"HTTP/1.1 400"
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "path",
    ["/docs/../pyproject.toml", "/docs/%2e%2e%2fpyproject.toml", "/docs/..%5c..%5cetc%5cpasswd", "/docs/%00.md", "/assets/../app.py",
     "/assets/%2e%2e/%2e%2e/app.py", "//evil.example/docs/http-api.md", "/api/v1/jobs/..%2f..%2fx", "/api/v1/services/%2e%2e/dead-letters"],
)  # fmt: skip
def test_no_path_leads_out(web: Web, path: str) -> None:
    host, _, port = web.url.split("/")[2].partition(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.split()[1] in (b"404", b"422")
    assert b"import" not in body
    assert b"root:" not in body


def test_no_header_is_given_back_split(web: Web) -> None:
    for given in ("a\tb", "x" * 200, "é", "a b", "a%0d%0aSet-Cookie: x"):
        answer = web.client.get("/health/live", headers={"x-request-id": given.encode()})
        assert answer.headers["x-request-id"] != given
        assert "set-cookie" not in answer.headers
    assert post(web, Idempotency_Key="a/../b").json()["code"] == "invalid_request"


def test_a_sign_in_leads_to_our_own_pages_only_and_leaves_no_token(web: Web) -> None:
    token = Tokens(web.home).create("browser", "run")
    address = httpx.URL(web.url).copy_with(raw_path=f"//evil.example/%5cx?token={token}&a=1".encode())
    answer = web.client.get(address, headers=STRANGER)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/evil.example")
    assert token not in answer.headers["location"]
    assert answer.headers["location"].endswith("?a=1")
    cookie = answer.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert token not in cookie
    assert token not in (web.home / "logs" / "web_service.log").read_text()
    signed_in = {**STRANGER, "cookie": cookie.partition(";")[0]}
    assert web.client.get("/api/v1/jobs", headers=signed_in).status_code == 200
    assert web.client.get("/api/v1/jobs", headers={**signed_in, "cookie": "evolve_1=x"}).status_code == 401
    assert web.client.post(ECHO, content=b'{"text": "x"}', headers={**signed_in, **JSON}).status_code == 200
    assert (
        web.client.post(
            ECHO, content=b"{}", headers={**signed_in, **JSON, "origin": "https://evil.example"}
        ).status_code
        == 403
    )
    web.client.cookies.clear()


# --- guessing: last, for it keeps this machine's address waiting ---


def test_tokens_cannot_be_guessed(web: Web) -> None:
    known = Tokens(web.home).create("guessed at", "admin")
    wrong = known[:-4] + "AAAA"

    answers = [web.get("/api/v1/jobs", Authorization=f"Bearer {wrong}", **STRANGER) for _ in range(14)]

    assert [answer.status_code for answer in answers[:3]] == [401] * 3
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert post(web).status_code == 200  # who needs no token is not held up
    # Both are on the list that the services of a home share, and among the figures.
    assert {"access_refused", "rate_limited"} <= {event["event"] for event in reported(web.home / "logs")}
    counted = dict(
        re.findall(r'evolve_security_events_total\{service="web",event="(\w+)"\} (\d+)', web.get("/metrics").text)
    )
    assert int(counted["access_refused"]) >= 3
    assert int(counted["rate_limited"]) >= 1


# --- settings of the server; nothing has to run for what is refused before ---


@pytest.fixture
def asked(home: Path) -> Any:
    """Asks an application in this process, as an address that nobody knows."""

    def ask(
        method: str,
        path: str,
        *,
        host: str = "127.0.0.1",
        server: str = "127.0.0.1",
        headers: dict[str, str] | None = None,
        **settings: object,
    ) -> Any:
        app = create_app(Settings.load(**settings), host=host)

        async def run(times: int = 1) -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4_000))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{server}:8765") as client:
                return [await client.request(method, path, headers=headers) for _ in range(times)]

        return run

    return ask


async def test_who_asks_too_often_is_told_to_wait(asked: Any) -> None:
    answers = await asked("GET", "/docs/http-api.md", web_rate=60)(12)

    assert [answer.status_code for answer in answers].count(200) == 10
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].headers["x-content-type-options"] == "nosniff"


async def test_named_origins_may_ask_with_a_token_of_their_own(asked: Any, home: Path) -> None:
    token = Tokens(home).create("app", "read")
    origin = {"origin": "https://app.example"}
    preflight = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }

    async def ask(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        [answer] = await asked(method, path, headers=headers, web_origins="https://app.example")()
        return answer

    allowed = await ask("OPTIONS", "/api/v1/jobs", preflight)
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in allowed.headers
    with_token = await ask("GET", "/docs/http-api.md", {**origin, "authorization": f"Bearer {token}"})
    assert with_token.status_code == 200
    assert with_token.headers["access-control-allow-origin"] == "https://app.example"
    assert (await ask("GET", "/docs/http-api.md", origin)).status_code == 401
    other = await ask(
        "GET", "/docs/http-api.md", {"origin": "https://evil.example", "authorization": f"Bearer {token}"}
    )
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (403, False)


async def test_who_is_listened_to_from_elsewhere_needs_a_token(asked: Any) -> None:
    """Also from this machine itself, asked for by its address in the network."""
    for server in ("192.0.2.1", "127.0.0.1"):
        [answer] = await asked("GET", "/api/v1/jobs", host="0.0.0.0", server=server)()
        assert answer.status_code == 401
    [renamed] = await asked("GET", "/health/live", server="trading.example", web_hosts="trading.example")()
    assert renamed.status_code == 200
    [rebound] = await asked("GET", "/health/live", server="192.0.2.1")()
    assert rebound.status_code == 403


def test_an_origin_that_is_none_is_refused_at_the_start(home: Path) -> None:
    with pytest.raises(InvalidRequest, match="EVOLVE_WEB_ORIGINS"):
        create_app(Settings.load(web_origins="app.example"))
