"""The hosts that the other tests here stand on: what is cut is silent, what is slow is slow, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from homes import until
from network import FOLDERS, NAMESPACES, Network, missing, sweep

PORT = 7
pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("hosts")]


@pytest.fixture
def network() -> Iterator[Network]:
    if lack := missing():
        pytest.skip(lack)
    with Network(("a", "b", "c"), seed=1) as made:
        yield made


@pytest.fixture
def line(network: Network) -> Iterator[socket.socket]:
    """A connection from `b` to an echo on `a`."""
    with network.inside("a"):
        listening = socket.create_server((network.address("a"), PORT))

    def echo() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                while data := connection.recv(65_536):
                    connection.sendall(data)

    answering = threading.Thread(target=echo, daemon=True)
    answering.start()
    with network.inside("b"):
        asking = socket.create_connection((network.address("a"), PORT), timeout=10)
    with asking:
        yield asking
    listening.close()
    answering.join(10)


def round_trip_s(line: socket.socket) -> float:
    started = time.monotonic()
    line.sendall(b"x")
    assert line.recv(1) == b"x"
    return time.monotonic() - started


def test_a_cut_link_is_silent_and_delivers_when_it_is_joined_again(network: Network, line: socket.socket) -> None:
    round_trip_s(line)
    network.cut("a", "b")
    line.sendall(b"y")
    line.settimeout(0.5)
    with pytest.raises(TimeoutError):
        line.recv(1)
    network.join("a", "b")
    line.settimeout(10)

    assert line.recv(1) == b"y"
    assert network.dropped() > 0


def test_a_link_that_is_cut_leaves_the_others(network: Network, line: socket.socket) -> None:
    network.cut("a", "c")

    assert round_trip_s(line) < 5


def test_a_slow_link_takes_its_time_both_ways(network: Network, line: socket.socket) -> None:
    network.set_link("a", "b", delay_s=0.1)

    assert round_trip_s(line) >= 0.2


def test_a_lossy_link_loses_about_what_it_should_and_tcp_delivers_all(network: Network, line: socket.socket) -> None:
    network.set_link("a", "b", loss=0.1)
    before, dropped = network.passed(), network.dropped()
    sent = os.urandom(300_000)
    threading.Thread(target=line.sendall, args=(sent,), daemon=True).start()
    got = b""
    while len(got) < len(sent):
        got += line.recv(65_536)

    lost = network.dropped() - dropped
    assert got == sent
    assert 0.03 < lost / (lost + network.passed() - before) < 0.25


def test_what_a_killed_test_left_is_removed_by_the_next() -> None:
    if lack := missing():
        pytest.skip(lack)
    program = (
        "import subprocess, sys, time; from network import *\n"
        "new_folder()\n"
        "with Network(('a',)) as made, made.inside('a'):\n"
        "    print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(sys.modules["network"].__file__ or "")}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        inside = int(killed.stdout.readline())
        killed.send_signal(signal.SIGKILL)
    removed = sweep()

    assert len([name for name in removed if name.split("-")[1] == str(killed.pid)]) == 2
    assert not list(NAMESPACES.glob(f"*-{killed.pid}-*"))
    assert not list(FOLDERS.glob(f"*-{killed.pid}-*"))
    until(lambda: not os.path.exists(f"/proc/{inside}"), what="the process on the host to end")
