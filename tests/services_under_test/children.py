"""Functions that a fork server runs in its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading


def tell_pid(connection: socket.socket) -> int:
    """Say who we are, then wait until the asker hangs up."""
    connection.setblocking(True)
    connection.sendall(f"{os.getpid()}\n".encode())
    connection.recv(1)
    return 0


def sleep_on(connection: socket.socket) -> int:
    """Say who we are, then sleep whatever the asker does."""
    connection.setblocking(True)
    connection.sendall(f"{os.getpid()}\n".encode())
    while True:
        signal.pause()


def with_child(connection: socket.socket) -> int:
    """Start a process, say who it is, and sleep."""
    connection.setblocking(True)
    program = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    connection.sendall(f"{program.pid}\n".encode())
    while True:
        signal.pause()


def exit_with(connection: socket.socket, *, status: int) -> int:
    return status


def crash(connection: socket.socket) -> int:
    raise ZeroDivisionError("a bug in a child")


# Imported as a preload, this leaves a second thread in the fork server.
if os.environ.get("PRELOAD_STARTS_A_THREAD"):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
