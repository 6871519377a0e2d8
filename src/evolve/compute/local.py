"""How does independent work use all cores of this machine without changing one bit of its result?

`map_work` forks a few worker processes that draw item numbers from a pipe. Forked, not spawned: functions, closures and bars
need no pickling and nothing is imported twice. A worker uses one thread for arithmetic, so a sum is the same sum however many
workers there are, and dies with its parent.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import selectors
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil

from evolve.errors import Internal, InvalidRequest, JobDied
from evolve.logs import logger

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called in the parent after each finished item with (done, total). What it raises ends the work."""

# Each BLAS and OpenMP build reads its own name, when its library is loaded.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TICKET = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
# What a pipe surely holds (POSIX: 64 KiB on Linux, 16 KiB on macOS) before the parent, who writes first, would wait for a reader.
_MAX_ITEMS = 16_384 // _TICKET.size


def map_work(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    progress: Progress | None = None,
    each: Callable[[int, Result], None] | None = None,
    memory_mb: int = 0,
) -> list[Result]:
    """`[function(item) for item in items]`, over at most `workers` processes; results in the order of `items`.

    each: called in this process with (index, result) as each is there, before `progress`; what it raises ends the work. memory_mb:
    how much a worker may take beyond what it begins with; its item then fails with MemoryError (0: no limit; not with one worker).

    Results must be picklable. An exception of `function` is raised here with its type; of several, that of the first item, as a
    plain loop would. JobDied: a worker ended without an answer (killed, out of memory). When this call ends, by result, error or
    Ctrl-C, no worker is left.

    Work is done in this process, one item after the other, for one worker or one item; and, with a line in the log that says so,
    when this process has more than one thread: a fork copies only the calling thread, and a lock that another one holds
    would never be released in the child.
    """
    if workers < 1:
        raise InvalidRequest(f"workers must be at least 1, not {workers}")
    if len(items) > _MAX_ITEMS:
        raise InvalidRequest(f"{len(items):,} items of work; at most {_MAX_ITEMS:,}, so group them")
    workers = min(workers, len(items))
    if workers > 1:
        threads = psutil.Process().num_threads()
        if threads == 1:
            return _forked(function, items, workers, progress, each, memory_mb)
        logger().warning(
            "work runs in one process: this one has more than one thread, so it cannot fork safely; start it with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1",
            threads=threads,
            items=len(items),
            workers_wanted=workers,
        )
    return list(_serial(function, items, progress, each))


def _serial(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    progress: Progress | None,
    each: Callable[[int, Result], None] | None,
) -> Iterator[Result]:
    for done, item in enumerate(items, start=1):
        result = function(item)
        if each is not None:
            each(done - 1, result)
        yield result
        if progress is not None:
            progress(done, len(items))


@dataclass
class _Worker:
    pid: int
    answers: int
    buffer: bytearray = field(default_factory=bytearray)
    reaped: bool = False


def _forked(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Progress | None,
    each: Callable[[int, Result], None] | None,
    memory_mb: int,
) -> list[Result]:
    results: dict[int, Result] = {}
    failures: dict[int, Exception] = {}
    with _crew(function, items, workers, memory_mb) as crew, selectors.DefaultSelector() as selector:
        for worker in crew:
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        while len(results) < len(items):
            for key, _ in selector.select():
                worker = key.data
                chunk = os.read(worker.answers, 1 << 20)
                if not chunk:
                    selector.unregister(worker.answers)
                    _reap(worker)
                    if not selector.get_map() and len(results) + len(failures) < len(items):
                        raise JobDied("the worker processes ended before all work was answered")
                    continue
                worker.buffer += chunk
                for index, failed, value in _answers(worker.buffer):
                    if failed:
                        failures[index] = value
                    else:
                        results[index] = value
                        if each is not None:
                            each(index, value)
                        if progress is not None:
                            progress(len(results), len(items))
            # Tickets are drawn in order, so all items before the first failure have begun: wait for them, since one may fail too.
            if failures and all(index in results for index in range(min(failures))):
                raise failures[min(failures)]
    return [results[index] for index in range(len(items))]


