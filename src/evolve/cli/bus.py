"""`evolve bus`: publish, subscribe and monitor where no redis-cli is installed; dead letters; an ACL file."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from evolve.errors import InvalidRequest, Unavailable, nearest
from evolve.messaging import acl, embedded
from evolve.messaging.bus import Bus, DeadLetter, control_channel, input_channel, output_channel
from evolve.messaging.connection import bus_for, server_for
from evolve.messaging.redis_bus import RedisBus
from evolve.services import SERVICES, service_path
from evolve.settings import Settings

FoundT = TypeVar("FoundT")


def ping(*, as_json: bool) -> None:
    """Starts nothing: a server that is not there does not answer."""
    import time

    settings = Settings.load()
    server = server_for(settings)
    if server.kind == "embedded" and not embedded.is_running(settings.home):
        raise Unavailable("the embedded server is not running; `evolve up` starts it")

    async def measured(bus: RedisBus) -> float:
        await bus.now("evolve")  # connects: the round trip is wanted, not that of the first one
        began = time.perf_counter()
        await bus.now("evolve")
        return 1000 * (time.perf_counter() - began)

    took_ms = _with_bus(measured)
    said = {"answer": "PONG", "ms": round(took_ms, 3), "server": server.redis_cli, "kind": server.kind}
    print(json.dumps(said, indent=2) if as_json else f"PONG ({took_ms:.1f} ms, {server.redis_cli})")


def channels(pattern: str, *, as_json: bool) -> None:
    found = _with_bus(lambda bus: bus.channels(pattern))
    if as_json:
        print(json.dumps([{"channel": name, "listeners": count} for name, count in found], indent=2))
        return
    for name, count in found:
        print(f"{name:<32} {count}")
    if not found:
        print("nobody listens; `evolve up` starts who does", file=sys.stderr)


def publish(channel: str, message: str, *, as_json: bool) -> None:
    heard = _with_bus(lambda bus: bus.publish(channel, message.encode()))
    print(json.dumps({"channel": channel, "heard": heard}) if as_json else heard)
    if not heard:
        known = nearest(channel, [make(name) for name in SERVICES for make in (input_channel, control_channel)])
        hint = (
            f"; nearest channel: {known[0]}" if known and channel not in known else "; `evolve up` starts who listens"
        )
        print(f"nobody listens on {channel}, so the message is lost{hint}", file=sys.stderr)
        raise typer.Exit(1)


def _with_bus(work: Callable[[RedisBus], Awaitable[FoundT]]) -> FoundT:
    async def run() -> FoundT:
        bus = bus_for(Settings.load())
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


def subscribe(channels: Sequence[str], count: int, seconds: float, *, as_json: bool) -> None:
    asyncio.run(_listen(channels, count, seconds, with_channel=len(channels) > 1, as_json=as_json))


def monitor(count: int, seconds: float, *, as_json: bool) -> None:
    channels = [make(name) for name in SERVICES for make in (input_channel, control_channel, output_channel)]
    asyncio.run(_listen(channels, count, seconds, with_channel=True, as_json=as_json))


async def _listen(channels: Sequence[str], count: int, seconds: float, *, with_channel: bool, as_json: bool) -> None:
    bus = bus_for(Settings.load())
    heard = 0
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds or None):
                async for channel, raw in bus.listen(channels):
                    if not channel:
                        print(f"listening on {len(channels)} channels", file=sys.stderr, flush=True)
                        continue
                    text = raw.decode(errors="replace")
                    if as_json:
                        print(
                            json.dumps({"channel": channel, "message": _parsed(text)}, ensure_ascii=False), flush=True
                        )
                    else:
                        print(f"{channel} {text}" if with_channel else text, flush=True)
                    heard += 1
                    if heard == count:
                        return
    finally:
        await bus.close()


def _parsed(text: str) -> object:
    """What a message says, where it is JSON; anybody may publish anything."""
    try:
        return json.loads(text)
    except ValueError:
        return text


# --- dead letters ---


def list_dead(service: str | None, limit: int, *, as_json: bool) -> None:
    """The newest first, of one service or of all."""
    if service is not None:
        service_path(service)
    names = [service] if service else list(SERVICES)

    async def find(bus: Bus) -> list[tuple[str, DeadLetter]]:
        return [(name, letter) for name in names for letter in await bus.dead_letters(name, limit)]

    found = _with_bus(find)
    if as_json:
        print(json.dumps([_shown(name, letter) for name, letter in found], indent=2))
        return
    for name, letter in found:
        print(f"{name} {letter.entry}  {_when(letter)}  attempts {letter.attempts}  {letter.reason}")
    if not found:
        print("no dead letters")


def show_dead(service: str, entry: str, *, as_json: bool) -> None:
    letter = _with_bus(lambda bus: _letter(bus, service, entry))
    if as_json:
        print(json.dumps(_shown(service, letter), indent=2))
        return
    print(f"service:  {service}\nentry:    {letter.entry}\nrequest:  {letter.request_id or 'it gave no id'}")
    print(
        f"died:     {_when(letter)}\nattempts: {letter.attempts}\nreason:   {letter.reason}\nbytes:    {len(letter.raw)}"
    )
    print(letter.raw.decode(errors="backslashreplace"))


def retry_dead(service: str, entry: str, *, as_json: bool) -> None:
    """Put it back into its queue; its error is forgotten."""

    async def retry(bus: Bus) -> str | None:
        await _letter(bus, service, entry)
        return await bus.revive(service, entry)

    request_id = _with_bus(retry)
    if as_json:
        print(json.dumps({"service": service, "request_id": request_id}))
        return
    print(f"queued again as {request_id}: `evolve reply {service} {request_id}` shows what comes of it")


def drop_dead(service: str, entry: str, *, as_json: bool) -> None:
    async def drop(bus: Bus) -> None:
        await _letter(bus, service, entry)
        await bus.drop_dead(service, entry)

    _with_bus(drop)
    print(json.dumps({"service": service, "dropped": entry}) if as_json else "dropped")


async def _letter(bus: Bus, service: str, entry: str) -> DeadLetter:
    service_path(service)
    whole, dash, part = entry.partition("-")
    known = whole.isdecimal() and bool(dash) and part.isdecimal()
    letter = await bus.dead_letter(service, entry) if known else None
    if letter is None:
        raise InvalidRequest(
            f"{service} has no dead letter {entry!r}; `evolve bus dead list {service}` shows those there are"
        )
    return letter


def _when(letter: DeadLetter) -> str:
    return dt.datetime.fromtimestamp(letter.at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown(service: str, letter: DeadLetter) -> dict[str, Any]:
    """The bytes as text where they are UTF-8, else as hexadecimal digits."""
    try:
        content = {"raw": letter.raw.decode()}
    except UnicodeDecodeError:
        content = {"raw_hex": letter.raw.hex()}
    return {
        "service": service, "entry": letter.entry, "request_id": letter.request_id, "at": letter.at,
        "attempts": letter.attempts, "reason": letter.reason, **content,
    }  # fmt: skip


# --- access ---


def print_acl(passwords: Path | None, *, as_json: bool) -> None:
    """The ACL file on standard output; the passwords in a file of their own, or on standard error."""
    names = acl.users(list(SERVICES))
    known = _read_passwords(passwords) if passwords is not None else {}
    words = {name: known.get(name) or acl.new_password() for name in names}
    lines = "".join(f"{name}={word}\n" for name, word in words.items())
    if passwords is None:
        print(f"# each service's REDIS_USERNAME and REDIS_PASSWORD\n{lines}", end="", file=sys.stderr)
    else:
        handle = os.open(passwords, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w") as file:
            file.write(lines)
    text = acl.acl_file(list(SERVICES), words)
    print(json.dumps({"acl_file": text, "users": names}, indent=2) if as_json else text, end="\n" if as_json else "")


def _read_passwords(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): word.strip() for name, _, word in pairs}


def hazards() -> list[str]:
    """What about the server could lose requests."""
    return _with_bus(lambda bus: bus.hazards())
