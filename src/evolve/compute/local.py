"""How does independent work use all cores of this machine without changing one bit of its result?

`map_work` forks a few worker processes and gives each the number of its next item by a pipe. Forked, not spawned: functions, closures and bars
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
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

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
# As Dask's and Ray's: a worker may die for want of memory while others ran; an item that ends so many is what ends them.
LIVES = 4


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
    how much a worker may take beyond what it begins with (0: no limit; not with one worker).

    Results must be picklable. An exception of `function` is raised here with its type; of several, that of the first item, as a
    plain loop would. The item of a worker that died is done by another. JobDied, whose details name the `item`: it ended `LIVES`
    workers, or needs more than memory_mb. When this call ends, by result, error or Ctrl-C, no worker is left.

    Work is done in this process, one item after the other, for one worker or one item; and, with a line in the log that says so,
    when this process has more than one thread: a fork copies only the calling thread, and a lock that another one holds
    would never be released in the child.
    """
    if workers < 1:
        raise InvalidRequest(f"workers must be at least 1, not {workers}")
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
    """pid, the pipe it is given numbers of items by, the one it answers by, and what it works on."""

    pid: int
    tickets: int
    answers: int
    item: int | None = None
    buffer: bytearray = field(default_factory=bytearray)

    def give(self, item: int) -> None:
        self.item = item
        with suppress(BrokenPipeError):  # it just died, which its other pipe tells
            os.write(self.tickets, _TICKET.pack(item))


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
    deaths: Counter[int] = Counter()
    waiting = deque(range(len(items)))

    def give(worker: _Worker) -> None:
        # In order, and none after a failure: a loop would not have come to it.
        if waiting and (not failures or waiting[0] < min(failures)):
            worker.give(waiting.popleft())

    with _Crew(function, items, memory_mb) as crew:
        for _ in range(workers):
            give(crew.hire())
        while len(results) < len(items):
            for worker in crew.heard():
                answer = crew.answer_of(worker)
                if answer is None:
                    how, item = crew.bury(worker), worker.item
                    if item is not None:
                        deaths[item] += 1
                        _told_of_death(how, item, deaths[item])
                        waiting.appendleft(item)
                    if waiting:
                        _replace(crew, give, how)
                    continue
                for index, failed, value in answer:
                    give(worker)  # before it is kept and told: who works need not wait for that
                    if failed:
                        failures[index] = _meant(value, memory_mb, index)
                        continue
                    results[index] = value
                    if each is not None:
                        each(index, value)
                    if progress is not None:
                        progress(len(results), len(items))
            # All items before the first failure have begun: wait for them, since one may fail too.
            if failures and all(index in results for index in range(min(failures))):
                raise failures[min(failures)]
    return [results[index] for index in range(len(items))]


def _replace(crew: _Crew[Item, Result], give: Callable[[_Worker], None], how: str) -> None:
    """Another worker in the place of one that died, where this process may still fork; else the others do its work."""
    if psutil.Process().num_threads() == 1:
        give(crew.hire())
    elif not crew.workers:
        raise JobDied(f"the last worker process ended {how}, and none can be started: this process has threads by now")
    else:
        for worker in crew.workers:
            if worker.item is None:
                give(worker)


def _told_of_death(how: str, item: int, times: int) -> None:
    """Raises JobDied for an item that ended too many workers."""
    if times >= LIVES:
        raise JobDied(
            f"worker processes ended {how}, {times} times over the same item of work ({item}); if memory ran out, use fewer workers, "
            "or see what EVOLVE_COMPUTE_MEMORY_MB allows",
            item=item,
        )
    logger().warning("a worker process died; another does its item again", how=how, item=item, times=times)


def _meant(error: Exception, memory_mb: int, item: int) -> Exception:
    if not memory_mb or not isinstance(error, MemoryError):
        return error
    meant = JobDied(
        f"an item of work needs more memory than EVOLVE_COMPUTE_MEMORY_MB={memory_mb} allows a worker; raise it, use fewer workers, or give it less to do",
        item=item,
    )
    for note in getattr(error, "__notes__", ()):
        meant.add_note(note)
    return meant


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


class _Crew(Generic[Item, Result]):
    """Running workers; none is left, not even as a zombie, when the block ends."""

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item], memory_mb: int) -> None:
        self._function, self._items, self._memory_mb = function, items, memory_mb
        self.workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> _Crew[Item, Result]:
        return self

    def hire(self) -> _Worker:
        # An interruption between the fork and the append would leave a process that nobody knows of.
        with _uninterrupted() as mask:
            others = [pipe for worker in self.workers for pipe in (worker.answers, worker.tickets)]
            worker = _start(self._function, self._items, mask, inherited=others, memory_mb=self._memory_mb)
            self.workers.append(worker)
        self._selector.register(worker.answers, selectors.EVENT_READ, worker)
        return worker

    def heard(self) -> list[_Worker]:
        """Those who said something, or ended; waits for one."""
        return [key.data for key, _ in self._selector.select()]

    def answer_of(self, worker: _Worker) -> list[tuple[int, bool, Any]] | None:
        """What it said: (index, whether it failed, value); None when it ended."""
        chunk = os.read(worker.answers, 1 << 20)
        if not chunk:
            return None
        worker.buffer += chunk
        told = list(_answers(worker.buffer))
        if told:
            worker.item = None
        return told

    def bury(self, worker: _Worker) -> str:
        """Take leave of a worker whose pipe is closed: how it ended."""
        self._selector.unregister(worker.answers)
        self.workers.remove(worker)
        os.close(worker.answers)
        os.close(worker.tickets)
        code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        return f"by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"with exit code {code}"

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for worker in self.workers:
            os.close(worker.answers)
            os.close(worker.tickets)
        for worker in self.workers:
            # SIGKILL: a worker holds nothing that needs care, and may be deep in C code that no gentler signal interrupts.
            os.kill(worker.pid, signal.SIGKILL)
        for worker in self.workers:
            os.waitpid(worker.pid, 0)


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
    mask: set[int],
    *,
    inherited: Sequence[int],
    memory_mb: int,
) -> _Worker:
    answers, answers_in = os.pipe()
    tickets, tickets_in = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(answers_in)
        os.close(tickets)
        return _Worker(pid, tickets_in, answers)
    try:
        for descriptor in (answers, tickets_in, *inherited):
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
