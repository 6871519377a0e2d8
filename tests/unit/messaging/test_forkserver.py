"""Children are ours, are told apart, and do not outlive who wanted them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from evolve.errors import Unavailable
from evolve.messaging.forkserver import SERVER_GONE, Child, ForkServer, launch
from homes import until

CHILDREN = "services_under_test.children"
TESTS = str(Path(__file__).resolve().parents[2])
DEADLINE_S = 20.0


@pytest.fixture(autouse=True)
def children_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", TESTS)


@contextlib.asynccontextmanager
async def fork_server(*preload: str, shared: Path | None = None) -> AsyncIterator[ForkServer]:
    server = ForkServer(preload=preload, shared=shared)
    try:
        yield server
    finally:
        await server.close()


async def said_by(child: Child) -> int:
    """The process id that a child sends first."""
    line = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(child.connection, 100), DEADLINE_S)
    return int(line)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_child_runs_the_function_with_our_socket_and_its_pid_is_told() -> None:
    async with fork_server() as server:
        child = await server.spawn(f"{CHILDREN}:tell_pid", {})
        with child.connection:
            assert await said_by(child) == child.pid != os.getpid()
        assert await asyncio.wait_for(child.exited, DEADLINE_S) == 0


async def test_an_exit_status_is_told() -> None:
    async with fork_server() as server:
        child = await server.spawn(f"{CHILDREN}:exit_with", {"status": 7})
        with child.connection:
            assert await asyncio.wait_for(child.exited, DEADLINE_S) == 7


async def test_a_child_that_ends_before_its_asker_heard_of_it_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both messages come in one read; a supervisor that waits for the second for ever restarts nothing."""
    ours, theirs = socket.socketpair()
    server = ForkServer()
    monkeypatch.setattr(server, "_launch", lambda: ours)

    def answer() -> None:
        number = json.loads(theirs.recv(10_000))["ask"]
        theirs.sendall(f'{{"ask": {number}, "pid": 4194304}}\n{{"exit": 4194304, "status": 7}}\n'.encode())

    with theirs:
        answering = asyncio.create_task(asyncio.to_thread(answer))
        child = await server.spawn(f"{CHILDREN}:exit_with", {"status": 7})
        await answering
        with child.connection:
            assert await asyncio.wait_for(child.exited, 1.0) == 7
        await server.close()


async def test_a_bug_in_a_child_is_its_own_end_and_not_the_servers() -> None:
    async with fork_server() as server:
        broken = await server.spawn(f"{CHILDREN}:crash", {})
        with broken.connection:
            assert await asyncio.wait_for(broken.exited, DEADLINE_S) == 70
        child = await server.spawn(f"{CHILDREN}:exit_with", {"status": 0})
        with child.connection:
            assert await asyncio.wait_for(child.exited, DEADLINE_S) == 0


async def test_a_killed_child_is_told_as_killed() -> None:
    async with fork_server() as server:
        child = await server.spawn(f"{CHILDREN}:sleep_on", {})
        with child.connection:
            child.kill()
            assert await asyncio.wait_for(child.exited, DEADLINE_S) == -signal.SIGKILL


async def test_what_a_child_started_dies_with_it() -> None:
    async with fork_server() as server:
        child = await server.spawn(f"{CHILDREN}:with_child", {})
        with child.connection:
            grandchild = await said_by(child)
            os.kill(child.pid, signal.SIGKILL)  # only itself
            await asyncio.wait_for(child.exited, DEADLINE_S)
        await asyncio.to_thread(until, lambda: is_gone(grandchild))


async def test_children_are_killed_when_their_askers_connection_closes() -> None:
    async with fork_server() as server:
        child = await server.spawn(f"{CHILDREN}:sleep_on", {})
        pid = await said_by(child)
    # Our end of the child's own socket is open still: it is the connection to the server that counts.
    await asyncio.to_thread(until, lambda: is_gone(pid))
    child.connection.close()


async def test_children_of_one_asker_are_not_those_of_another(home: Path) -> None:
    home.mkdir(parents=True)
    listening = home / "s"
    shared = launch(["--listen", str(listening)], ())
    try:
        await asyncio.to_thread(until, listening.exists)
        async with fork_server(shared=listening) as staying:
            child = await staying.spawn(f"{CHILDREN}:sleep_on", {})
            async with fork_server(shared=listening) as leaving:
                other = await leaving.spawn(f"{CHILDREN}:sleep_on", {})
                other.connection.close()
            await asyncio.to_thread(until, lambda: is_gone(other.pid))
            assert not is_gone(child.pid)
            child.connection.close()
        await asyncio.to_thread(until, lambda: is_gone(child.pid))
    finally:
        shared.terminate()
        shared.wait(DEADLINE_S)


async def test_a_spawn_that_was_given_up_is_not_taken_for_the_next_one() -> None:
    """Its answer came later; the next spawn took it, and a later cancel killed the wrong process."""
    async with fork_server() as server:
        first = await server.spawn(f"{CHILDREN}:tell_pid", {})
        given_up = asyncio.create_task(server.spawn(f"{CHILDREN}:tell_pid", {}))
        await asyncio.sleep(0)  # it has asked, and the answer is not here yet
        given_up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await given_up).connection.close()

        second = await server.spawn(f"{CHILDREN}:tell_pid", {})

        assert await said_by(second) == second.pid
        assert await said_by(first) == first.pid
        for child in (first, second):
            child.connection.close()
            assert await asyncio.wait_for(child.exited, DEADLINE_S) == 0


async def test_a_server_with_two_threads_refuses_to_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELOAD_STARTS_A_THREAD", "1")
    async with fork_server(CHILDREN) as server:

        async def refused() -> str:
            # The preload comes between requests: the first ones may be faster.
            for _ in range(1000):
                try:
                    child = await server.spawn(f"{CHILDREN}:exit_with", {"status": 0})
                except Unavailable as error:
                    return error.message
                child.connection.close()
                await asyncio.sleep(0.01)
            raise AssertionError("two threads, and it forks")

        assert "2 threads run in the fork server" in await asyncio.wait_for(refused(), DEADLINE_S)


async def test_a_server_that_was_killed_is_started_again_by_the_next_spawn() -> None:
    async with fork_server() as server:
        child = await server.spawn(f"{CHILDREN}:sleep_on", {})
        assert server._process is not None
        server._process.kill()
        assert await asyncio.wait_for(child.exited, DEADLINE_S) == SERVER_GONE
        child.connection.close()

        again = await server.spawn(f"{CHILDREN}:exit_with", {"status": 3})

        with again.connection:
            assert await asyncio.wait_for(again.exited, DEADLINE_S) == 3


async def test_a_preload_that_cannot_be_imported_only_costs_time() -> None:
    async with fork_server("no_such_module_of_ours") as server:
        child = await server.spawn(f"{CHILDREN}:exit_with", {"status": 0})
        with child.connection:
            assert await asyncio.wait_for(child.exited, DEADLINE_S) == 0


def test_a_server_whose_owner_ended_before_it_had_begun_ends_too(tmp_path: Path) -> None:
    """The kernel ends it with its owner only once it has asked for that; until then it has to look."""
    program = (
        "import os, sys; from evolve.messaging.forkserver import launch\n"
        "print(launch(['--listen', sys.argv[1]], ()).pid, flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True, check=True
    )
    pid = int(done.stdout)

    until(lambda: is_gone(pid), what="its end")
