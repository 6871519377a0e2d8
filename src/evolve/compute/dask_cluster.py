"""How is work divided over the workers of a Dask cluster?

Dask gives the items of a worker that died to another one; an item that ended several workers is what ended them (`job_died`). What was
begun when the caller gives up runs to its end on its worker and is forgotten; what was not begun is not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from evolve.compute.local import Item, Progress, Result
from evolve.compute.parcel import Collected, packed, same_versions, versions, work_on
from evolve.errors import JobDied, MissingExtra, Unavailable

CONNECT_S = 10.0
# So many items per worker are on their way at once: enough that none waits for the scheduler, few enough that little is lost to a cancel.
AHEAD_PER_WORKER = 4


class DaskCluster:
    def __init__(self, address: str) -> None:
        self.address = address
        self._scheduler = "tcp://" + address.partition("://")[2]

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        progress: Progress | None,
        each: Callable[[int, Result], None] | None,
    ) -> list[Result]:
        with self._client() as client:
            distributed: Any = import_module("distributed")
            collected: Collected[Item, Result] = Collected(items, progress, each)
            # Broadcast: each worker has it before the first item, over a tree of workers and not from here to each.
            parcel = client.scatter(packed(function), broadcast=True, hash=False)
            waiting = iter(enumerate(items))
            ahead = AHEAD_PER_WORKER * max(1, sum(client.nthreads().values()))
            running: dict[Any, int] = {}
            arriving = distributed.as_completed(loop=client.loop)
            try:
                while True:
                    for index, item in waiting:
                        future = client.submit(work_on, parcel, index, item, pure=False, retries=0)
                        running[future] = index
                        arriving.add(future)
                        if len(running) >= ahead:
                            break
                    if not running:
                        return collected.in_order()
                    done = next(arriving)
                    collected.take(_answer(done, running.pop(done)))
            finally:
                client.cancel(list(running))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            distributed: Any = import_module("distributed")  # whose functions have no types
        except ImportError:
            raise MissingExtra(
                f"EVOLVE_COMPUTE={self.address} needs Dask: pip install 'evolve-trading[dask]'", extra="dask"
            ) from None
        try:
            client = distributed.Client(self._scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise Unavailable(
                f"no Dask scheduler answers at {self._scheduler} ({type(error).__name__}); start one (`dask scheduler`), or set EVOLVE_COMPUTE=local"
            ) from None
        with client:
            there = client.run(versions)
            if not there:
                raise Unavailable(
                    f"the Dask scheduler at {self._scheduler} has no workers; start some (`dask worker {self._scheduler} --nthreads 1`)"
                )
            same_versions(self.address, list(there.values()))
            yield client


def _answer(done: Any, item: int) -> Any:
    distributed: Any = import_module("distributed")
    try:
        return done.result()
    except distributed.scheduler.KilledWorker as error:
        raise JobDied(
            f"an item ended the worker that did it, {error.allowed_failures + 1} times; if memory ran out, give workers more (`dask worker --memory-limit`)",
            item=item,
        ) from None
    except distributed.client.FutureCancelledError as error:
        raise Unavailable(
            f"the Dask cluster gave up an item: {error}; see whether its scheduler was restarted"
        ) from None
