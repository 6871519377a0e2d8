"""Does the Redis-compatible server answer, keep what it is given, and let us in? Looked at from outside; nothing is started."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from redis.exceptions import RedisError

from evolve.errors import EvolveError
from evolve.manager.doctor.finding import Finding, fail, ok, warning
from evolve.messaging import embedded
from evolve.messaging.connection import Server, client_for, server_for
from evolve.settings import Settings

OLDEST = (6, 2)
SLOW_MS = 50.0  # a request passes it four times; on one machine 0.1 ms is usual
SKEW_S = 2.0  # leases are seconds long and kept by the server's clock; deadlines are Unix time
NEW_DENIALS_S = 86_400.0


def server(settings: Settings) -> list[Finding]:
    meant = server_for(settings)
    if meant.kind == "embedded" and not embedded.is_running(settings.home):
        if embedded.process_lives(settings.home):
            return [fail("server", f"the embedded server (pid {embedded.pid(settings.home)}) does not answer", "evolve down; evolve up")]  # fmt: skip
        embedded.binary()  # raises MissingExtra where there is none
        return [ok("server", "the embedded server is not running; `evolve up` starts it")]
    try:
        return asyncio.run(_looked_at(settings, meant))
    except (RedisError, OSError, EvolveError) as error:
        return [_away(meant, error)]


def _away(meant: Server, error: Exception) -> Finding:
    said = str(error).lower()
    if "auth" in said or "wrongpass" in said or "username" in said:
        return fail("server", f"the server refuses our name or password ({meant.redis_cli})", "set REDIS_USERNAME and REDIS_PASSWORD, or the ones in REDIS_URL")  # fmt: skip
    how = "start it (`sudo systemctl start redis-server`), or go back to the embedded one: unset REDIS_URL, `evolve config redis embedded`"
    name = "certificate or protocol" if "ssl" in said or "certificate" in said else "host, port and network"
    return fail("server", f"the server does not answer ({meant.redis_cli}): {str(error)[:150]}", f"check {name}; {how}")


async def _looked_at(settings: Settings, meant: Server) -> list[Finding]:
    client: Any = client_for(settings, server=meant)
    try:
        began = time.perf_counter()
        await client.execute_command("PING")
        began = time.perf_counter()  # the second one: connecting is not what a request pays
        await client.execute_command("PING")
        took_ms = 1000 * (time.perf_counter() - began)
        info = _text(await client.execute_command("INFO"))
        return [
            _server(meant, info, took_ms),
            _aof(info, meant),
            _eviction(info, meant),
            *await _denials(client),
            await _skew(client),
        ]
    finally:
        await client.aclose()


def _server(meant: Server, info: str, took_ms: float) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = _value(info, "valkey_version") or _value(info, "redis_version")
    said = f"{name} {version} ({meant.kind}), PING {took_ms:.1f} ms: {meant.redis_cli}"
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if name == "Redis" and numbers < OLDEST:
        return fail(
            "server", said, "Evolve needs Redis 6.2 or newer, or any Valkey: unset REDIS_URL to use the embedded one"
        )
    if took_ms > SLOW_MS:
        return warning("server", said, "a server on this machine, or nearer, makes every answer quicker")
    return ok("server", said)


def _aof(info: str, meant: Server) -> Finding:
    if _value(info, "aof_enabled") == "0":
        return warning(
            "aof", "the server keeps no append-only file: what is queued is lost when it restarts",
            f"{meant.redis_cli} config set appendonly yes, and `appendonly yes` in its configuration",
        )  # fmt: skip
    if _value(info, "aof_last_write_status") not in ("", "ok"):
        return fail(
            "aof", "the server could not write its append-only file", "free some of its disk; its log says more"
        )
    return ok("aof", "every change is kept in an append-only file")


def _eviction(info: str, meant: Server) -> Finding:
    policy, limit = _value(info, "maxmemory_policy"), int(_value(info, "maxmemory") or 0)
    used = int(_value(info, "used_memory") or 0)
    if limit and policy != "noeviction":
        return warning(
            "eviction", f"the server may throw queued requests away when its memory is full (maxmemory-policy {policy})",
            f"{meant.redis_cli} config set maxmemory-policy noeviction",
        )  # fmt: skip
    if limit and used > 0.9 * limit:
        return warning("eviction", f"the server uses {used >> 20} of its {limit >> 20} MiB", "raise its maxmemory, or look at `evolve status` for what waits")  # fmt: skip
    return ok("eviction", f"nothing is evicted; {used >> 20} MiB used{f' of {limit >> 20}' if limit else ''}")


async def _denials(client: Any) -> list[Finding]:
    """Whether the server turned somebody away lately, as its ACL log says; a server that does not let us look is one too."""
    try:
        entries = await client.execute_command("ACL", "LOG", 20)
    except RedisError as error:
        if "NOPERM" in str(error) or "no permissions" in str(error):
            return [ok("acl", "this user may not read the server's ACL log; its administrator can: ACL LOG")]
        return [ok("acl", "this server keeps no ACL log")]
    denied = [dict(zip(map(_text, entry[::2]), entry[1::2], strict=False)) for entry in entries]
    recent = [each for each in denied if float(_text(each.get("age-seconds", 0))) < NEW_DENIALS_S]
    if not recent:
        return [ok("acl", "nobody was turned away within a day")]
    first = recent[0]
    who, why, what = (_text(first.get(name, "?")) for name in ("username", "reason", "object"))
    return [
        warning(
            "acl", f"the server turned somebody away {len(recent)} times within a day, the last time {who} ({why}: {what[:60]})",
            "if that is one of ours, make its rights anew: `evolve bus acl --passwords FILE`; if not, find out who it is",
        )
    ]  # fmt: skip


async def _skew(client: Any) -> Finding:
    before = time.time()
    answer = await client.execute_command("TIME")
    between = (before + time.time()) / 2
    seconds = int(_text(answer[0])) + int(_text(answer[1])) / 1e6
    apart = seconds - between
    said = f"the server's clock is {abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    if abs(apart) > SKEW_S:
        return warning("clock_skew", said, "let both keep time by NTP: timedatectl set-ntp true")
    return ok("clock_skew", "the server's clock agrees with this machine's")


def _value(info: str, name: str) -> str:
    found = re.search(rf"^{name}:(.*?)\r?$", info, re.MULTILINE)
    return found[1].strip() if found else ""


def _text(value: Any) -> str:
    if isinstance(value, dict):  # a Cluster: of each node; they are set up alike
        return _text(next(iter(value.values())))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
