"""The doctor finds what was spoilt on purpose, says how to mend it, links its section, and hangs on nothing."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pytest

from evolve.alerts import Alert, AlertRule
from evolve.cli import main
from evolve.crashes import Crash, note_crash
from evolve.errors import Unavailable
from evolve.manager.doctor import machine, server, services, store
from evolve.manager.doctor.examination import CHECKS, examine, worst
from evolve.manager.doctor.finding import Finding, ok
from evolve.memory.alerts import AlertBook
from evolve.memory.database import Database, database_path
from evolve.memory.watches import Watches
from evolve.messaging import embedded
from evolve.settings import Settings
from homes import until

PAGE = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()
SOURCES = Path(machine.__file__).parent


def only(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def says(found: Finding, state: str, said: str, mend: str) -> None:
    assert (found.state, said in found.said, mend in found.mend) == (state, True, True), found


# --- as a whole ---


def test_an_empty_home_is_well_and_stays_empty(settings: Settings) -> None:
    quick = {name: check for name, check in CHECKS.items() if name not in ("sandbox",)}

    findings = examine(settings, checks=quick)

    assert worst(findings) != "fail", findings
    assert {"versions", "home", "disk", "clock", "server", "services", "database", "data"} <= {
        each.name for each in findings
    }
    assert not settings.home.exists() or not any(settings.home.rglob("*"))


def test_a_check_that_hangs_or_fails_is_a_finding_and_the_others_are_shown(settings: Settings) -> None:
    stuck, began = threading.Event(), time.monotonic()

    def hangs(_: Settings) -> list[Finding]:
        stuck.wait(30)
        return []

    def fails(_: Settings) -> list[Finding]:
        raise Unavailable("nobody is there")

    def breaks(_: Settings) -> list[Finding]:
        raise ZeroDivisionError("a bug")

    checks = {"a": hangs, "b": fails, "c": breaks, "d": lambda _: [ok("d", "well")]}
    findings = examine(settings, checks=checks, limit_s=0.3)
    stuck.set()

    assert time.monotonic() - began < 10
    assert [(each.name, each.state) for each in findings] == [
        ("a", "fail"),
        ("b", "fail"),
        ("c", "warning"),
        ("d", "ok"),
    ]
    assert "did not end within 0.3 s" in findings[0].said


def test_every_finding_has_a_section_and_every_section_a_finding() -> None:
    text = "".join(path.read_text() for path in SOURCES.glob("*.py"))
    names = {"settings", *re.findall(r"\b(?:ok|warning|fail)\(\s*\"(\w+)\"", text)}

    sections = set(re.findall(r"^### doctor (.+)$", PAGE, re.MULTILINE))
    assert sections == {name.replace("_", " ") for name in names}
    assert {Finding(name, "ok", "").help for name in names} == {f"docs/troubleshooting.md#doctor-{each.replace(' ', '-')}" for each in sections}  # fmt: skip


def test_the_command_exits_with_one_where_something_must_be_mended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_PORT", "many")

    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "fail     settings      REDIS_PORT must be a whole number" in shown
    assert "docs/troubleshooting.md#doctor-settings" in shown


# --- this machine ---


def test_a_missing_package_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy>=1", "no-such-thing>=2", "other; extra == 'llm'", "third; sys_platform == 'plan9'"])  # fmt: skip

    says(only(machine.versions(settings), "versions"), "fail", "missing: no-such-thing", "make setup")


def test_a_full_disk_a_wrong_clock_and_open_doors(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.home.mkdir(mode=0o777)
    settings.home.chmod(0o777)
    says(only(machine.home(settings), "home"), "warning", "others may write", "chmod go-w")

    usage = shutil.disk_usage(settings.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    says(only(machine.disk(settings), "disk"), "fail", "0.1 GiB free", "free some")

    monkeypatch.setattr(time, "time", lambda: 1e9)
    says(only(machine.clock(settings), "clock"), "fail", "before this program was written", "set the clock")


def test_a_home_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = machine.home(Settings.load(home=tmp_path / "file" / "home", log_dir=tmp_path / "logs"))

    says(only(found, "home"), "fail", "cannot be written", "EVOLVE_HOME")


def test_torch_and_the_pages_that_are_not_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pages").mkdir()
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "torch" else spec)

    says(only(machine.torch(settings), "torch"), "warning", "not installed", "evolve setup torch")
    says(only(machine.web(settings), "web"), "warning", "not built", "make web")


@pytest.mark.parametrize(("level", "state"), [("refused", "fail"), ("seccomp", "warning"), ("landlock+seccomp", "ok")])
def test_a_weak_wall_is_named(level: str, state: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.sandbox.executor.SafeExecutor.isolation_level", property(lambda _: level))

    assert only(machine.sandbox(settings), "sandbox").state == state


# --- the server ---


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def own_server(tmp_path: Path, free_port: int) -> Any:
    """A server of the user's own, on TCP, set up as told: its settings."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*lines: str) -> Settings:
        configuration = tmp_path / "server.conf"
        configuration.write_text(
            "\n".join([f"port {free_port}", "bind 127.0.0.1", f"dir {tmp_path}", 'save ""', *lines]) + "\n"
        )
        started.append(subprocess.Popen([str(embedded.binary()), str(configuration)], stdout=subprocess.DEVNULL))
        until(lambda: connects(free_port) or started[-1].poll() is not None, what="the server")
        return Settings.load(home=tmp_path / "home", log_dir=tmp_path, redis_url=f"redis://127.0.0.1:{free_port}/0")

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_server_that_forgets_and_evicts_is_named(own_server: Callable[..., Settings]) -> None:
    mine = own_server("maxmemory 100mb", "maxmemory-policy allkeys-lru")

    found = server.server(mine)

    assert only(found, "server").state == "ok"
    assert only(found, "clock_skew").state == "ok"
    says(only(found, "aof"), "warning", "no append-only file", "config set appendonly yes")
    says(only(found, "eviction"), "warning", "allkeys-lru", "config set maxmemory-policy noeviction")


