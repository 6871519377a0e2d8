"""The server of a home: started once, private, and what a user reads when it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from pathlib import Path

import psutil
import pytest

from evolve.errors import Unavailable
from evolve.messaging import embedded
from evolve.messaging.sockets import MAX_PATH_BYTES, make_private, private_socket
from homes import fresh_home, processes_of, until


def servers_of(home: Path) -> list[psutil.Process]:
    return [process for process in processes_of(home) if "valkey" in process.name()]


def test_it_starts_answers_and_stops(home: Path) -> None:
    assert not embedded.is_running(home)

    embedded.ensure(home)

    assert embedded.is_running(home)
    assert [process.pid for process in servers_of(home)] == [embedded.pid(home)]
    assert embedded.stop(home)
    assert servers_of(home) == []
    assert not embedded.stop(home), "there is none any more"


def test_started_twice_it_is_one_server(home: Path) -> None:
    embedded.ensure(home)
    first = embedded.pid(home)
    embedded.ensure(home)

    assert [process.pid for process in servers_of(home)] == [first]


def test_started_by_many_at_once_it_is_one_server(home: Path) -> None:
    threads = [threading.Thread(target=embedded.ensure, args=(home,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(servers_of(home)) == 1


def test_a_server_that_does_not_answer_for_a_while_gets_no_second_one_on_its_data(home: Path) -> None:
    """Two servers would write one log, and the queued requests with it."""
    embedded.ensure(home)
    [server] = servers_of(home)
    server.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match=rf"pid {server.pid}.* does not answer"):
            embedded.ensure(home)
        assert [process.pid for process in servers_of(home)] == [server.pid]
    finally:
        server.send_signal(signal.SIGCONT)

    until(lambda: embedded.is_running(home))
    embedded.ensure(home)
    assert [process.pid for process in servers_of(home)] == [server.pid]


def test_a_killed_server_is_started_again_with_what_it_held(home: Path) -> None:
    embedded.ensure(home)
    command(home, "SET key value")
    [server] = servers_of(home)
    server.kill()
    until(lambda: not servers_of(home))

    embedded.ensure(home)

    assert command(home, "GET key") == "$5\r\nvalue\r\n"


def test_only_its_user_can_reach_it(home: Path) -> None:
    embedded.ensure(home)

    path = embedded.socket_path(home)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_uid == os.getuid()
    assert not servers_of(home)[0].net_connections("inet"), "no TCP unless asked"


def test_it_listens_on_a_port_when_asked_at_the_start_or_later(home: Path, free_port: int) -> None:
    embedded.ensure(home)
    embedded.ensure(home, port=free_port)

    with socket.create_connection(("127.0.0.1", free_port), 5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


@pytest.mark.parametrize("running", [False, True])
def test_a_port_in_use_is_a_sentence(home: Path, running: bool) -> None:
    if running:
        embedded.ensure(home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(Unavailable, match=f"{port}") as raised:
            embedded.ensure(home, port=port)

    assert "\n" not in raised.value.message


def test_a_directory_that_cannot_be_written_is_a_sentence_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match=r"cannot write to .*; set EVOLVE_HOME to a writable directory"):
        embedded.ensure(tmp_path / "file" / "home")


def test_a_home_whose_path_is_too_long_for_a_socket_works_all_the_same() -> None:
    with fresh_home() as short:
        home = short / ("long" * 40)
        try:
            embedded.ensure(home)
            path = embedded.socket_path(home)

            assert len(os.fsencode(path)) <= MAX_PATH_BYTES
            assert not path.is_relative_to(home)
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert command(home, "PING") == "+PONG\r\n"
        finally:
            embedded.stop(home)
        path.parent.rmdir()


def test_two_long_homes_have_two_sockets(tmp_path: Path) -> None:
    one, two = tmp_path / ("long" * 40) / "one", tmp_path / ("long" * 40) / "two"

    assert private_socket(one, "s") != private_socket(two, "s")
    assert private_socket(one, "s") == private_socket(one, "s")


def test_a_private_directory_is_closed_to_others_even_if_it_was_open(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir(mode=0o755)

    make_private(directory)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def command(home: Path, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(embedded.socket_path(home)))
        connection.sendall(line.encode() + b"\r\n")
        return connection.recv(1000).decode()
