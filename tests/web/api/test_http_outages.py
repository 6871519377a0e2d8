"""What breaks while somebody waits: a replica, the web server itself, the Redis server. The stream says so, and the work is found again."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.manager import web_record
from evolve.manager.manager import ServiceManager
from evolve.messaging import embedded
from evolve.settings import Settings
from homes import until
from integration.messaging.fronts import Fronts, fronts_in, kill
from web.api.web_servers import Event, web_in

pytestmark = pytest.mark.xdist_group("http-api")


@pytest.fixture
def fronts(home: Path) -> Iterator[Fronts]:
    with fronts_in(home) as launching:
        yield launching


def next_of(events: Iterator[Event], name: str) -> Event:
    return next(event for event in events if event.name == name)


@pytest.mark.prove  # tests/web/pages has the replica killed, with a browser
def test_a_job_outlives_its_replica_and_the_web_server_and_the_redis_server(
    fronts: Fronts, home: Path, tmp_path: Path
) -> None:
    journal, marker = tmp_path / "journal", tmp_path / "marker"
    front = asyncio.run(fronts.start())
    with web_in(home) as web:
        work = {"text": "late", "journal": str(journal), "marker": str(marker)}
        place = web.ask("run", work, Idempotency_Key="outage").headers["location"]
        until(journal.exists, what="the first run")

        with web.events(f"{place}/events") as events:
            kill(front.pid, signal.SIGKILL)
            waiting = next_of(events, "state").data
            assert (waiting["state"], "echo is not running" in waiting["why"]) == ("waiting", True)
            assert web.get(place).json()["waiting"]
            asyncio.run(fronts.start())
            assert next_of(events, "state").data["why"] == ""
        until(lambda: len(journal.read_text().splitlines()) == 2, what="the run of the next replica")

        web.end(kill=True)
        web.start()
        assert web.get(place).json()["state"] == "queued"  # found on the bus by its id

        with web.events(f"{place}/events") as events:
            embedded.stop(home)
            gone = next_of(events, "state").data
            assert gone["state"] == "waiting"
            assert "Redis" in gone["why"]
            refused = web.ask("echo", {"text": "x"})
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert web.get("/health/ready").status_code == 503
            assert web.get("/health/live").status_code == 200
            assert "evolve_bus_up 0" in web.get("/metrics").text
            embedded.ensure(home)
            marker.touch()
            reply = next_of(events, "reply").data
        assert (reply["status"], reply["data"]["text"]) == ("success", "late")
        assert web.get(place).json()["result"]["text"] == "late"
        other = web.ask("run", {**work, "text": "other"}, Idempotency_Key="outage")
        assert (other.status_code, other.json()["code"]) == (409, "request_id_reused")  # known from the bus alone


def test_the_web_server_of_up_is_kept_running_and_ended_with_it(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ServiceManager() as manager:
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match=f"cannot listen on 127.0.0.1:{port}"):
            manager.serve_web(port=port)
        url = manager.serve_web(port=0)
        assert manager.serve_web() == url  # it runs already
        [shown] = manager.get_manager_stats()["web"]
        assert shown["url"] == url

        kill(shown["pid"], signal.SIGKILL)

        def again() -> bool:
            return any(record.pid != shown["pid"] and record.url == url for record in web_record.running(home))

        until(again, what="the web server started anew at its address")
        manager.down()
    assert web_record.running(home) == []
    assert Settings.load().home == home