def test_a_server_that_turns_somebody_away_is_named(
    own_server: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = own_server("user stranger on >pw ~mine:* +get")
    stranger = mine.model_copy(update={"redis_username": "stranger", "redis_password": "wrong"})

    says(only(server.server(stranger), "server"), "fail", "refuses our name or password", "REDIS_PASSWORD")
    says(only(server.server(mine), "acl"), "warning", "stranger (auth", "evolve bus acl")
    monkeypatch.setattr(time, "time", lambda: 2e9)  # ours is wrong, by years
    says(only(server.server(mine), "clock_skew"), "warning", "behind this machine's", "NTP")


def test_nobody_there_is_named_with_the_ways_out(settings: Settings, free_port: int) -> None:
    away = settings.model_copy(update={"redis_port": free_port})

    says(only(server.server(away), "server"), "fail", "does not answer", "evolve config redis embedded")
    assert services.queues(away) == []  # said once is enough


# --- services and what is kept ---


def test_crashes_of_the_last_hour_are_named(settings: Settings) -> None:
    (settings.run_dir).mkdir(parents=True)
    note_crash(settings.run_dir, Crash("updater", -9, time.time() - 2 * 3600))
    assert [each.state for each in services.services(settings)] == ["ok"]
    note_crash(settings.run_dir, Crash("research", -9, time.time() - 60))

    says(services.services(settings)[0], "warning", "research (1)", "research_service.log")


def test_waiting_requests_and_dead_letters_are_named(server: Settings, tmp_path: Path) -> None:
    import asyncio

    from evolve.messaging.bus import Delivery
    from evolve.messaging.connection import bus_for

    mine = server.model_copy(update={"home": tmp_path})

    async def spoil() -> None:
        bus = bus_for(mine)
        await bus.send("research", "light", b"{}", request_id="waits")
        await bus.refuse(
            Delivery("research", "light", "", b"junk", named=False), "r", b"{}", None, reason="malformed: junk"
        )
        await bus.close()

    asyncio.run(spoil())
    found = services.queues(mine)

    says(only(found, "queues"), "fail", "nobody runs to answer them: research", "evolve up")
    says(only(found, "dead_letters"), "warning", "1 of research", "evolve bus dead list")


def test_a_damaged_database_is_named(settings: Settings) -> None:
    Database.open(settings).close()
    path = database_path(settings)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[8192 : 3 * 4096 + 2000] = b"\xff" * 6096
    path.write_bytes(content)

    (found,) = examine(settings, checks={"database": store.database})

    assert found.state == "fail"
    assert "damaged" in found.said


def test_stale_bars_of_watched_models_and_alerts_that_fail_are_named(settings: Settings) -> None:
    with Database.open(settings) as database:
        Watches(database).put("AAPL", "1d", simulate=False, cron="0 9 * * *", timezone="UTC", max_age_bars=126)
        book = AlertBook(database)
        book.add(AlertRule("mine", "drift", "email", "a@b"))
        says(only(store.data(settings), "data"), "warning", "AAPL 1d ends on 2013-03-01", "evolve data fetch")
        says(only(store.alerts(settings), "alerts"), "warning", "the updater, which sends, does not run", "evolve up")
        book.judged({}, [Alert("id", "mine", "drift", "AAPL 1d", "raised", "t", "x", 1.0, time.time())], read_to={})
        (queued,) = book.due(stuck_s=60)
        book.failed(queued, "it answered status 404")

    says(only(store.alerts(settings), "alerts"), "warning", "it answered status 404", "evolve alerts test mine")