def _answers(buffer: bytearray) -> Iterator[tuple[int, bool, Any]]:
    """Complete answers at the head of `buffer`, removed from it."""
    while len(buffer) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer)
        end = _LENGTH.size + length
        if len(buffer) < end:
            return
        # Pickle only between this process and its own forked children; nothing from outside reaches this pipe.
        answer = pickle.loads(bytes(buffer[_LENGTH.size : end]))
        del buffer[:end]
        yield answer


@contextmanager
def _crew(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, memory_mb: int
) -> Iterator[list[_Worker]]:
    """Running workers; none is left, not even as a zombie, when the block ends."""
    tickets, tickets_in = os.pipe()
    crew: list[_Worker] = []
    try:
        os.write(tickets_in, b"".join(_TICKET.pack(index) for index in range(len(items))))
        os.close(tickets_in)
        for _ in range(workers):
            # An interruption between the fork and the append would leave a process that nobody knows of.
            with _uninterrupted() as mask:
                others = [worker.answers for worker in crew]
                crew.append(_start(function, items, tickets, mask, inherited=others, memory_mb=memory_mb))
        yield crew
    finally:
        os.close(tickets)
        for worker in crew:
            os.close(worker.answers)
        left = [worker.pid for worker in crew if not worker.reaped]
        for pid in left:
            # SIGKILL: a worker holds nothing that needs care, and may be deep in C code that no gentler signal interrupts.
            os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)


@contextmanager
def _uninterrupted() -> Iterator[set[int]]:
    """Signals that end this process wait until the block is left. Yields the mask that was in force."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield {int(number) for number in mask}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    tickets: int,
    mask: set[int],
    *,
    inherited: Sequence[int],
    memory_mb: int,
) -> _Worker:
    answers, answers_in = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(answers_in)
        return _Worker(pid, answers)
    try:
        for descriptor in (answers, *inherited):
            os.close(descriptor)
        _become_worker(parent, mask)
        if memory_mb:
            _limit_memory(memory_mb)
        _work(function, items, tickets, answers_in)
    except BaseException:  # noqa: BLE001 - nothing may climb out of a fork into the parent's stack
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _become_worker(parent: int, mask: set[int]) -> None:
    # Ctrl-C reaches the whole group of processes; the parent alone decides, and kills.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)


def _limit_memory(memory_mb: int) -> None:
    """Beyond what the process was forked with, which it shares with its parent."""
    most = psutil.Process().memory_info().vms + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _work(function: Callable[[Item], Result], items: Sequence[Item], tickets: int, answers: int) -> None:
    while ticket := os.read(tickets, _TICKET.size):
        (index,) = _TICKET.unpack(ticket)
        try:
            answer = pickle.dumps((index, False, function(items[index])), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - carried to the parent and raised there with its type
            answer = pickle.dumps((index, True, portable(error)))
        _send(answers, answer)


def _send(descriptor: int, payload: bytes) -> None:
    view = memoryview(_LENGTH.pack(len(payload)) + payload)
    while view:
        view = view[os.write(descriptor, view) :]


def portable(error: Exception) -> Exception:
    """`error` with its traceback as a note; Internal where it does not survive the trip."""
    trace = "".join(traceback.format_exception(error))
    carried: Exception
    try:
        carried = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception class may fail in any way when rebuilt
        carried = Internal(f"{type(error).__name__}: {error}")
    carried.add_note(f"in a worker process:\n{trace}")
    return carried


def _reap(worker: _Worker) -> None:
    """Take leave of a worker whose pipe is closed. JobDied unless it ended by itself for want of work."""
    _, status = os.waitpid(worker.pid, 0)
    worker.reaped = True
    code = os.waitstatus_to_exitcode(status)
    if code:
        how = f"by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"with exit code {code}"
        raise JobDied(f"a worker process ended {how} before it answered; if memory ran out, use fewer workers")
